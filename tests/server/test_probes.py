"""Probes: /healthz and /readyz."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from pydantic import SecretStr
from starlette.routing import Router
from support.clock import JumpingClock, wait_until
from support.runners import InterceptedKie
from support.servers import serve_app

from kie_mcp.config import Settings
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.http import PATH, build_http_app
from kie_mcp.server.operation.probes import CHECK_SECONDS, FRESH_SECONDS, Probes

pytestmark = pytest.mark.anyio
ALL_OK = {"database": "ok", "kie": "ok", "disk": "ok"}
KEY = "kie-0123456789abcdef"
ACCOUNTS = {
    "oidc_issuer": "https://login.example",
    "public_url": "https://kie.example",
    "oidc_client_id": "kie-mcp",
}
"""Settings of a server with accounts, whose provider is asked only about tokens."""


class Stage:
    def __init__(self, app: App, url: str, sandbox: Sandbox, kie: InterceptedKie) -> None:
        self.app, self.url, self.sandbox, self.kie = app, url, sandbox, kie
        self.is_away = False
        """Whether KIE cannot be reached."""

    async def get(self, path: str, **how: Any) -> tuple[int, Any]:
        with JumpingClock.hold():
            async with httpx2.AsyncClient() as http:
                answer = await http.get(self.url + path, **how)
        return answer.status_code, answer.json()


@asynccontextmanager
async def stage(settings: Settings, clock: JumpingClock, **changed: Any) -> AsyncIterator[Stage]:
    """Serve on an address of this machine, with a token."""
    changed_settings = settings.model_copy(update=changed)
    sandbox = Sandbox(clock=clock.time) if changed_settings.sandbox else Sandbox(key=KEY, clock=clock.time)

    async def answer(_: str) -> None:
        if it.is_away:
            raise httpx2.ConnectError("KIE is away")

    kie = InterceptedKie(sandbox.app, get=answer, head=answer)
    app = App(changed_settings, local_files=False, transport=httpx2.ASGITransport(app=kie), clock=clock)
    async with serve_app(build_http_app(app, host="127.0.0.1", token="a long random text")) as endpoint:
        it = Stage(app, endpoint.removesuffix(PATH), sandbox, kie)
        yield it


async def test_a_load_balancer_asks_without_a_token_and_by_any_name(settings: Settings, clock: JumpingClock) -> None:
    async with stage(settings, clock) as it:
        headers = {"Host": "10.0.0.7:8765"}
        assert await it.get("/healthz", headers=headers) == (200, {"status": "ok"})
        assert await it.get("/readyz", headers=headers) == (200, {"status": "ok", "checks": ALL_OK})


async def test_kie_is_asked_only_now_and_then(settings: Settings, clock: JumpingClock) -> None:
    async with stage(settings, clock) as it:
        await it.get("/readyz")
        # The server itself reads the balance once, at its start.
        await wait_until(lambda: it.kie.balance_reads == 2)
        before = it.kie.balance_reads
        for _ in range(20):
            await it.get("/readyz")
        assert it.kie.balance_reads == before
        await clock.sleep(FRESH_SECONDS)
        await it.get("/readyz")
        assert it.kie.balance_reads == before + 1


async def test_a_server_without_kie_is_not_ready_and_lives(settings: Settings, clock: JumpingClock) -> None:
    async with stage(settings, clock) as it:
        assert (await it.get("/readyz"))[0] == 200
        await clock.sleep(FRESH_SECONDS)
        it.sandbox.inject_fault("credit", 401, 20)
        assert await it.get("/readyz") == (503, {"status": "failed", "checks": ALL_OK | {"kie": "failed"}})
        assert (await it.get("/healthz"))[0] == 200


@pytest.mark.parametrize("who_pays", [{"caller_keys": True}, ACCOUNTS, ACCOUNTS | {"account_keys": "person"}])
async def test_with_tenants_kie_is_asked_too(settings: Settings, clock: JumpingClock, who_pays: dict[str, Any]) -> None:
    async with stage(settings, clock, **who_pays, sandbox=False, api_key=SecretStr(KEY)) as it:
        for _ in range(3):
            assert await it.get("/readyz") == (200, {"status": "ok", "checks": ALL_OK})
        assert len(it.kie.requests) + it.kie.balance_reads == 1
        await clock.sleep(FRESH_SECONDS)
        it.is_away = True
        assert await it.get("/readyz") == (503, {"status": "failed", "checks": ALL_OK | {"kie": "failed"}})
        assert (await it.get("/healthz"))[0] == 200


async def test_a_wrong_key_of_the_operator_is_told_where_it_pays_for_all(
    settings: Settings, clock: JumpingClock
) -> None:
    async with stage(settings, clock, **ACCOUNTS, sandbox=False, api_key=SecretStr("another-key-of-nobody")) as it:
        assert await it.get("/readyz") == (503, {"status": "failed", "checks": ALL_OK | {"kie": "failed"}})


async def test_a_folder_that_cannot_be_written_is_told(settings: Settings, clock: JumpingClock, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    async with stage(settings, clock, output_dir=tmp_path / "file" / "out") as it:
        assert await it.get("/readyz") == (503, {"status": "failed", "checks": ALL_OK | {"disk": "failed"}})
    async with stage(settings, clock, output_dir=tmp_path / "file" / "out", save=False) as it:
        assert (await it.get("/readyz"))[0] == 200


async def test_a_database_that_hangs_holds_up_no_probe_and_is_asked_once(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, ledger: Ledger
) -> None:
    goes_on, asked = anyio.Event(), 0

    async def open_ledger() -> Ledger:
        nonlocal asked
        asked += 1
        # A transaction cannot be cancelled either.
        with anyio.CancelScope(shield=True):
            await goes_on.wait()
        return ledger

    app = App(settings, local_files=False, transport=transport, clock=clock)
    async with (
        anyio.create_task_group() as group,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(Router(Probes(app, open_ledger, group.start_soon).build_routes())),
            base_url="http://x",
        ) as http,
    ):
        for _ in range(2):
            begin = clock.now
            answer = await http.get("/readyz")
            assert (answer.status_code, answer.json()["checks"]) == (503, ALL_OK | {"database": "failed"})
            assert clock.now - begin == CHECK_SECONDS
        assert asked == 1
        goes_on.set()
        with JumpingClock.hold():
            answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]) == (200, ALL_OK)


async def test_a_database_that_cannot_be_opened_is_told(
    settings: Settings, clock: JumpingClock, tmp_path: Path
) -> None:
    (tmp_path / "sandbox").write_text("no folder")
    async with stage(settings, clock, data_dir=tmp_path) as it:
        code, told = await it.get("/readyz")
        assert (code, told["checks"]["database"]) == (503, "failed")
        assert str(tmp_path) not in str(told)
        assert (await it.get("/healthz"))[0] == 200
