"""The receiver of KIE's callbacks over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from pydantic import SecretStr
from support.answers import answer
from support.clock import JumpingClock, wait_until
from support.ledgers import change_rows
from support.runners import InterceptedKie
from support.servers import break_off, serve_app

from kie_mcp.config import Settings
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.access_token import CALLBACK_FILE
from kie_mcp.server.app import App
from kie_mcp.server.callback_receiver import MAX_BYTES
from kie_mcp.server.http import PATH, build_http_app
from kie_mcp.tasks.wake_files import FOLDER, LOOK_SECONDS

pytestmark = pytest.mark.anyio
KEY = "a key for signatures"
SECRET = "a secret of many characters"
TOKEN = "a long random text"
SECONDS = 60.0


class Stage:
    """A server over HTTP whose KIE calls it."""

    def __init__(self, app: App, url: str, sandbox: Sandbox, kie: InterceptedKie) -> None:
        self.app, self.url, self.sandbox, self.kie = app, url, sandbox, kie

    @property
    def address(self) -> str:
        """The path of the newest task's address."""
        given = str(self.sandbox.accepted[-1].body["callBackUrl"])
        return given.removeprefix("https://me.example/kie")

    async def start(self, prompt: str = "a fox") -> str:
        """Start a task, which takes no time, and return its id."""
        with JumpingClock.hold():
            return await self._call(prompt)

    async def _call(self, prompt: str) -> str:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
            Client(self._open(http)) as client,
        ):
            made = answer(await client.call_tool("kling_video", {"prompt": prompt}))
        return str(made["task_id"])

    def _open(self, http: httpx2.AsyncClient) -> Any:
        from mcp.client.streamable_http import streamable_http_client

        return streamable_http_client(self.url + PATH, http_client=http)


@asynccontextmanager
async def stage(settings: Settings, clock: JumpingClock, **changed: Any) -> AsyncIterator[Stage]:
    """Serve with a public address, and let the sandbox's calls arrive there."""
    sandbox = Sandbox(seconds=SECONDS, clock=clock.time, credits=10_000)
    kie = InterceptedKie(sandbox.app)
    update = {"public_url": "https://me.example/kie", "save": False, "wait_seconds": 0, **changed}
    app = App(
        settings.model_copy(update=update), local_files=False, transport=httpx2.ASGITransport(app=kie), clock=clock
    )
    async with serve_app(build_http_app(app, host="0.0.0.0", token=TOKEN)) as endpoint:
        yield Stage(app, endpoint.removesuffix(PATH), sandbox, kie)


async def post(it: Stage, path: str, **how: Any) -> httpx2.Response:
    """Call an address, which takes no time."""
    with JumpingClock.hold():
        async with httpx2.AsyncClient() as http:
            return await http.request(how.pop("method", "POST"), it.url + path, **how)


async def count_reads(it: Stage, path: str, clock: JumpingClock, **how: Any) -> tuple[int, int]:
    """Call an address; return the status of the answer, and how many times KIE was asked for the task because of it."""
    it.kie.requests.clear()
    response = await post(it, path, **how)
    await clock.sleep(0.01)
    # The server may still ask KIE how well the model works, which it does beside the first call.
    return response.status_code, it.kie.requests.count(f"GET {JOBS.status}")


async def test_kie_calls_without_the_token_of_callers_and_is_asked_at_once(
    settings: Settings, clock: JumpingClock
) -> None:
    async with stage(settings, clock) as it:
        await it.start()
        await clock.sleep(3)
        assert await count_reads(it, it.address, clock, json={"data": {"state": "success"}}) == (200, 1)
        runner = await it.app.runner()
        # Nothing in the body was believed.
        assert [task.state for task in await runner.ledger.page()] == ["running"]


async def test_no_other_address_exists(settings: Settings, clock: JumpingClock) -> None:
    async with stage(settings, clock) as it:
        await it.start()
        path = it.address
        parent = path.rsplit("/", 1)[0]
        for other in (
            path[:-1] + ("A" if path[-1] != "A" else "B"),
            f"{parent}/",
            parent,
            f"{parent}/%FF%00",
            path.replace("/callbacks/t_", "/callbacks/t_a"),
            path.replace("/callbacks/", "/callbacks/..%2F"),
            f"{path}/more",
            f"/kie{path}",
        ):
            code, reads = await count_reads(it, other, clock)
            # What is no address at all belongs to callers with the token.
            assert code in (401, 404), other
            assert reads == 0, other


async def test_an_address_is_only_called(settings: Settings, clock: JumpingClock) -> None:
    async with stage(settings, clock) as it:
        await it.start()
        assert await count_reads(it, it.address, clock, method="GET") == (405, 0)


async def test_without_a_public_address_there_is_no_receiver(settings: Settings, clock: JumpingClock) -> None:
    async with stage(settings, clock, public_url="") as it:
        await it.start()
        assert "callBackUrl" not in it.sandbox.accepted[-1].body
        assert await count_reads(it, "/callbacks/t_abc/x", clock) == (404, 0)
        assert not (settings.data_dir / CALLBACK_FILE).exists()


