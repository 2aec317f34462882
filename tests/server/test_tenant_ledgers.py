"""The ledgers of tenants: who may open and create one, and that no tenant waits for the ledger of another."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from starlette.responses import Response
from support.clock import JumpingClock, wait_until
from support.ledgers import find_database
from support.runners import InterceptedKie
from support.tenants import ANN, ANNS_KEY, BOB, BOBS_KEY, build_app, make_picture, run_tenants

from kie_mcp.config import Settings
from kie_mcp.errors import AuthError, ConfigurationError, InvalidCall
from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.ledger.tables import reservations
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.accounts.caller import Caller
from kie_mcp.server.accounts.needs_key import NONE_STORED
from kie_mcp.server.accounts.open_by_tenant import MAX_OPEN, OpenByTenant
from kie_mcp.server.accounts.tenants import IDLE_SECONDS, LOOK_SECONDS, Tenants

pytestmark = pytest.mark.anyio

OLD_SCHEMA = Path(__file__).parents[1] / "ledger" / "schema-6.sql"


def find_folder(settings: Settings, name: str) -> Path:
    return settings.for_tenant(name, None, None).state_dir


async def has_ledger(tenants: Tenants, settings: Settings, name: str) -> bool:
    common = await tenants.open_common_ledger()
    return await common.database.has_other(find_folder(settings, name), f"{settings.ledger_schema}_{name}")


def remove_ledger(settings: Settings, name: str) -> None:
    """Remove a tenant as docs/operate.md says."""
    if found := find_database(settings.data_dir):
        found[0].execute(found[1], f"DROP SCHEMA {settings.ledger_schema}_{name} CASCADE")
    shutil.rmtree(find_folder(settings, name))


@contextmanager
def hold_old_ledger(folder: Path) -> Iterator[None]:
    """Hold the lock of a ledger of an earlier version: who opens this ledger waits until the block ends."""
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as file:
        file.executescript(OLD_SCHEMA.read_text(encoding="utf-8"))
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("BEGIN IMMEDIATE")
        yield
        file.execute("ROLLBACK")


@pytest.mark.on_postgresql
async def test_a_ledger_is_read_without_a_key_also_while_the_app_of_its_tenant_is_open(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with run_tenants(build_app(settings, transport, clock)) as tenants, tenants.use(ANN) as app:
        made = await make_picture(app)
    async with run_tenants(build_app(settings, transport, clock)) as tenants:
        reader = await tenants.read_ledger("ann")
        assert (await reader.page())[0].id == made.id
        assert tenants.find_open("ann") is None
        async with tenants.use(ANN) as app:
            later = await make_picture(app, "a heron")
            runner = await app.runner()
            assert await tenants.read_ledger("ann") is runner.ledger
            assert {each.id for each in await runner.ledger.page()} == {later.id, made.id}


async def test_a_broken_ledger_is_not_renamed_by_who_reads_it(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    file = find_folder(settings, "ann") / FILE_NAME
    async with run_tenants(build_app(settings, transport, clock)) as tenants:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"broken " * 1000)
        with pytest.raises(ConfigurationError, match="not a database"):
            await tenants.read_ledger("ann")
        assert file.read_bytes() == b"broken " * 1000


@pytest.mark.on_postgresql
async def test_an_app_whose_ledger_is_read_is_not_idle(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with run_tenants(build_app(settings, transport, clock)) as tenants:
        async with tenants.use(ANN) as app:
            await app.runner()
        await clock.sleep(IDLE_SECONDS - LOOK_SECONDS)
        reader = await tenants.read_ledger("ann")
        await clock.sleep(3 * LOOK_SECONDS)
        assert tenants.find_open("ann") is app
        assert await reader.page() == []
        await clock.sleep(IDLE_SECONDS)
        await wait_until(lambda: tenants.find_open("ann") is None)


async def test_a_ledger_that_was_read_alone_is_closed_when_it_is_idle(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with run_tenants(build_app(settings, transport, clock)) as tenants, tenants.use(ANN) as app:
        await app.runner()
    async with run_tenants(build_app(settings, transport, clock)) as tenants:
        first = await tenants.read_ledger("ann")
        await clock.sleep(IDLE_SECONDS + 2 * LOOK_SECONDS)
        await wait_until(lambda: tenants._readers.find("ann") is None)
        again = await tenants.read_ledger("ann")
        assert again is not first
        assert await again.page() == []


@pytest.mark.on_postgresql
async def test_links_of_a_person_who_deleted_the_key_work_also_while_a_client_of_theirs_calls(
    settings: Settings, clock: JumpingClock
) -> None:
    transport = httpx2.ASGITransport(app=Sandbox(key=ANNS_KEY, clock=clock.time).app)
    real = settings.model_copy(update={"sandbox": False})
    async with run_tenants(build_app(real, transport, clock)) as tenants:
        async with tenants.use(ANN) as app:
            await app.runner()
        async with tenants.use(Caller("ann", key=NONE_STORED)):
            assert await (await tenants.read_ledger("ann")).page() == []


@pytest.mark.on_postgresql
async def test_who_reads_the_ledger_of_a_removed_tenant_does_not_create_it_again(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with run_tenants(build_app(settings, transport, clock)) as tenants, tenants.use(ANN) as app:
        await app.runner()
    async with run_tenants(build_app(settings, transport, clock)) as tenants:
        assert await has_ledger(tenants, settings, "ann")
        remove_ledger(settings, "ann")
        for name in ("ann", "never-seen"):
            with pytest.raises(InvalidCall, match="no such library"):
                await tenants.read_ledger(name)
            assert not await has_ledger(tenants, settings, name)
            assert not find_folder(settings, name).exists()


@pytest.mark.on_postgresql
async def test_the_tasks_of_a_removed_tenant_are_not_taken_over(settings: Settings, clock: JumpingClock) -> None:
    transport = httpx2.ASGITransport(app=Sandbox(seconds=600, clock=clock.time).app)
    asked: list[str] = []

    async def find(name: str) -> Caller | None:
        asked.append(name)
        return {"ann": ANN, "bob": BOB}.get(name)

    async with run_tenants(build_app(settings, transport, clock)) as one:
        for caller in (ANN, BOB):
            async with one.use(caller) as app:
                await make_picture(app)
    remove_ledger(settings, "ann")
    async with run_tenants(build_app(settings, transport, clock), find) as other:
        await wait_until(lambda: other.find_open("bob") is not None)
        database = (await other.open_common_ledger()).database
        of_ann = sa.select(reservations).where(reservations.c.tenant == "ann")
        with anyio.fail_after(10):
            while not (await database.select(of_ann))[0]["ended"]:
                await anyio.lowlevel.checkpoint()
        # The credits of the removed tenant's task still count against the cap of all.
        assert (await database.select(of_ann))[0]["credits"] > 0
        assert asked == ["bob"]
        assert not await has_ledger(other, settings, "ann")


async def test_a_removed_tenant_gets_a_new_ledger_only_with_a_key_that_kie_accepts(
    settings: Settings, clock: JumpingClock
) -> None:
    """The tenant's folder may be left over, such as beside a schema in PostgreSQL that was dropped."""
    transport = httpx2.ASGITransport(app=Sandbox(key="another key", clock=clock.time).app)
    real = settings.model_copy(update={"sandbox": False})
    find_folder(real, "ann").mkdir(parents=True)
    async with run_tenants(build_app(real, transport, clock)) as tenants, tenants.use(ANN) as app:
        with pytest.raises(AuthError):
            await app.runner()
        assert not await has_ledger(tenants, real, "ann")


