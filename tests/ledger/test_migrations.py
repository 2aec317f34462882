"""A file of an older version becomes one of today's; `schema-<version>.sql` holds the tables of every version."""

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
import sqlalchemy as sa
from support.ledgers import NOW, find_database, open_ledger, select_rows, task

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.migrations import REVISIONS, Revisions
from kie_mcp.ledger.spending import By
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.ledger.tables import NEWEST, versions
from kie_mcp.ledger.task import Task

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("created_tables")]

VERSION = int(NEWEST)
SCHEMAS = Path(__file__).parent
COLOUR = (
    "op.add_column('tasks', sa.Column('colour', sa.Text, server_default='', nullable=False))",
    "op.create_table('colours', sa.Column('name', sa.Text, primary_key=True))",
)
SIZE = ("op.add_column('tasks', sa.Column('size', sa.Float))",)
OLD_TASK = """
INSERT INTO tasks (id, kie_id, tool, model, kind, route, state, arguments, created, estimate, results, texts, error,
    saved, note)
VALUES ('t_1', '5f0c', 'veo_video', 'veo3', 'video', 'veo', 'running', '{"prompt": "Füchse"}', 1.8e9, '[250.0, 250.0]',
    '[]', '[]', 'null', 0, '');
"""


def later(folder: Path, *upgrades: Sequence[str]) -> Revisions:
    """Return today's revisions and later ones, which do these steps; their files are written into a folder."""
    folder = folder / "revisions"
    folder.mkdir(parents=True, exist_ok=True)
    for number, steps in enumerate(upgrades, start=VERSION + 1):
        head = f"import sqlalchemy as sa\nfrom alembic import op\nrevision = '{number:04}'\n"
        head += f"down_revision = '{number - 1:04}'\ndef upgrade():\n"
        (folder / f"v{number:04}.py").write_text(head + "".join(f"    {step}\n" for step in steps))
    return Revisions(f"{VERSION + len(upgrades):04}", (*REVISIONS.folders, folder))


