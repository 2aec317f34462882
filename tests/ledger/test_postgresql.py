"""What only PostgreSQL does: it tells of changes, has one time for all, and may be lost and come back."""

import gc
import re
import subprocess
import warnings
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
import sqlalchemy as sa
from support.clock import JumpingClock, wait_until
from support.ledgers import NOW, find_database, find_url, ids, open_ledger, select_rows, task
from support.paths import ROOT
from support.postgresql import PostgresqlServer, find_programs

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.postgresql import check_system, find_time_zone
from kie_mcp.ledger.postgresql_dialect import is_silent
from kie_mcp.ledger.rows import row_from_task
from kie_mcp.ledger.tables import NEWEST, tasks, versions
from kie_mcp.ledger.task import Task

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database", ["postgresql"], indirect=True),
    pytest.mark.usefixtures("database"),
]


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    """A server that a test may stop, after the fixture `database` has seen that PostgreSQL is installed."""
    assert find_programs()
    server = PostgresqlServer.create()
    yield server
    server.remove()


async def test_who_waits_on_one_server_hears_at_once_what_another_one_wrote(tmp_path: Path) -> None:
    here, there = await open_ledger(tmp_path), await open_ledger(tmp_path)
    await there.add(waited := task("t_1"))
    await there.add(other := task("t_2"))
    heard: list[str] = []

    async def hear(id_: str) -> None:
        await here.database.changes.wait(id_)
        heard.append(id_)

    async with anyio.create_task_group() as group:
        group.start_soon(here.database.listen)
        await wait_until(lambda: here.database.changes.are_reported)
        for id_ in ("t_1", "t_2"):
            group.start_soon(hear, id_)
        await anyio.wait_all_tasks_blocked()
        # Its balance is nothing that anybody waits for.
        other.balance = 7
        await there.save(other)
        waited.state = "running"
        await there.save(waited)
        await wait_until(lambda: heard != [])
        assert heard == ["t_1"]
        group.cancel_scope.cancel()
    for ledger in (here, there):
        await ledger.close()


async def test_a_server_that_ends_while_its_machine_is_busy_leaves_no_connection_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine, psycopg lets other tasks run even during what needs no wait.
    monkeypatch.setattr(psycopg.waiting, "MAX_BUSY_TIME", 0)
    ledger = await open_ledger(tmp_path)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with anyio.create_task_group() as group:
            group.start_soon(ledger.database.listen)
            await wait_until(lambda: ledger.database.changes.are_reported)
            group.cancel_scope.cancel()
        gc.collect()
    assert [str(each.message) for each in warned] == []
    await ledger.close()


async def test_after_a_lost_connection_everybody_who_waits_looks_and_later_changes_are_told_again(
    tmp_path: Path,
) -> None:
    ledger = await open_ledger(tmp_path)
    await ledger.add(changed := task("t_1"))
    found = find_database(tmp_path)
    assert found
    server, name = found
    changes = ledger.database.changes
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.database.listen)
        await wait_until(lambda: changes.are_reported)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(changes.wait, "t_1")
                await anyio.wait_all_tasks_blocked()
                server.disconnect(name)
        await wait_until(lambda: changes.are_reported)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(changes.wait, "t_1")
                await anyio.wait_all_tasks_blocked()
                changed.state = "running"
                await ledger.save(changed)
        group.cancel_scope.cancel()
    await ledger.close()


async def test_the_clock_of_the_database_counts_and_not_that_of_a_server(tmp_path: Path, clock: JumpingClock) -> None:
    ledger = await open_ledger(tmp_path)
    await ledger.add(task("t_1", state="running", session="s_a"))
    await ledger.leases.renew("s_a", NOW - 3600)
    assert await ledger.leases.claim("t_1", "s_b", NOW + 3600) is None
    assert await ledger.leases.claimable("s_b", NOW + 3600) == []
    for server_time in (NOW - 60, NOW + 60):
        assert await ledger.create_slots.acquire("key", lambda: server_time, 2, 10) == 0  # noqa: B023
    assert await ledger.create_slots.acquire("key", lambda: NOW + 3600, 2, 10) == 10
    clock.now += 3600
    assert await ledger.leases.claim("t_1", "s_b", NOW)
    await ledger.close()


