"""The health check before a paid call: the success rate of the last hour, and substitutes."""

from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from starlette.responses import Response
from support.answers import answer, text
from support.clients import connect
from support.clock import JumpingClock
from support.fake_kie import envelope, retry_at_once
from support.new_model import NEW, SCHEMA, read_refusal, run_model
from support.runners import InterceptedKie

from kie_mcp.catalog.registry import MODELS
from kie_mcp.config import Settings
from kie_mcp.kie.client import READ_ATTEMPTS, KieClient
from kie_mcp.kie.discovery import HOUR, SUCCESS_RATE_CACHE_SECONDS, Discovery
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server import health, live_fields
from kie_mcp.server.app import App

pytestmark = pytest.mark.anyio


async def read_rate(app: App, id_: str) -> None:
    """Let the server know a model's success rate, as after an earlier call or quote."""
    await (await app.discovery()).read_success_rate(id_)


async def test_a_model_that_fails_today_is_refused_with_a_substitute(
    client: Client, app: App, sandbox: Sandbox
) -> None:
    sandbox.discovery.success_rates |= {"nano-banana-2-1": 20.0, "nano-banana-2-lite": 49.0}
    await read_rate(app, "nano-banana-2-1")
    for tool, given in (
        ("nano_banana_image", {"prompt": "x"}),
        ("run_model", {"model": "nano-banana-2-1", "input": {"prompt": "x"}}),
    ):
        result = await client.call_tool(tool, given)
        assert answer(result)["error"]["category"] == "unhealthy"
        assert answer(result)["error"]["billed"] is False
        assert "succeeded in 20% of its tasks in the last hour" in text(result)
        substitute = text(result).partition("Take ")[2].partition(" instead")[0]
        assert MODELS[substitute].task_type == "text-to-image"
        assert substitute != "nano-banana-2-lite"
        assert 4 / 3 <= (MODELS[substitute].default_estimate().low or 4) <= 12
    assert sandbox.accepted == []
    for no in (False, "false", "no", 1):
        assert (await client.call_tool("nano_banana_image", {"prompt": "x", "anyway": no})).is_error
    for yes in (True, "true"):
        assert not (await client.call_tool("nano_banana_image", {"prompt": "x", "anyway": yes})).is_error
    assert not (await run_model(client, "nano-banana-2-1", {"prompt": "y"}, anyway=True)).is_error
    assert len(sandbox.accepted) == 3


@pytest.mark.parametrize("first", [{"quote": True}, {}])
async def test_the_first_call_of_a_model_is_not_held_back_by_its_rate_and_the_next_one_knows_it(
    client: Client, sandbox: Sandbox, clock: JumpingClock, first: dict[str, bool]
) -> None:
    sandbox.discovery.success_rates["nano-banana-2-1"] = 20.0
    assert not (await client.call_tool("nano_banana_image", {"prompt": "x", **first})).is_error
    # The rate is read meanwhile.
    await clock.sleep(1)
    refused = await client.call_tool("nano_banana_image", {"prompt": "y"})
    assert answer(refused)["error"]["category"] == "unhealthy"
    assert len(sandbox.accepted) == (not first)


async def test_a_rate_that_was_low_is_asked_for_again_before_it_refuses(
    client: Client, app: App, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.discovery.success_rates["z-image"] = 20.0
    await read_rate(app, "z-image")
    clock.now += SUCCESS_RATE_CACHE_SECONDS
    sandbox.discovery.success_rates["z-image"] = 90.0
    assert not (await run_model(client, "z-image", {"prompt": "x"})).is_error


async def test_that_kie_has_no_rate_of_a_model_is_remembered_for_a_day(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    sandbox.discovery.removed.add("z-image")
    gate, model = InterceptedKie(sandbox.app), MODELS["z-image"]
    async with KieClient("sandbox", transport=httpx2.ASGITransport(gate), clock=clock) as kie:
        live = Discovery(kie, tmp_path, clock=clock)
        for hours, asked in ((0, 1), (23, 1), (2, 2)):
            clock.now += hours * HOUR
            await health.refresh(live, model)
            await health.check_health(live, model)
            assert len(gate.requests) == asked


async def test_a_rate_that_nobody_can_read_ends_nothing(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async def answer_nonsense(path: str) -> Response | None:
        point = {"end": clock.now, "successRate": 1, "errorRate": "many"}
        return envelope(200, data={"points": [point]}) if path.endswith("success-rate") else None

    gate = InterceptedKie(sandbox.app, get=answer_nonsense)
    async with connect(settings, gate, clock) as client:
        for _ in range(2):
            assert not (await run_model(client, "z-image", {"prompt": "x"})).is_error
            await clock.sleep(1)
    assert sum(asked.endswith("success-rate") for asked in gate.requests) == 1


async def test_half_is_enough(client: Client, app: App, sandbox: Sandbox) -> None:
    sandbox.discovery.success_rates["google/nano-banana"] = 50.0
    await read_rate(app, "google/nano-banana")
    assert not (await run_model(client, "google/nano-banana", {"prompt": "x"})).is_error


async def test_where_nothing_else_does_the_same_no_substitute_is_named(
    client: Client, app: App, new_model: Sandbox
) -> None:
    new_model.discovery.add_model(NEW, SCHEMA, task_type="text-to-hologram")
    new_model.discovery.success_rates[NEW] = 10.0
    await read_rate(app, NEW)
    said = await read_refusal(client, NEW, {"prompt": "x"})
    assert "Take" not in said
    assert "anyway: true" in said
    assert not (await run_model(client, NEW, {"prompt": "x"}, anyway=True)).is_error


async def test_the_other_tiers_of_a_model_are_no_substitutes_for_it(client: Client, app: App, sandbox: Sandbox) -> None:
    """KIE counts their success as one."""
    sandbox.discovery.success_rates["veo-3-1"] = 10.0
    await read_rate(app, "veo-3-1")
    said = await read_refusal(client, "veo3_fast", {"prompt": "x"})
    assert "Take " in said
    assert "Take veo3" not in said


async def test_what_kie_has_no_figures_of_is_run(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.removed.add("veo-3-1")
    assert not (await run_model(client, "veo3_fast", {"prompt": "x"})).is_error


async def test_nobody_waits_for_figures_longer_than_they_are_worth(clock: JumpingClock, tmp_path: Path) -> None:
    async def silent(_: Any, __: Any, ___: Any) -> None:
        await anyio.sleep_forever()

    async with KieClient("sandbox", transport=httpx2.ASGITransport(app=silent), clock=clock) as client:
        live = Discovery(client, tmp_path, clock=clock)
        with anyio.fail_after(60):
            await health.check_health(live, MODELS["z-image"], timeout_seconds=0.01)
            # No list of KIE's has it, so nothing is asked.
            await health.check_health(live, MODELS["mj_txt2img"], timeout_seconds=60)
    assert live_fields.LIVE_TIMEOUT_SECONDS == 5


async def test_figures_of_another_hour_say_nothing(
    client: Client, app: App, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.discovery.success_rates["z-image"] = 0.0
    await read_rate(app, "z-image")
    assert "succeeded in 0%" in await read_refusal(client, "z-image", {"prompt": "x"})
    clock.now += 2 * HOUR
    with retry_at_once():
        sandbox.inject_fault("discovery", "503", READ_ATTEMPTS)
        assert not (await run_model(client, "z-image", {"prompt": "x"})).is_error