def create_file(folder: Path, version: int, *more: str) -> None:
    """Write a ledger file as the given version created it; run further SQL."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as file:
        file.executescript((SCHEMAS / f"schema-{version}.sql").read_text(encoding="utf-8"))
        for each in more:
            file.executescript(each)


def read(folder: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(folder / FILE_NAME)) as file:
        return file.execute(query).fetchall()


def tables(folder: Path) -> dict[str, Any]:
    """Return the triggers, and the columns and indexes of every table, in any order: new columns are at the end."""
    triggers = read(folder, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    return {name: sql.split() for name, sql in triggers} | {
        name: (
            {column: rest for _, column, *rest in read(folder, f"PRAGMA table_info({name})")},
            {
                index: (unique, origin, read(folder, f"PRAGMA index_info({index})"))
                for _, index, unique, origin, _ in read(folder, f"PRAGMA index_list({name})")
                if origin == "c"
            },
        )
        for (name,) in read(folder, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    }


async def test_todays_tables_are_those_of_the_stored_schema(tmp_path: Path) -> None:
    """A change of a table needs a migration, and a stored schema of the version that it leads to."""
    (tmp_path / "stored").mkdir()
    create_file(tmp_path / "stored", VERSION)
    await (await Ledger.open(tmp_path / "new")).close()
    assert tables(tmp_path / "new") == tables(tmp_path / "stored")
    assert read(tmp_path / "new", "SELECT version FROM ledger") == [(VERSION,)]
    assert read(tmp_path / "stored", "SELECT version FROM ledger") == [(VERSION,)]


@pytest.mark.parametrize("version", range(1, VERSION + 1))
async def test_a_file_of_every_version_is_upgraded_to_todays_tables(tmp_path: Path, version: int) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
    create_file(tmp_path / "old", version, OLD_TASK)
    create_file(tmp_path / "new", VERSION)
    ledger = await Ledger.open(tmp_path / "old")
    assert await ledger.find("t_1")
    await ledger.close()
    assert tables(tmp_path / "old") == tables(tmp_path / "new")
    assert read(tmp_path / "old", "SELECT version FROM ledger") == [(VERSION,)]


ODD_PROMPTS = {
    "half a character": r"""'{"prompt": "half \ud83d Fox"}'""",
    "bytes that are no UTF-8": """CAST(X'7b2270726f6d7074223a202268616c6620ff20466f78227d' AS TEXT)""",
    "a NUL": r"""'{"prompt": "half \u0000 Fox"}'""",
    "a number": """'{"prompt": 12}'""",
    "an object": """'{"prompt": {"text": "Fox"}}'""",
    "no prompt": "'[]'",
    "no JSON": "'half {'",
    "a blob": "X'ff00ff'",
}
"""Arguments in a row, as SQL; the prompt is a text that SQLite or Python does not take everywhere, or no text."""


@pytest.mark.parametrize("version", range(1, VERSION + 1))
async def test_a_row_with_an_odd_prompt_hinders_neither_the_upgrade_nor_a_search(tmp_path: Path, version: int) -> None:
    odd = [
        OLD_TASK.replace("""'{"prompt": "Füchse"}'""", arguments).replace("'t_1', '5f0c'", f"'{name}', '{name}'")
        for name, arguments in ODD_PROMPTS.items()
    ]
    create_file(tmp_path, version, OLD_TASK, *odd)
    ledger = await Ledger.open(tmp_path)
    assert {each.id for each in await ledger.page()} == {"t_1", *ODD_PROMPTS}
    # The index finds words of three characters and more; only a look at each prompt finds shorter ones.
    assert [each.id for each in await ledger.page(words="ü")] == ["t_1"]
    has_words = {*list(ODD_PROMPTS)[:3]}
    assert {each.id for each in await ledger.page(words="fo ha")} == has_words
    if version < 3:
        assert {each.id for each in await ledger.page(words="fox half")} == has_words
    await ledger.close()


def test_the_newest_revision_is_that_of_the_tables() -> None:
    names = sorted(path.name for path in REVISIONS.folders[0].glob("v*.py"))
    assert [name[1:5] for name in names] == [f"{number:04}" for number in range(1, VERSION + 1)]


async def test_a_file_of_the_version_before_is_upgraded_once_and_keeps_its_rows(tmp_path: Path) -> None:
    create_file(tmp_path, VERSION, OLD_TASK)
    ledgers: list[Ledger] = []

    async def work() -> None:
        ledgers.append(await Ledger.open(tmp_path, revisions=later(tmp_path, COLOUR)))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(work)
    old = Task(
        *("t_1", "veo_video", "veo3", "video", "veo", {"prompt": "Füchse"}, 1.8e9, "running", "5f0c"),
        estimate=(250, 250),
    )
    for ledger in ledgers:
        assert await ledger.leases.claimable("s_me", NOW) == [old.id]
        assert await ledger.find(old.id) == old
    old.request = {"taskId": "5f0c", "index": 0}
    await ledgers[0].save(old)
    assert await ledgers[-1].find("t_1") == old
    for ledger in ledgers:
        await ledger.close()
    assert read(tmp_path, "SELECT version FROM ledger") == [(VERSION + 1,)]
    assert read(tmp_path, "SELECT colour FROM tasks") == [("",)]
    assert read(tmp_path, "SELECT * FROM colours") == []


async def test_only_the_migrations_that_a_file_lacks_are_run(tmp_path: Path) -> None:
    create_file(tmp_path, VERSION)
    for more in ([COLOUR], [COLOUR, SIZE]):
        await (await Ledger.open(tmp_path, revisions=later(tmp_path, *more))).close()
    assert read(tmp_path, "SELECT version FROM ledger") == [(VERSION + 2,)]
    assert read(tmp_path, "SELECT colour, size FROM tasks") == []


UNDO_10 = (
    "DROP INDEX ix_reservations_settled",
    "ALTER TABLE reservations DROP COLUMN settled",
    "ALTER TABLE reservations DROP COLUMN account",
)
"""SQL that makes tables of version 10 those of version 9 again."""
UNDO_9 = (
    "DROP TRIGGER sum_changed ON tasks",
    "DROP TRIGGER sum_deleted ON tasks",
    "DROP FUNCTION sum_changed, sum_deleted",
    "DROP TABLE spending",
    "DROP TABLE sources",
    "DROP INDEX ix_tasks_day",
    "ALTER TABLE tasks DROP COLUMN day",
    "UPDATE ledger SET version = 8",
)
"""SQL that makes tables of version 9 those of version 8 again."""


def execute(folder: Path, statements: Sequence[str]) -> None:
    """Run SQL on the ledger of a folder as another program; the SQL is that of PostgreSQL."""
    if found := find_database(folder):
        server, name = found
        with server.connection(name) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return
    with closing(sqlite3.connect(folder / FILE_NAME)) as file, file:
        for statement in statements:
            if "FUNCTION" not in statement:
                file.execute(statement.removesuffix(" ON tasks"))


@pytest.mark.on_postgresql
async def test_an_upgrade_sums_earlier_tasks_and_finds_what_they_were_made_from(tmp_path: Path) -> None:
    ledger = await open_ledger(tmp_path)
    ended: dict[str, Any] = {"state": "succeeded", "credits": 4.0, "reserved": 5.0}
    image = {"image": "task:t_aaaaaaaaaaaa#1"}
    for each in (
        task("t_aaaaaaaaaaaa", **ended),
        task("t_2", arguments=image, **ended),
        task("t_3", created=NOW - 86400, state="failed", error={"billed": False}),
        task("t_4", arguments={"task_id": "t_2"}, state="running", reserved=7.0),
        task("t_5", parent="t_2", **ended),
        task("t_6", route="batch", **ended),
    ):
        await ledger.add(each)
        await ledger.save(each)

    async def look(ledger: Ledger) -> Any:
        used = [[each.id for each in await ledger.page(made_from=[id_])] for id_ in ("t_aaaaaaaaaaaa", "t_unknown_")]
        sums = [sorted(map(astuple, await ledger.statistics.spending(by, 0)), key=str) for by in get_args(By)]
        return used, sums, select_rows(tmp_path, "SELECT * FROM spending ORDER BY day, state")

    before = await look(ledger)
    await ledger.close()
    assert before[0] == [["t_2"], []]
    execute(tmp_path, UNDO_10 + UNDO_9)
    ledger = await open_ledger(tmp_path)
    assert await look(ledger) == before
    await ledger.save(task("t_2", arguments=image, **{**ended, "credits": 6.0}))
    sums = await ledger.statistics.spending("kind", 0)
    assert [(each.tasks, each.charged) for each in sums if each.state == "succeeded"] == [(2, 10)]
    await ledger.close()


ANOTHER_PROCESS = """
import anyio, sys
from pathlib import Path
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.migrations import Revisions

