"""Tenants: whose app a request gets, when it is opened and closed, and what the tenants have in common."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from starlette.responses import Response
from support.answers import answer
from support.clock import JumpingClock, wait_until
from support.echoing_kie import EchoingKie
from support.effort import Effort
from support.media_files import picture
from support.runners import InterceptedKie, model_call
from support.servers import serve_app
from support.tenants import ANN, ANNS_KEY, BOB, BOBS_KEY, build_app, make_picture, run_tenants

from kie_mcp.config import Settings
from kie_mcp.deadline import use_deadline
from kie_mcp.errors import ApiError, CapReached, ConfigurationError
from kie_mcp.kie.rate_limit import CREATE_LIMIT, STATUS_READS
from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.accounts.caller import Caller
from kie_mcp.server.accounts.needs_key import UNREADABLE
from kie_mcp.server.accounts.tenants import IDLE_SECONDS, LOOK_SECONDS, Tenants
from kie_mcp.server.app import SETTLE_SECONDS, App
from kie_mcp.server.http import PATH, build_http_app
from kie_mcp.tasks import wake_files

pytestmark = pytest.mark.anyio

TOKEN = "a long random text"
MODEL = model_call("nano_banana_image")


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@asynccontextmanager
async def serve_keys(
    settings: Settings, transport: httpx2.AsyncBaseTransport, clock: JumpingClock, token: str = ""
) -> AsyncIterator[str]:
    app = build_app(settings.model_copy(update={"caller_keys": True}), transport, clock)
    async with serve_app(build_http_app(app, host="127.0.0.1", token=token)) as url:
        yield url


@asynccontextmanager
async def connect(url: str, **headers: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={name.replace("_", "-"): text for name, text in headers.items()}) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


async def list_prompts(client: Client) -> str:
    return (await client.call_tool("library", {})).model_dump_json()


@pytest.mark.parametrize("token", ["", TOKEN], ids=["without a token", "beside a token"])
async def test_each_key_sees_its_own_tasks_also_after_a_restart(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, token: str
) -> None:
    def send(key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}", "X_KIE_Key": key} if token else {"Authorization": f"Bearer {key}"}

    for number in range(2):
        async with serve_keys(settings, transport, clock, token) as url:
            async with connect(url, **send(ANNS_KEY)) as ann:
                assert answer(await ann.call_tool("z_image", {"prompt": f"fox {number}"}))["status"] == "succeeded"
                assert "fox 0" in await list_prompts(ann)
            async with connect(url, **send(BOBS_KEY)) as bob:
                assert "fox" not in await list_prompts(bob)


@pytest.mark.parametrize("token", ["", TOKEN], ids=["without a token", "beside a token"])
async def test_the_command_for_a_file_of_a_caller_sends_all_that_the_server_asks_for(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, token: str
) -> None:
    async with serve_keys(settings, transport, clock, token) as url, httpx2.AsyncClient() as http:
        async with connect(url, X_KIE_Key=ANNS_KEY, Authorization=f"Bearer {token or 'none'}") as ann:
            refused = await ann.call_tool("recraft_remove_background", {"image": "/home/ann/fox.png"})
        command = answer(refused)["error"]["next_step"].removeprefix("Send it: ").partition(" and pass")[0]
        command = command.replace("TOKEN", token or "none").replace("KIE_KEY", ANNS_KEY)
        headers = dict(re.findall(r"-H '([\w-]+): (.+?)'", command))
        sent = await http.post(f"{url.removesuffix(PATH)}/uploads?name=fox.png", content=picture(), headers=headers)
    assert sent.status_code == 201, sent.text


async def test_the_first_call_of_a_new_tenant_waits_for_a_slow_kie_until_its_deadline(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async def wait(_: str) -> None:
        await clock.sleep(9)

    transport = httpx2.ASGITransport(app=InterceptedKie(sandbox.app, get=wait))
    async with run_tenants(build_app(settings, transport, clock)) as tenants, tenants.use(ANN) as ann:
        began = clock.monotonic()
        with use_deadline(began + 3.5), pytest.raises(ApiError, match="KIE has not answered in time"):
            await ann.runner()
        assert clock.monotonic() - began == pytest.approx(3.5)
        await ann.runner()


REFUSED: dict[str, tuple[list[tuple[str, str]], str]] = {
    "no key": ([], "is missing"),
    "another scheme": ([("Authorization", f"Basic {ANNS_KEY}")], "is missing"),
    "a short key": ([("X-KIE-Key", "short")], "has 5 characters"),
    "a long key": ([("X-KIE-Key", "k" * 201)], "has 201 characters"),
    "two keys": ([("X-KIE-Key", ANNS_KEY), ("X-KIE-Key", BOBS_KEY)], "more than once"),
    "a placeholder": ([("X-KIE-Key", "YOUR_KIE_API_KEY_HERE")], "placeholder"),
    "a key in quotes": ([("X-KIE-Key", f"'{ANNS_KEY}'")], "quotes"),
    "a key with a scheme": ([("X-KIE-Key", f"Bearer {ANNS_KEY}")], "begins with Bearer"),
}


async def test_a_request_without_a_good_key_is_refused_and_says_what_to_send(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with serve_keys(settings, transport, clock) as url, httpx2.AsyncClient() as http:
        for (case, (headers, told)), place in product(REFUSED.items(), ("/mcp", "/uploads", "/library/api/items")):
            method = "GET" if place.startswith("/library") else "POST"
            response = await http.request(method, url.removesuffix(PATH) + place, headers=headers)
            assert response.status_code == 401, f"{case}: {place}"
            assert response.headers["www-authenticate"] == "Bearer", f"{case}: {place}"
            assert told in response.json()["message"], f"{case}: {place}"
            assert "X-KIE-Key" in response.json()["next_step"], f"{case}: {place}"
            assert ANNS_KEY not in response.text, f"{case}: {place}"


async def test_beside_a_token_the_bearer_is_no_key(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with serve_keys(settings, transport, clock, TOKEN) as url, httpx2.AsyncClient() as http:
        for bearer in (TOKEN, ANNS_KEY):
            refused = await http.post(url, headers={"Authorization": f"Bearer {bearer}"})
            assert refused.status_code == 401


async def test_the_key_of_a_caller_is_on_no_disk_and_in_no_answer_although_kie_repeats_it(
    settings: Settings, clock: JumpingClock, tmp_path: Path
) -> None:
    kie = Sandbox(key=ANNS_KEY, seconds=1, clock=clock.time)
    echoing = EchoingKie(kie.app, f" {ANNS_KEY} ")
    real = settings.model_copy(update={"sandbox": False})
    async with (
        serve_keys(real, httpx2.ASGITransport(app=echoing), clock) as url,
        connect(url, X_KIE_Key=ANNS_KEY) as ann,
    ):
        kie.inject_fault("create", "code:422")
        told = [await ann.call_tool("z_image", {"prompt": f"fox {number}"}) for number in range(2)]
        told.append(await ann.call_tool("get_credits", {}))
        assert "[key]" in told[0].model_dump_json()
        assert ANNS_KEY not in "".join(each.model_dump_json() for each in told)
    files = read_files(tmp_path)
    assert files
    assert not [name for name, content in files.items() if ANNS_KEY.encode() in content or ANNS_KEY in name]


async def test_a_key_that_kie_refuses_gets_neither_a_ledger_nor_a_folder(
    settings: Settings, clock: JumpingClock
) -> None:
    kie = Sandbox(key=ANNS_KEY, clock=clock.time)
    real = settings.model_copy(update={"sandbox": False})
    async with (
        serve_keys(real, httpx2.ASGITransport(app=kie.app), clock) as url,
        connect(url, X_KIE_Key=BOBS_KEY) as bob,
    ):
        told = await bob.call_tool("list_tasks", {})
        assert answer(told)["error"]["category"] == "auth"
        assert "the KIE key that you send" in answer(told)["error"]["next_step"]
    assert not (settings.data_dir / "tenants").exists()


async def test_a_task_of_a_caller_goes_on_when_the_caller_comes_back_after_a_restart(
    settings: Settings, clock: JumpingClock
) -> None:
    transport = httpx2.ASGITransport(app=Sandbox(seconds=100, clock=clock.time).app)
    async with run_tenants(build_app(settings, transport, clock)) as first, first.use(ANN) as ann:
        made = await make_picture(ann)
    async with run_tenants(build_app(settings, transport, clock)) as second:
        async with second.use(BOB) as bob:
            await bob.runner()
        with JumpingClock.hold():
            async with second.use(ANN) as ann:
                runner = await ann.runner()
                await wait_until(lambda: bool(runner.watched))
        async with second.use(ANN) as ann:
            runner = await ann.runner()
            (ended,) = await runner.wait([await runner.get(made.id)], 1000)
    assert ended.state == "succeeded"


@pytest.mark.on_postgresql
async def test_the_tasks_of_a_dead_process_go_on_if_the_key_can_be_found(
    settings: Settings, clock: JumpingClock
) -> None:
    transport = httpx2.ASGITransport(app=Sandbox(seconds=100, clock=clock.time).app)
    asked: list[str] = []

    async def find(name: str) -> Caller | None:
        asked.append(name)
        return {"ann": ANN, "bob": BOB}.get(name)

    async with run_tenants(build_app(settings, transport, clock), find) as other:
        with JumpingClock.hold():
            async with run_tenants(build_app(settings, transport, clock)) as one:
                async with one.use(ANN) as ann:
                    made = await make_picture(ann)
                async with one.use(BOB) as bob:
                    await bob.runner()
        await clock.sleep(60)
        await wait_until(lambda: other.find_open("ann") is not None)
        app = other.find_open("ann")
        assert app
        runner = await app.runner()
        await wait_until(lambda: bool(runner.watched))
        (ended,) = await runner.wait([await runner.get(made.id)], 1000)
    assert ended.state == "succeeded"
    # Bob has no task that has not ended.
    assert set(asked) == {"ann"}


@pytest.mark.on_postgresql
async def test_a_process_that_ends_hands_its_tenants_tasks_over_within_two_seconds(
    settings: Settings, clock: JumpingClock
) -> None:
    transport = httpx2.ASGITransport(app=Sandbox(seconds=100, clock=clock.time).app)

    async def find(name: str) -> Caller | None:
        return {"ann": ANN}.get(name)

    async with run_tenants(build_app(settings, transport, clock), find) as other:
        with JumpingClock.hold():
            async with run_tenants(build_app(settings, transport, clock), find) as one, one.use(ANN) as ann:
                await wait_until(one._has_lease.is_set)
                made = await make_picture(ann)

        def is_watched() -> bool:
            app = other.find_open("ann")
            return bool(app and app.opened_runner and made.id in app.opened_runner.watched)

        await clock.sleep(2)
        await wait_until(is_watched)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_process_hears_of_the_tasks_of_its_tenants_on_one_connection(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with (
        run_tenants(build_app(settings, transport, clock)) as one,
        run_tenants(build_app(settings, transport, clock)) as two,
        one.use(ANN) as writing,
        two.use(ANN) as reading,
        two.use(BOB) as another,
    ):
        ledgers = [(await app.runner()).ledger for app in (writing, reading, another)]
        changes = [ledger.database.changes for ledger in ledgers]
        await wait_until(lambda: all(each.are_reported for each in changes))
        made = await make_picture(writing)
        with anyio.fail_after(60):
            await changes[1].wait(made.id)
    assert not changes[2].are_reported


@pytest.mark.on_postgresql
@pytest.mark.parametrize("heard_by", [0, 1], ids=["the process itself", "another process"])
async def test_a_call_of_kie_reaches_the_process_that_watches_the_tenants_task(
    settings: Settings, clock: JumpingClock, heard_by: int
) -> None:
    public = settings.model_copy(update={"public_url": "https://me.example", "save": False})
    sandbox = Sandbox(seconds=100, clock=clock.time)
    kie = InterceptedKie(sandbox.app)
    transport = httpx2.ASGITransport(app=kie)
    async with (
        run_tenants(build_app(public, transport, clock)) as one,
        run_tenants(build_app(public, transport, clock)) as two,
    ):
        async with one.use(ANN) as ann:
            made = await make_picture(ann)
        changes = (await one.open_common_ledger()).database.changes
        await wait_until(lambda: changes.are_reported or not settings.database_url)
        *_, name, token = sandbox.accepted[0].body["callBackUrl"].split("/")
        assert name == f"ann.{made.id}"
        with JumpingClock.hold():
            receiver = (one, two)[heard_by]
            assert await receiver.is_callback_address(name, token)
            for other in (made.id, f"bob.{made.id}"):
                assert not await receiver.is_callback_address(other, token)
            kie.requests.clear()
            await receiver.handle_callback(name)
            # A SQLite file tells other processes by files, for which they look so often.
            clock.now += wake_files.LOOK_SECONDS
            await wait_until(lambda: bool(kie.requests))
            assert len(kie.requests) == 1


async def test_an_app_is_closed_when_it_is_idle_and_opened_again_by_the_next_call(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with run_tenants(build_app(settings, transport, clock)) as tenants:
        async with tenants.use(ANN) as app:
            await app.runner()
            await clock.sleep(IDLE_SECONDS + 2 * LOOK_SECONDS)
            assert tenants.find_open("ann") is app
        await clock.sleep(IDLE_SECONDS + 2 * LOOK_SECONDS)
        await wait_until(lambda: tenants.find_open("ann") is None)
        async with tenants.use(ANN) as again:
            assert again is not app
            assert await (await again.runner()).ledger.page() == []


async def test_the_cap_of_a_session_outlives_the_app(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    capped = settings.model_copy(update={"max_credits_per_session": 6})
    async with run_tenants(build_app(capped, transport, clock)) as tenants:
        async with tenants.use(ANN) as app:
            await make_picture(app)
        await clock.sleep(IDLE_SECONDS + 2 * LOOK_SECONDS)
        await wait_until(lambda: tenants.find_open("ann") is None)
        async with tenants.use(ANN) as app:
            with pytest.raises(CapReached):
                await make_picture(app, "a second fox")


async def test_a_new_key_of_a_tenant_takes_the_place_of_the_old_one(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with run_tenants(build_app(settings, transport, clock)) as tenants:
        async with tenants.use(ANN) as app:
            made = await make_picture(app)
        async with tenants.use(Caller("ann", key=SecretStr(BOBS_KEY))) as again:
            assert again is not app
            assert again.settings.api_key == SecretStr(BOBS_KEY)
            assert (await (await again.runner()).get(made.id)).id == made.id


async def test_an_app_goes_on_while_the_tenant_s_new_key_cannot_be_read(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with (
        run_tenants(build_app(settings, transport, clock)) as tenants,
        tenants.use(ANN) as app,
        tenants.use(Caller("ann", key=UNREADABLE)) as again,
    ):
        assert again is app


@pytest.mark.on_postgresql
async def test_a_create_that_is_on_its_way_when_the_key_changes_is_waited_for(
    settings: Settings, clock: JumpingClock
) -> None:
    """Nobody would know whether KIE accepted a create that is cut; what runs then goes on with the new key."""
    asked, answered = anyio.Event(), anyio.Event()

    async def hold_back(path: str) -> Response | None:
        if path == JOBS.create:
            asked.set()
            await answered.wait()
        return None

    kie = InterceptedKie(Sandbox(seconds=100, clock=clock.time).app, post=hold_back)
    opened: list[App] = []

    async with run_tenants(build_app(settings, httpx2.ASGITransport(app=kie), clock)) as tenants:

        async def call_with_old_key() -> None:
            async with tenants.use(ANN) as app:
                await make_picture(app)

        async def call_with_new_key() -> None:
            async with tenants.use(Caller("ann", key=SecretStr(BOBS_KEY))) as app:
                opened.append(app)
                runner = await app.runner()
                await wait_until(lambda: bool(runner.watched))
                (task,) = await runner.ledger.page()
                (ended,) = await runner.wait([task], 1000)
            assert (task.state, ended.state) == ("running", "succeeded")

        async with anyio.create_task_group() as group:
            group.start_soon(call_with_old_key)
            await asked.wait()
            group.start_soon(call_with_new_key)
            # A server that ends waits no longer than this, by the machine's clock.
            with anyio.move_on_after(2 * SETTLE_SECONDS):
                await wait_until(lambda: bool(opened))
            assert not opened
            answered.set()


@pytest.mark.on_postgresql
async def test_the_cap_of_all_holds_for_all_tenants_of_all_processes_together(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    """Each picture costs 4 credits: of twelve at the same moment, four fit, and a day later there is room again."""
    capped = settings.model_copy(update={"max_credits_per_day_all": 17})
    made: list[Task] = []
    refused: list[CapReached] = []

    async def call(tenants: Tenants, caller: Caller, number: int) -> None:
        async with tenants.use(caller) as app:
            try:
                made.append(await make_picture(app, f"fox {number}"))
            except CapReached as error:
                refused.append(error)

    async with (
        run_tenants(build_app(capped, transport, clock)) as one,
        run_tenants(build_app(capped, transport, clock)) as two,
    ):
        async with anyio.create_task_group() as group:
            for number in range(3):
                for tenants in (one, two):
                    for caller in (ANN, BOB):
                        group.start_soon(call, tenants, caller, number + 10 * (tenants is one))
        assert (len(made), len(refused)) == (4, 8)
        assert all("KIE_MCP_MAX_CREDITS_PER_DAY_ALL" in error.message for error in refused)
        assert not any("17" in error.message for error in refused)
        await clock.sleep(24 * 3600 + 1)
        await call(one, BOB, 99)
        assert len(made) == 5


async def test_a_task_that_was_refused_does_not_count_against_the_cap_of_all(
    settings: Settings, sandbox: Sandbox, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    capped = settings.model_copy(update={"max_credits_per_day_all": 4})
    sandbox.inject_fault("create", "code:422", 1)
    async with run_tenants(build_app(capped, transport, clock)) as tenants, tenants.use(ANN) as app:
        with pytest.raises(ApiError):
            await make_picture(app)
        assert (await make_picture(app, "another fox")).state in {"running", "succeeded"}


async def test_without_tenants_the_cap_of_all_is_that_of_the_day(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    capped = settings.model_copy(update={"max_credits_per_day_all": 3})
    async with build_app(capped, transport, clock).run() as app:
        with pytest.raises(CapReached):
            await make_picture(app)


async def test_a_name_that_is_no_name_of_a_folder_is_refused(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with run_tenants(build_app(settings, transport, clock)) as tenants:
        for name in ("../bob", "", "Bob", "a/b", "-", "a" * 41):
            with pytest.raises(ConfigurationError):
                async with tenants.use(Caller(name)):
                    pass


async def test_callers_with_keys_may_come_from_elsewhere_without_a_token(settings: Settings) -> None:
    keyed = settings.model_copy(update={"caller_keys": True})
    build_http_app(App(keyed, local_files=False), host="0.0.0.0")
    for unsafe, token in ((settings, ""), (settings, "short"), (keyed, "short")):
        with pytest.raises(ConfigurationError):
            build_http_app(App(unsafe, local_files=False), host="0.0.0.0", token=token)


KEYS = {"the tenants' own": SecretStr(ANNS_KEY), "the operator's": None}


@pytest.mark.parametrize(
    ("database", "key"),
    [*(product if Effort.is_thorough else zip)(("sqlite", "postgresql"), KEYS)],
    indirect=["database"],
)
async def test_tenants_with_one_key_share_its_limits_in_all_processes(
    settings: Settings, clock: JumpingClock, key: str
) -> None:
    sandbox = Sandbox(seconds=12, clock=clock.time)
    times: dict[str, list[float]] = {JOBS.create: [], JOBS.status: []}

    async def note(path: str) -> None:
        if path in times:
            times[path].append(clock.now)

    transport = httpx2.ASGITransport(app=InterceptedKie(sandbox.app, get=note, post=note))
    ann, bob = Caller("ann", key=KEYS[key]), Caller("bob", key=KEYS[key])
    unsaved = settings.model_copy(update={"save": False, "sandbox_seconds": 4})
    async with (
        run_tenants(build_app(unsaved, transport, clock)) as one,
        run_tenants(build_app(unsaved, transport, clock)) as two,
        one.use(ann) as first,
        two.use(bob) as second,
    ):
        made = [(app, await make_picture(app, f"fox {number}")) for number in range(11) for app in (first, second)]
        for app, task in made:
            await (await app.runner()).wait([task], 300)
    # A request arrives some time after its slot was taken. CREATE_LIMIT adds a second to the ten of KIE for that.
    for path, limit, seconds in ((JOBS.create, CREATE_LIMIT[0], 10), (JOBS.status, STATUS_READS, 1)):
        assert len(times[path]) > limit
        # A moment less holds no rounding.
        gaps = [later - earlier for earlier, later in zip(times[path], times[path][limit:], strict=False)]
        assert min(gaps) > seconds - 0.001