async def test_a_tenant_whose_ledger_cannot_be_opened_does_not_hinder_the_takeover_of_others(
    settings: Settings, clock: JumpingClock
) -> None:
    transport = httpx2.ASGITransport(app=Sandbox(seconds=600, clock=clock.time).app)

    async def find(name: str) -> Caller | None:
        return {"ann": ANN, "bob": BOB}.get(name)

    async with run_tenants(build_app(settings, transport, clock)) as one:
        for caller in (ANN, BOB):
            async with one.use(caller) as app:
                await make_picture(app)
    with closing(sqlite3.connect(find_folder(settings, "ann") / FILE_NAME)) as file, file:
        file.execute("UPDATE ledger SET version = 99")
    async with run_tenants(build_app(settings, transport, clock), find) as other:
        await wait_until(lambda: bool((bob := other.find_open("bob")) and bob.opened_runner))


async def test_nobody_waits_for_a_ledger_of_another_tenant_that_is_slow_to_open(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock
) -> None:
    async with run_tenants(build_app(settings, transport, clock)) as tenants:
        async with tenants.use(BOB) as app:
            await app.runner()
        opened: list[str] = []

        async def read(name: str) -> None:
            assert await (await tenants.read_ledger(name)).page() == []
            opened.append(name)

        async with anyio.create_task_group() as group:
            with hold_old_ledger(find_folder(settings, "ann")):
                for _ in range(2):
                    group.start_soon(read, "ann")
                await anyio.wait_all_tasks_blocked()
                await read("bob")
                for caller in (BOB, Caller("eve", key=SecretStr(BOBS_KEY))):
                    async with tenants.use(caller) as app:
                        await app.runner()
                assert opened == ["bob"]
        assert opened == ["bob", "ann", "ann"]