async def main():
    ledger = await Ledger.open(Path(sys.argv[1]), revisions=Revisions(sys.argv[2], tuple(map(Path, sys.argv[3:]))))
    assert await ledger.find("t_1")
    await ledger.close()

sys.stdin.readline()
anyio.run(main)
"""


def test_of_two_processes_at_once_one_upgrades_the_file(tmp_path: Path) -> None:
    create_file(tmp_path, VERSION, OLD_TASK)
    newest = later(tmp_path, COLOUR)
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(tmp_path), newest.newest, *map(str, newest.folders)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        assert process.stdin
        process.stdin.close()
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert read(tmp_path, "SELECT version FROM ledger") == [(VERSION + 1,)]


async def test_a_process_of_the_version_before_goes_on_beside_an_upgrade(tmp_path: Path) -> None:
    before = await Ledger.open(tmp_path)
    await before.add(task("t_1"))
    after = await Ledger.open(tmp_path, revisions=later(tmp_path, COLOUR))
    await before.add(task("t_2"))
    assert [each.id for each in await after.page()] == ["t_2", "t_1"]
    for ledger in (before, after):
        await ledger.close()


@pytest.mark.on_postgresql
@pytest.mark.parametrize("to_read", [False, True])
async def test_a_running_process_opens_a_tenant_s_ledger_that_a_newer_version_has_upgraded(
    tmp_path: Path, to_read: bool
) -> None:
    common = await open_ledger(tmp_path)
    place = tmp_path / "ann", "kie_mcp_ann"
    for number in range(2):
        database = await common.database.open_other(*place, to_read=to_read and number > 0)
        ledger = Ledger(database)
        await ledger.add(task(f"t_{number}"))
        async with database.writing() as connection:
            await connection.execute(sa.update(versions).values(version_num=f"{VERSION + 1:04}"))
        assert len(await ledger.page()) == number + 1
        await ledger.close()
    await common.close()


async def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    create_file(tmp_path, VERSION)
    before = tables(tmp_path)
    broken = (*COLOUR, COLOUR[0])
    with pytest.raises(ConfigurationError, match="duplicate column"):
        await Ledger.open(tmp_path, revisions=later(tmp_path, broken))
    assert tables(tmp_path) == before
    assert read(tmp_path, "SELECT version FROM ledger") == [(VERSION,)]


@pytest.mark.parametrize("version", sorted({VERSION + 1, *range(VERSION + 1, 12)}))
async def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path, version: int) -> None:
    """Up to 11 were the numbers of tables that were never released."""
    ledger = await Ledger.open(tmp_path)
    await ledger.add(kept := task("t_1"))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file, file:
        file.execute("UPDATE ledger SET version = ?", [version])
    with pytest.raises(
        ConfigurationError, match=f"newer kie-mcp .*version {version}, this one reads {VERSION}"
    ) as caught:
        await Ledger.open(tmp_path)
    assert "Update kie-mcp" in caught.value.next_step
    assert await ledger.find("t_1") == kept
    await ledger.close()