async def test_a_restart_of_the_server_between_two_calls_is_not_noticed(own_server: PostgresqlServer) -> None:
    own_server.create_database("mine")
    ledger = await Ledger.open(Path(), url=own_server.url("mine"))
    await ledger.add(kept := task("t_1"))
    own_server.stop()
    with pytest.raises(LedgerError, match="connection"):
        await ledger.find("t_1")
    own_server.start()
    assert await ledger.find("t_1") == kept
    await ledger.add(task("t_2"))
    await ledger.close()


async def test_a_connection_that_the_database_has_closed_is_recognized_and_replaced(tmp_path: Path) -> None:
    ledger, other = await open_ledger(tmp_path), await open_ledger(tmp_path)
    await ledger.add(kept := task("t_1"))
    async with ledger.database.reading() as connection:
        idle = (await connection.get_raw_connection()).driver_connection
        process = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
    assert isinstance(idle, psycopg.AsyncConnection)
    assert is_silent(idle)
    async with other.database.reading() as connection:
        # Returns when the process has ended, or after 5 s.
        await connection.execute(sa.text(f"SELECT pg_terminate_backend({process}, 5000)"))
    assert not is_silent(idle)
    assert await ledger.find("t_1") == kept
    for each in (ledger, other):
        await each.close()


async def test_the_sandbox_has_a_ledger_of_its_own_in_the_same_database(tmp_path: Path) -> None:
    ledger, sandbox = await open_ledger(tmp_path), await open_ledger(tmp_path, schema="kie_mcp_sandbox")
    await ledger.add(task("t_1", arguments={"prompt": "a heron"}))
    assert await sandbox.page() == []
    await sandbox.add(task("t_2", arguments={"prompt": "a heron"}))
    assert [each.id for each in await ledger.page(words="heron")] == ["t_1"]
    for each in (ledger, sandbox):
        await each.close()