async def test_nobody_waits_for_an_app_of_another_tenant_that_is_slow_to_close(
    settings: Settings, clock: JumpingClock
) -> None:
    asked, go_on = anyio.Event(), anyio.Event()
    kie = Sandbox(seconds=1, clock=clock.time)

    async def answer_late(path: str) -> Response | None:
        if path == JOBS.create and not asked.is_set():
            asked.set()
            await go_on.wait()
        return None

    transport = httpx2.ASGITransport(app=InterceptedKie(kie.app, post=answer_late))
    changed = Caller("ann", key=SecretStr(BOBS_KEY))

    async def call_with_new_key(tenants: Tenants) -> None:
        async with tenants.use(changed) as app:
            await app.runner()

    async with run_tenants(build_app(settings, transport, clock)) as tenants, anyio.create_task_group() as group:
        async with tenants.use(ANN) as app:
            old = app
            group.start_soon(make_picture, app)
            await asked.wait()
        group.start_soon(call_with_new_key, tenants)
        await anyio.wait_all_tasks_blocked()
        async with tenants.use(BOB) as app:
            assert (await make_picture(app)).kie_id
        assert tenants.find_open("ann") in (None, old)
        go_on.set()


@asynccontextmanager
async def use_number(opened: OpenByTenant[list[str]], name: str) -> AsyncIterator[list[str]]:
    async def open_() -> list[str]:
        return [name]

    async with opened.use(name, open_) as found:
        yield found


async def test_beyond_the_limit_the_longest_unused_gives_way_and_those_in_use_stay(clock: JumpingClock) -> None:
    closed: list[str] = []

    async def close(each: list[str]) -> None:
        closed.extend(each)

    opened = OpenByTenant[list[str]](clock, close, lambda each: each != ["t-1"])
    async with use_number(opened, "t-0"):
        for number in range(1, MAX_OPEN):
            async with use_number(opened, f"t-{number}"):
                clock.now += 1
        async with anyio.create_task_group() as group:

            async def use(name: str) -> None:
                async with use_number(opened, name) as found:
                    assert found == [name]

            # All of them come at once, and each has to make room.
            for number in range(MAX_OPEN, MAX_OPEN + 5):
                group.start_soon(use, f"t-{number}")
        assert sorted(closed) == sorted(f"t-{number}" for number in range(2, 7))
        await opened.close_idle()
        assert opened.find("t-0") == ["t-0"]
        assert opened.find("t-1") == ["t-1"]
        assert len(closed) == MAX_OPEN + 5 - 2


async def test_with_all_in_use_a_further_tenant_is_refused_until_one_ends(clock: JumpingClock) -> None:
    async def close(_: list[str]) -> None:
        pass

    opened = OpenByTenant[list[str]](clock, close)
    async with anyio.create_task_group() as group:
        end = anyio.Event()

        async def use(name: str) -> None:
            async with use_number(opened, name):
                await end.wait()

        for number in range(MAX_OPEN):
            group.start_soon(use, f"t-{number}")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ConfigurationError, match="Too many"):
            async with use_number(opened, "one more"):
                pass
        end.set()
    async with use_number(opened, "one more") as found:
        assert found == ["one more"]


async def test_an_error_on_closing_is_logged_and_the_next_use_opens_anew(
    clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def close(_: list[str]) -> None:
        raise OSError("the disk is gone")

    opened = OpenByTenant[list[str]](clock, close)
    async with use_number(opened, "ann") as first:
        pass
    await opened.close_idle()
    assert "the disk is gone" in caplog.text
    async with use_number(opened, "ann") as again:
        assert again is not first
