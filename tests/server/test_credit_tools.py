"""`get_credits`: the balance."""

from typing import Any

import httpx2
import pytest
from mcp import Client
from support.answers import answer, text
from support.clock import JumpingClock
from support.tenants import connect as connect_tenant
from support.tenants import serve_tenants

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio


async def make(client: Client, tool: str = "nano_banana_image", **arguments: Any) -> dict[str, Any]:
    return answer(await client.call_tool(tool, {"prompt": "a fox", **arguments}))


async def test_credits_go_down_with_what_is_made(client: Client, sandbox: Sandbox) -> None:
    before = answer(await client.call_tool("get_credits"))
    assert before == {"credits": 1000, "usd": 5}
    await make(client)
    result = await client.call_tool("get_credits")
    assert answer(result)["credits"] == sandbox.balance < 1000
    assert f"{sandbox.balance:g} credits" in text(result)


async def test_what_is_left_of_a_cap_is_told_beside_the_balance(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, sandbox: Sandbox
) -> None:
    capped = settings.model_copy(update={"max_credits_per_day": 40, "max_credits_per_session": 30.5})
    async with Client(build_server(App(capped, transport=transport, clock=clock))) as client:
        await make(client)
        spent = 1000 - sandbox.balance
        result = await client.call_tool("get_credits")
        day, session = answer(result)["caps"]
        assert day == {"per": "day", "left": 40 - spent, "cap": 40}
        assert session == {"per": "session", "left": 30.5 - spent, "cap": 30.5}
        assert f"{40 - spent:g} of the 40 credits a day are left." in text(result)
        read = (await client.read_resource("kie://credits")).contents
        assert '"caps"' in str(read)
        clock.now += 25 * 3600
        assert answer(await client.call_tool("get_credits"))["caps"][0]["left"] == 40
        assert "shared" not in answer(result)


async def test_a_tenant_on_the_operators_account_sees_what_is_left_of_its_own_cap(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, sandbox: Sandbox
) -> None:
    capped = settings.model_copy(update={"max_credits_per_day": 40, "max_credits_per_day_all": 60})
    async with (
        serve_tenants(capped, transport, clock) as url,
        connect_tenant(url, "ann") as ann,
        connect_tenant(url, "bob") as bob,
    ):
        await make(ann)
        spent = 1000 - sandbox.balance
        for client, left in ((ann, 40 - spent), (bob, 40)):
            result = await client.call_tool("get_credits")
            told = answer(result)
            assert (told["credits"], told["shared"]) == (sandbox.balance, True)
            assert told["caps"] == [{"per": "day", "left": left, "cap": 40}]
            assert "which all callers of this server share. " in text(result)
            # What all spend together is told to nobody.
            assert "of the 60" not in text(result)
