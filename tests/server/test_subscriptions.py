"""Subscribers are notified of changed tasks and of the balance, in both eras, and nobody else is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.subscriptions import Subscription
from mcp.server.subscriptions import ResourceUpdated
from mcp_types import (
    EmptyResult,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)
from support.answers import answer
from support.cases import for_each
from support.clock import JumpingClock, pass_time_until, wait_until
from support.runners import InterceptedKie, model_call, run_runner, run_to_end
from support.servers import serve_app
from support.tenants import connect, serve_tenants

from kie_mcp.config import Settings
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.file_store import MEDIA_PATH
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.extensions.subscriptions import MAX_SUBSCRIPTIONS, Subscriptions
from kie_mcp.server.http import build_http_app
from kie_mcp.tasks.order import Order

pytestmark = pytest.mark.anyio

CREDITS = "kie://credits"
MARK = "kie://tasks/t_mark"
VIDEO = ("kling_video", {"prompt": "a fox"})


class Gate:
    """Holds back the answers to requests whose path contains these words, while it is entered."""

    def __init__(self, words: str) -> None:
        self.words = words
        self.over = anyio.Event()
        self.over.set()

    def __enter__(self) -> None:
        self.over = anyio.Event()

    def __exit__(self, *_: object) -> None:
        self.over.set()

    async def __call__(self, path: str) -> None:
        if self.words in path:
            await self.over.wait()


@pytest.fixture
def status_gate() -> Gate:
    """Holds back status answers."""
    return Gate("/recordInfo")


@pytest.fixture
def file_gate() -> Gate:
    """Holds back result files."""
    return Gate(MEDIA_PATH)


@pytest.fixture
def kie(sandbox: Sandbox, status_gate: Gate, file_gate: Gate) -> InterceptedKie:
    """A KIE that records its requests, and whose answers the gates hold back."""

    async def wait(path: str) -> None:
        await status_gate(path)
        await file_gate(path)

    return InterceptedKie(sandbox.app, get=wait)


@pytest.fixture
def transport(kie: InterceptedKie) -> httpx2.ASGITransport:
    return httpx2.ASGITransport(app=kie)


class Notifications:
    """Records the notifications that a client of 2025 gets on its connection."""

    def __init__(self) -> None:
        self.uris: list[str] = []

    async def __call__(self, message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.uris.append(str(message.params.uri))


@asynccontextmanager
async def connect_legacy(app: App, heard: Notifications) -> AsyncIterator[Client]:
    async with Client(build_server(app), mode="legacy", raise_exceptions=True, message_handler=heard) as client:
        yield client


async def subscribe(client: Client, uri: str) -> None:
    await client.session.send_request(SubscribeRequest(params=SubscribeRequestParams(uri=uri)), EmptyResult)


async def unsubscribe(client: Client, uri: str) -> None:
    await client.session.send_request(UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri)), EmptyResult)


def get_subscriptions(app: App) -> Subscriptions:
    """Return the subscriptions of a running server."""
    found = getattr(app.observers[-1], "__self__", None)
    assert isinstance(found, Subscriptions)
    return found


async def wait_for_balance_reads(kie: InterceptedKie, times: int) -> None:
    """Wait until the balance has been read so many times, and the notifications have been sent."""
    await wait_until(lambda: kie.balance_reads >= times)
    await anyio.wait_all_tasks_blocked()


async def let_server_start(app: App, kie: InterceptedKie) -> None:
    """Wait until the server has read the balance that it remembers for its first task."""
    await app.runner()
    await wait_for_balance_reads(kie, 1)


async def read_notified_uris(stream: Subscription, app: App) -> set[str]:
    """Return the addresses that a stream has been notified of so far; it has to listen to MARK as well."""
    await get_subscriptions(app).task_changed(succeeded_task("t_mark"))
    uris = set[str]()
    with anyio.fail_after(60):
        async for event in stream:
            assert isinstance(event, ResourceUpdated)
            if event.uri == MARK:
                break
            uris.add(event.uri)
    return uris


def succeeded_task(id_: str) -> Task:
    return Task(id_, "suno_cover_art", "suno-cover", "image", "jobs", {}, 0.0, state="succeeded")


async def read_resource(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri, cache_mode="bypass")).contents
    assert content.mime_type == "application/json"
    return content.model_dump_json()


async def start_task(client: Client) -> str:
    """Start a task and return its address."""
    return f"kie://tasks/{answer(await client.call_tool(*VIDEO))['task_id']}"


async def wait_for_end(client: Client, *uris: str) -> None:
    ids = [uri.rpartition("/")[2] for uri in uris]
    result = await client.call_tool("get_task", {"task_ids": ids, "wait_seconds": 600})
    assert not result.is_error
    assert "running" not in str(result.structured_content)


async def test_a_client_of_2025_is_told_when_its_task_ends_and_when_its_files_are_there(
    app: App, clock: JumpingClock, status_gate: Gate, file_gate: Gate
) -> None:
    heard = Notifications()
    async with connect_legacy(app, heard) as client:
        capabilities = client.server_capabilities
        assert capabilities.resources
        assert capabilities.resources.subscribe is True
        with file_gate:
            with status_gate:
                first, second = await start_task(client), await start_task(client)
                await subscribe(client, first)
                assert heard.uris == []
            await pass_time_until(lambda: heard.uris == [first], clock)
            said = await read_resource(client, first)
            assert '\\"succeeded\\"' in said
            assert '\\"path\\"' not in said
        await pass_time_until(lambda: heard.uris == [first, first], clock)
        assert '\\"path\\"' in await read_resource(client, first)
        await wait_for_end(client, first, second)
        await anyio.wait_all_tasks_blocked()
    assert heard.uris == [first, first]


async def test_a_client_of_2025_is_told_no_more_when_it_unsubscribes(app: App, status_gate: Gate) -> None:
    heard = Notifications()
    async with connect_legacy(app, heard) as client:
        with status_gate:
            uri = await start_task(client)
            await subscribe(client, uri)
            await unsubscribe(client, uri)
            await unsubscribe(client, "kie://tasks/never-asked-for")
        await wait_for_end(client, uri)
        await anyio.wait_all_tasks_blocked()
    assert heard.uris == []


async def test_a_stream_of_2026_tells_of_its_tasks_and_of_no_others(app: App, status_gate: Gate) -> None:
    async with Client(build_server(app), raise_exceptions=True) as client:
        capabilities = client.server_capabilities
        assert capabilities.resources
        assert capabilities.resources.subscribe is True
        with status_gate:
            first, second = await start_task(client), await start_task(client)
            async with client.listen(resource_subscriptions=[first, MARK]) as stream:
                assert stream.honored.resource_subscriptions == [first, MARK]
                assert await read_notified_uris(stream, app) == set()
                status_gate.over.set()
                await wait_for_end(client, first, second)
                assert await read_notified_uris(stream, app) == {first}


async def test_the_list_of_tasks_changes_with_every_task(app: App) -> None:
    async with (
        Client(build_server(app), raise_exceptions=True) as client,
        client.listen(resource_subscriptions=["kie://tasks"]) as stream,
    ):
        await start_task(client)
        with anyio.fail_after(60):
            assert await anext(stream) == ResourceUpdated("kie://tasks")


async def test_what_a_stream_tells_can_be_read_at_once(app: App, status_gate: Gate) -> None:
    async with Client(build_server(app), raise_exceptions=True) as client:
        with status_gate:
            uri = await start_task(client)
            async with client.listen(resource_subscriptions=[uri]) as stream:
                status_gate.over.set()
                with anyio.fail_after(60):
                    await anext(stream)
                assert '\\"succeeded\\"' in await read_resource(client, uri)


async def test_streams_over_http_tell_and_2025_is_not_promised_what_cannot_work(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, status_gate: Gate
) -> None:
    remote = App(settings, local_files=False, transport=transport, clock=clock)
    async with serve_app(build_http_app(remote, host="127.0.0.1")) as url:
        async with Client(url, mode="legacy") as client:
            capabilities = client.server_capabilities
            assert capabilities.resources
            assert not capabilities.resources.subscribe
            with pytest.raises(MCPError) as refused:
                await subscribe(client, CREDITS)
            assert refused.value.code == -32601
        async with Client(url) as client:
            capabilities = client.server_capabilities
            assert capabilities.resources
            assert capabilities.resources.subscribe
            with status_gate:
                uri = await start_task(client)
                async with client.listen(resource_subscriptions=[uri, CREDITS]) as stream:
                    status_gate.over.set()
                    with anyio.fail_after(60):
                        uris = {(await anext(stream)), (await anext(stream))}
                    assert uris == {ResourceUpdated(uri), ResourceUpdated(CREDITS)}
            # A stream that the client left holds nothing.
            await wait_until(
                lambda: not get_subscriptions(remote)._bus._listeners and not get_subscriptions(remote)._balance_readers
            )


async def test_a_stream_of_a_tenant_goes_on_when_the_tenant_has_a_new_key(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with (
        serve_tenants(settings, transport, clock) as url,
        connect(url, "ann") as ann,
        ann.listen(resource_subscriptions=["kie://tasks"]) as stream,
        connect(url, "ann-later") as later,
    ):
        await start_task(later)
        with anyio.fail_after(60):
            assert await anext(stream) == ResourceUpdated("kie://tasks")


async def test_a_task_goes_by_kie_s_id_too(app: App, status_gate: Gate) -> None:
    async with Client(build_server(app), raise_exceptions=True) as client:
        with status_gate:
            uri = await start_task(client)
            (task,) = await (await app.runner()).ledger.page()
            async with client.listen(resource_subscriptions=[f"kie://tasks/{task.kie_id}", MARK]) as stream:
                status_gate.over.set()
                await wait_for_end(client, uri)
                assert await read_notified_uris(stream, app) == {f"kie://tasks/{task.kie_id}"}


async def test_a_change_of_the_balance_is_told_once(app: App, sandbox: Sandbox, kie: InterceptedKie) -> None:
    heard = Notifications()
    async with connect_legacy(app, heard) as client:
        await let_server_start(app, kie)
        await subscribe(client, CREDITS)
        before = sandbox.balance
        await client.call_tool("nano_banana_image", {"prompt": "a fox"})
        assert sandbox.balance < before
        await wait_until(lambda: bool(heard.uris))
        await anyio.wait_all_tasks_blocked()
        so_far, read = len(heard.uris), kie.balance_reads
        for more in (1, 2):
            await get_subscriptions(app).task_changed(succeeded_task("t_free"))
            await wait_for_balance_reads(kie, read + more)
        assert heard.uris == [CREDITS] * so_far


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_the_balance_is_not_read_while_nobody_listens(app: App, kie: InterceptedKie, era: Any) -> None:
    async with Client(build_server(app), mode=era, raise_exceptions=True) as client:
        await let_server_start(app, kie)
        if era == "legacy":
            await subscribe(client, CREDITS)
            await unsubscribe(client, CREDITS)
        else:
            async with client.listen(resource_subscriptions=[CREDITS]):
                pass
            await wait_until(lambda: get_subscriptions(app)._balance_readers == 0)
        await client.call_tool("nano_banana_image", {"prompt": "a fox"})
        # Once to remember it for the next task.
        await wait_for_balance_reads(kie, 2)
        assert kie.balance_reads == 2


async def test_a_balance_that_cannot_be_read_ends_nothing(app: App, sandbox: Sandbox, kie: InterceptedKie) -> None:
    heard = Notifications()
    async with connect_legacy(app, heard) as client:
        await let_server_start(app, kie)
        await subscribe(client, CREDITS)
        sandbox.inject_fault("credit", "code:401")
        await get_subscriptions(app).task_changed(succeeded_task("t_1"))
        await wait_for_balance_reads(kie, 2)
        assert heard.uris == []
        assert not (await client.call_tool("nano_banana_image", {"prompt": "a fox"})).is_error
        await wait_until(lambda: bool(heard.uris))


async def test_who_comes_anew_is_told_of_the_next_change_whatever_was_told_before(
    app: App, kie: InterceptedKie
) -> None:
    async with Client(build_server(app), raise_exceptions=True) as client:
        await let_server_start(app, kie)
        for _ in range(2):
            async with client.listen(resource_subscriptions=[CREDITS, MARK]) as stream:
                await get_subscriptions(app).task_changed(succeeded_task("t_1"))
                with anyio.fail_after(60):
                    assert await anext(stream) == ResourceUpdated(CREDITS)
                read = kie.balance_reads
                await get_subscriptions(app).task_changed(succeeded_task("t_1"))
                await wait_for_balance_reads(kie, read + 1)
                assert await read_notified_uris(stream, app) == set()


@pytest.fixture
async def client_of_2025(app: App) -> AsyncIterator[Client]:
    async with connect_legacy(app, Notifications()) as client:
        yield client


@for_each(
    "uri, words",
    [
        ("kie://models", "Only kie://credits"),
        ("kie://models/veo3", "Only kie://credits"),
        ("kie://tasks/", "Only kie://credits"),
        ("kie://credits/1", "Only kie://credits"),
        ("file:///etc/passwd", "Only kie://credits"),
        ("", "Only kie://credits"),
        ("kie://tasks/t_unknown", "There is no task t_unknown"),
        ("kie://tasks/лиса 🦊", "There is no task"),
    ],
)
async def test_what_never_changes_cannot_be_subscribed_to(client_of_2025: Client, uri: str, words: str) -> None:
    with pytest.raises(MCPError) as refused:
        await subscribe(client_of_2025, uri)
    assert refused.value.code == -32602
    assert words in str(refused.value)
    assert refused.value.error.data == {"uri": uri}


async def test_a_connection_has_so_many_subscriptions_and_no_more(app: App) -> None:
    async with connect_legacy(app, Notifications()) as client:
        await start_task(client)
        (task,) = await (await app.runner()).ledger.page()
        uris = [f"kie://tasks/task:{task.id}#{n}" for n in range(MAX_SUBSCRIPTIONS)]
        for uri in uris:
            await subscribe(client, uri)
        await subscribe(client, uris[0])
        with pytest.raises(MCPError, match="unsubscribe from one"):
            await subscribe(client, CREDITS)
        await unsubscribe(client, uris[0])
        await subscribe(client, CREDITS)


async def test_a_stream_honors_only_addresses_that_can_change(app: App) -> None:
    async with Client(build_server(app), raise_exceptions=True) as client:
        many = [f"kie://tasks/t_{n}" for n in range(MAX_SUBSCRIPTIONS)]
        uris = ["kie://models", "file:///etc/passwd", "kie://tasks/", CREDITS, *many]
        async with client.listen(tools_list_changed=True, resource_subscriptions=uris) as stream:
            assert stream.honored.resource_subscriptions == [CREDITS, *many[:-1]]
            assert stream.honored.tools_list_changed


async def test_without_a_key_a_subscription_says_how_to_set_one(keyless: Settings, clock: JumpingClock) -> None:
    async with connect_legacy(App(keyless, clock=clock), Notifications()) as client:
        with pytest.raises(MCPError, match="KIE_API_KEY"):
            await subscribe(client, "kie://tasks/t_1")
    async with (
        Client(build_server(App(keyless, clock=clock)), raise_exceptions=True) as client,
        client.listen(resource_subscriptions=["kie://tasks/t_1", CREDITS]) as stream,
    ):
        assert stream.honored.resource_subscriptions == ["kie://tasks/t_1", CREDITS]


async def test_a_task_that_another_server_started_is_watched_once_somebody_subscribes(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with Client(build_server(App(settings, transport=transport, clock=clock))) as here:
        await here.call_tool("list_tasks")
        async with Client(build_server(App(settings, transport=transport, clock=clock))) as other:
            uri = await start_task(other)
        async with here.listen(resource_subscriptions=[uri]) as stream:
            with anyio.fail_after(60):
                assert await anext(stream) == ResourceUpdated(uri)


@pytest.mark.on_postgresql
async def test_a_task_that_another_live_server_watches_is_told_when_the_ledger_says_that_it_has_ended(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, status_gate: Gate
) -> None:
    def build() -> App:
        return App(settings, transport=transport, clock=clock)

    told = list[str]()

    async def read(stream: Subscription) -> None:
        async for event in stream:
            assert isinstance(event, ResourceUpdated)
            told.append(event.uri)

    async with Client(build_server(build())) as other, Client(build_server(build())) as here:
        with status_gate:
            uri, own = await start_task(other), await start_task(here)
            addresses = [uri, own, "kie://library"]
            async with here.listen(resource_subscriptions=addresses) as stream, anyio.create_task_group() as group:
                group.start_soon(read, stream)
                status_gate.over.set()
                await wait_for_end(here, own, uri)
                await pass_time_until(lambda: {uri, own, "kie://library"} == set(told), clock)
                group.cancel_scope.cancel()
    assert told.count(own) == 2, "what this server watches is told once for its end and once for its files"


async def test_a_stream_does_not_wait_until_kie_has_accepted_its_tasks(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    answers = Gate("/createTask")
    transport = httpx2.ASGITransport(app=InterceptedKie(sandbox.app, post=answers))
    async with Client(build_server(App(settings, transport=transport, clock=clock)), raise_exceptions=True) as client:
        with answers:
            uri, before = await start_task(client), clock.monotonic()
            async with client.listen(resource_subscriptions=[uri, "kie://tasks/5f0c5f0c5f0c5f0c"]):
                assert clock.monotonic() == before


async def test_every_state_that_is_written_down_is_told_after_it_is(
    tmp_path: Any, sandbox: Sandbox, clock: JumpingClock
) -> None:
    seen: list[tuple[str, bool, str]] = []
    async with run_runner(tmp_path, sandbox.app, clock) as runner:

        async def note(task: Task, _: Task) -> None:
            row = await runner.ledger.find(task.id)
            assert row
            seen.append((task.state, task.saved, row.state))
            assert row == task

        runner._services = replace(runner._services, on_change=note)
        await run_to_end(runner, await runner.submit(Order("kling_video", model_call("kling_video"))))
    assert seen == [("running", False, "running"), ("succeeded", False, "succeeded"), ("succeeded", True, "succeeded")]