async def test_many_servers_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    async def work(id_: str) -> None:
        ledger = await open_ledger(tmp_path)
        await ledger.add(task(id_))
        await ledger.close()

    find_url(tmp_path)
    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(work, f"t_{number}")
    ledger = await open_ledger(tmp_path)
    assert len(await ledger.page()) == 6
    await ledger.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://kie:secret@localhost:1/ledger", "failed"),
        ("postgresql://kie:secret@/nowhere?host=/nowhere", "failed"),
        ("postgresql://kie:secret@localhost:port/ledger", "cannot be read"),
        ("postgresql://kie:secret@localhost/ledger?colour=red", "colour"),
    ],
)
async def test_a_database_that_cannot_be_used_says_why_and_no_password(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        await Ledger.open(Path(), url=url)
    assert "KIE_MCP_DATABASE_URL" in caught.value.next_step
    assert "secret" not in str(caught.value)


def sources_disagree() -> str:
    raise zoneinfo.ZoneInfoNotFoundError("Multiple conflicting time zone configurations found")


@pytest.mark.parametrize(
    ("find_name", "expected"),
    [(lambda: "Europe/Berlin", "Europe/Berlin"), (lambda: None, "UTC"), (sources_disagree, "UTC")],
    ids=["one name", "no name", "several names"],
)
def test_on_a_machine_that_names_no_time_zone_it_is_used_with_utc(
    find_name: Callable[[], str | None], expected: str
) -> None:
    assert find_time_zone(find_name) == expected


def test_on_windows_it_is_refused_with_what_to_do() -> None:
    check_system("linux")
    with pytest.raises(ConfigurationError, match="Windows") as refused:
        check_system("win32")
    assert "KIE_MCP_DATABASE_URL" in refused.value.next_step


async def test_a_schema_that_is_open_twice_in_one_process_is_heard_by_both_until_each_is_closed(
    tmp_path: Path,
) -> None:
    common, other = await open_ledger(tmp_path), await open_ledger(tmp_path)
    one, two = [Ledger(await common.database.open_other(tmp_path, "kie_mcp_ann")) for _ in range(2)]
    writer = Ledger(await other.database.open_other(tmp_path, "kie_mcp_ann"))
    await writer.add(waited := task("t_1"))
    heard: list[Ledger] = []

    async def hear(ledger: Ledger) -> None:
        await ledger.database.changes.wait("t_1")
        heard.append(ledger)

    async def change(note: str, *hearers: Ledger) -> None:
        heard.clear()
        async with anyio.create_task_group() as group:
            for ledger in hearers:
                group.start_soon(hear, ledger)
            await anyio.wait_all_tasks_blocked()
            waited.note = note
            await writer.save(waited)
            await wait_until(lambda: len(heard) == len(hearers))

    async with anyio.create_task_group() as group:
        group.start_soon(common.database.listen)
        await wait_until(lambda: one.database.changes.are_reported and two.database.changes.are_reported)
        await change("now", one, two)
        await one.close()
        await change("later", two)
        group.cancel_scope.cancel()
    for ledger in (two, writer, common, other):
        await ledger.close()


async def test_a_single_query_is_one_statement_and_changes_nothing_for_the_next_user_of_its_connection(
    tmp_path: Path,
) -> None:
    common = await open_ledger(tmp_path)
    ann, bob = [Ledger(await common.database.open_other(tmp_path, f"kie_mcp_{name}")) for name in ("ann", "bob")]
    await ann.add(task("t_1", arguments={"prompt": "a heron"}))
    autocommits: list[bool] = []

    def note(connection: sa.Connection, *_: object) -> None:
        driver_connection: Any = connection.connection.driver_connection
        autocommits.append(driver_connection.autocommit)

    # This event is not sent for `BEGIN` and `COMMIT`; psycopg sends them unless the connection has autocommit.
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    assert ids(await ann.page(words="heron")) == ["t_1"]
    assert await common.database.has_other(tmp_path, "kie_mcp_ann")
    sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert autocommits == [True, True]
    assert await bob.page(words="heron") == await common.page() == []

    # The connection still has transactions, and each ledger its own schema.
    async def fail() -> None:
        async with bob.database.writing() as connection:
            await connection.execute(sa.insert(tasks).values(**row_from_task(task("t_2"))))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await bob.add(task("t_3"))
    assert [ids(await each.page()) for each in (common, ann, bob)] == [[], ["t_1"], ["t_3"]]
    for ledger in (ann, bob, common):
        await ledger.close()


async def test_while_a_task_is_changed_nobody_else_can_write_its_row(tmp_path: Path) -> None:
    ledger = await open_ledger(tmp_path)
    await ledger.add(task("t_1"))
    await ledger.add(task("t_2"))
    free: list[str] = []

    def look(_: Task, __: Sequence[Task]) -> bool:
        free.extend(row["id"] for row in select_rows(tmp_path, "SELECT id FROM tasks FOR UPDATE SKIP LOCKED"))
        return False

    await ledger.change("t_1", look)
    assert free == ["t_2"]
    await ledger.close()


async def test_a_statement_without_the_name_of_a_schema_finds_no_ledger(tmp_path: Path) -> None:
    """So a mistake in a statement ends with an error, and never reads or changes the tables of another tenant."""
    ledger = await open_ledger(tmp_path)
    ann = Ledger(await ledger.database.open_other(tmp_path, "kie_mcp_ann"))
    for database in (ledger.database, ann.database):
        with pytest.raises(LedgerError, match='"tasks" does not exist'):
            await database.select(sa.select(sa.text("count(*) FROM tasks")))
    await ann.close()
    await ledger.close()


def read_command(program: str) -> str:
    """Return the first command of a program in docs/operate.md."""
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    found = re.search(rf"`({program} [^`]+)`", text)
    assert found, program
    return found[1]


async def test_the_documented_backup_has_the_ledgers_of_all_tenants(
    own_server: PostgresqlServer, tmp_path: Path
) -> None:
    own_server.execute("postgres", "CREATE DATABASE kie_mcp OWNER kie")
    for name in ("kie_mcp", "kie_mcp_ann"):
        ledger = await Ledger.open(tmp_path, url=own_server.url("kie_mcp"), schema=name)
        await ledger.add(task(f"t_{name}"))
        await ledger.close()
    programs = {"PATH": f"{find_programs()}:/usr/bin:/bin", "PGHOST": str(own_server.folder), "PGUSER": "kie"}

    def run(command: str) -> None:
        subprocess.run(command, shell=True, cwd=tmp_path, env=programs, check=True, capture_output=True)

    run(read_command("pg_dump"))
    own_server.drop_database("kie_mcp")
    own_server.execute("postgres", "CREATE DATABASE kie_mcp OWNER kie")
    run(read_command("psql -c"))
    run(read_command("psql --file").replace("psql", "psql --set ON_ERROR_STOP=1"))
    for name in ("kie_mcp", "kie_mcp_ann"):
        ledger = await Ledger.open(tmp_path, url=own_server.url("kie_mcp"), schema=name)
        assert ids(await ledger.page()) == [f"t_{name}"]
        await ledger.close()


async def test_another_user_than_the_owner_needs_what_is_documented(
    own_server: PostgresqlServer, tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    with_tenants, alone = re.findall(r"`((?:GRANT CREATE|CREATE EXTENSION pg_trgm;)[^`]+somebody;)`", text)
    own_server.execute("postgres", "CREATE ROLE somebody LOGIN")
    for statements in (with_tenants, alone):
        own_server.execute("postgres", "CREATE DATABASE kie_mcp OWNER kie")
        with pytest.raises(ConfigurationError, match="permission denied"):
            await Ledger.open(tmp_path, url=own_server.url("kie_mcp", "somebody"))
        with psycopg.connect(own_server.url("kie_mcp")) as connection:
            connection.execute(statements.encode())
        ledger = await Ledger.open(tmp_path, url=own_server.url("kie_mcp", "somebody"))
        await ledger.add(task("t_1"))
        if statements == with_tenants:
            await (await ledger.database.open_other(tmp_path, "kie_mcp_ann")).close()
        await ledger.close()
        own_server.drop_database("kie_mcp")


UNDO = {
    6: ("DROP INDEX ix_tasks_state_finished", "DROP TABLE marks, reservations, keys"),
    7: ("DROP TABLE reads",),
    8: ("ALTER TABLE reads DROP COLUMN leased",),
    9: (
        "DROP FUNCTION sum_changed, sum_deleted CASCADE",
        "ALTER TABLE tasks DROP COLUMN day",
        "DROP TABLE sources, spending",
    ),
    10: ("ALTER TABLE reservations DROP COLUMN account, DROP COLUMN settled",),
}
"""For each version of the tables since the first one on PostgreSQL, statements that undo what it has added."""
SHAPE = """
SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS part
FROM information_schema.columns WHERE table_schema = 'kie_mcp'
UNION SELECT indexdef FROM pg_indexes WHERE schemaname = 'kie_mcp' ORDER BY part
"""


@pytest.mark.parametrize("version", range(min(UNDO) - 1, int(NEWEST)))
async def test_tables_of_every_version_are_upgraded_to_todays_and_keep_their_rows(tmp_path: Path, version: int) -> None:
    ledger = await open_ledger(tmp_path)
    await ledger.add(task("t_1"))
    await ledger.close()
    found = find_database(tmp_path)
    assert found
    server, name = found
    todays = server.select(name, SHAPE)
    statements = [each for number in sorted(UNDO, reverse=True) if number > version for each in UNDO[number]]
    with server.connection(name) as connection:
        for statement in (*statements, f"UPDATE {versions.name} SET {versions.c.version_num.name} = '{version:04}'"):
            connection.execute(statement.encode())
    assert server.select(name, SHAPE) != todays
    ledger = await open_ledger(tmp_path)
    assert ids(await ledger.page()) == ["t_1"]
    await ledger.add(task("t_2"))
    await ledger.close()
    assert server.select(name, SHAPE) == todays