async def test_a_large_body_is_not_read(settings: Settings, clock: JumpingClock) -> None:
    async with stage(settings, clock) as it:
        await it.start()
        await clock.sleep(3)
        assert await count_reads(it, it.address, clock, content=b" " * (MAX_BYTES + 1)) == (413, 0)
        assert await count_reads(it, it.address, clock, content=b"\xff" * MAX_BYTES) == (200, 1)


async def test_a_call_that_is_broken_off_leaves_no_error_in_the_log(
    settings: Settings, clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(settings, clock) as it:
        await it.start()
        with JumpingClock.hold():
            await break_off(it.url + it.address, {})
    assert not [each for each in caplog.records if each.exc_info]


async def test_with_a_key_only_signed_calls_count(settings: Settings, clock: JumpingClock) -> None:
    """The sandbox signs as KIE does."""
    from kie_mcp.kie.callbacks import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

    async with stage(settings, clock, webhook_key=SecretStr(KEY)) as it:
        await it.start()
        await clock.sleep(3)
        kie_id, now = it.sandbox.accepted[-1].id, str(int(clock.time()))
        body = {"data": {"taskId": kie_id}}
        signed = {TIMESTAMP_HEADER: now, SIGNATURE_HEADER: sign(KEY, kie_id, now)}
        assert await count_reads(it, it.address, clock, json=body) == (401, 0)
        forged = signed | {SIGNATURE_HEADER: sign("another", kie_id, now)}
        assert await count_reads(it, it.address, clock, json=body, headers=forged) == (401, 0)
        assert await count_reads(it, it.address, clock, json=body, headers=signed) == (200, 1)
        clock.now += 400
        assert (await count_reads(it, it.address, clock, json=body, headers=signed))[0] == 401


async def test_the_sandbox_of_the_server_calls_it_signed(settings: Settings) -> None:
    """Over real HTTP, in real time, as a first trial of the setting does."""
    calls: list[int] = []

    async with serve_app(_forward(calls)) as front:
        update = {"public_url": front.removesuffix(PATH), "webhook_key": SecretStr(KEY), "sandbox_seconds": 0.3}
        app = App(settings.model_copy(update=update), local_files=False)
        inner = build_http_app(app, host="127.0.0.1")
        FORWARDED.append(inner)
        async with serve_app(inner) as url, Client(url) as client:
            made = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
            assert made["status"] == "succeeded"
    assert calls == [200]
    assert (settings.data_dir / CALLBACK_FILE).stat().st_mode & 0o777 == 0o600


FORWARDED: list[Any] = []


def _forward(calls: list[int]) -> Any:
    """A proxy in front of a server, which notes how its callbacks are answered."""

    async def forward(scope: Any, receive: Any, send: Any) -> None:
        async def note(message: Any) -> None:
            if message["type"] == "http.response.start":
                calls.append(message["status"])
            await send(message)

        if scope["type"] == "http":
            await FORWARDED[-1](scope, receive, note)

    return forward


@pytest.mark.on_postgresql
async def test_a_call_at_one_server_wakes_the_watcher_in_another(settings: Settings, clock: JumpingClock) -> None:
    secret = SecretStr(SECRET)
    async with (
        stage(settings, clock, callback_secret=secret) as one,
        stage(settings, clock, callback_secret=secret) as two,
    ):
        await one.start()
        await clock.sleep(3)
        # No time passes from here on, or KIE would be asked because it is time to.
        with JumpingClock.hold():
            await two.app.runner()
            changes = (await one.app.runner()).ledger.database.changes
            await wait_until(lambda: changes.are_reported or not settings.database_url)
            one.kie.requests.clear()
            assert (await post(two, one.address)).status_code == 200
            # PostgreSQL tells it; where there is none, a file does, and is gone then.
            clock.now += LOOK_SECONDS
            await wait_until(lambda: bool(one.kie.requests) and not list(settings.state_dir.glob(f"{FOLDER}/*")))
        assert len(one.kie.requests) == 1
        assert two.kie.requests == []
        assert (settings.state_dir / FOLDER).exists() == (not settings.database_url)


async def test_a_server_that_cannot_be_opened_asks_kie_to_call_again(settings: Settings, clock: JumpingClock) -> None:
    async with stage(settings, clock, sandbox=False) as it:
        assert (await post(it, "/callbacks/t_abc/x")).status_code == 503


async def test_a_server_whose_ledger_cannot_be_used_asks_kie_to_call_again(
    settings: Settings, clock: JumpingClock
) -> None:
    async with stage(settings, clock) as it:
        await it.start()
        of_another_process = (await it.app.runner()).callbacks.find_address("t_abc")
        change_rows(settings.state_dir, "DROP TABLE tasks")
        path = of_another_process.removeprefix("https://me.example/kie")
        assert (await post(it, path)).status_code == 503


def test_on_stdio_kie_is_given_no_address(settings: Settings, clock: JumpingClock) -> None:
    app = App(settings.model_copy(update={"public_url": "https://me.example"}), clock=clock)
    assert not app._find_callbacks(app.settings).are_received
