"""However many tasks there are, no query looks at all of them: the database's own plan of each query says so."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.ledgers import NOW, fill_ledger, find_database, open_ledger, task

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.sqlite import FILE_NAME

pytestmark = pytest.mark.anyio

Use = Callable[[Ledger], Awaitable[object]]

TASK = task("t_aaaaaaaaaaaa", arguments={"prompt": "a heron"}, idempotency_key="key", session="s_me", kie_id="5f0c5f0c")
USES: dict[str, Use] = {
    "find": lambda ledger: ledger.find("5f0c5f0c"),
    "find_repeated": lambda ledger: ledger.find_repeated("key", NOW),
    "add": lambda ledger: ledger.add(task("t_new", idempotency_key="key"), repeats_since=NOW, check=lambda _: None),
    "save": lambda ledger: ledger.save(TASK),
    "spent": lambda ledger: ledger.spent(TASK),
    "ran_alone": lambda ledger: ledger.statistics.ran_alone(TASK),
    "newest_number_if_idle": lambda ledger: ledger.statistics.newest_number_if_idle(),
    "find_result": lambda ledger: ledger.find_result("https://a.example/a.png", NOW),
    "sources_of": lambda ledger: ledger.sources_of(task("t_b", arguments={"task_id": "5f0c5f0c"})),
    "newest page": lambda ledger: ledger.page(),
    "later page": lambda ledger: ledger.page(before=(NOW, "t_b")),
    "page of a state": lambda ledger: ledger.page(states=["failed"]),
    "page of made files": lambda ledger: ledger.page(states=["succeeded"], kind="image", before=(NOW, "t_b")),
    "page by a word": lambda ledger: ledger.page(states=["succeeded"], words="heron"),
    "page by words": lambda ledger: ledger.page(words="a heron at dawn"),
    "page from a task": lambda ledger: ledger.page(made_from=["t_aaaaaaaaaaaa"], since=NOW),
    "charges": lambda ledger: ledger.statistics.charges("veo3", "720p"),
    "durations": lambda ledger: ledger.statistics.durations("veo3", 8, newest=20),
    "spending by day": lambda ledger: ledger.statistics.spending("day", NOW),
    "spending by model": lambda ledger: ledger.statistics.spending("model", NOW),
    "claim": lambda ledger: ledger.leases.claim(TASK.id, "s_me", NOW),
    "claimable": lambda ledger: ledger.leases.claimable("s_me", NOW),
    "recent": lambda ledger: ledger.recent.states(NOW + 7200),
}


COUNT = 20_000
"""Tasks in PostgreSQL; with few, it is right to look at all of them."""


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path)
    await opened.add(TASK)
    yield opened
    await opened.close()


async def note_queries(ledger: Ledger, use: Use) -> list[tuple[str, Any]]:
    """Return the statements about tasks, with their parameters, that a use of the ledger executes."""
    queries: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        queries.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        await use(ledger)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    asked = [each for each in queries if "tasks" in each[0]]
    assert asked
    return asked


async def test_no_query_looks_at_all_tasks(ledger: Ledger, tmp_path: Path) -> None:
    """A walk along an index in the order of the page is no look at all tasks: it ends when the page is full."""
    asked = [(name, *query) for name, use in USES.items() for query in await note_queries(ledger, use)]
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        file.create_function("has_words", 2, lambda text, words: words in text)
        for name, statement, parameters in asked:
            plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            assert not [step for step in plan if step.startswith("SCAN tasks") and "USING" not in step], (name, plan)
            # What a call with an idempotency key or an index of a search finds is little, and is sorted.
            is_little = "tasks.fingerprint =" in statement or "INDEXED BY" in statement
            if "LIMIT" in statement and "ORDER BY" in statement and not is_little:
                assert "USE TEMP B-TREE FOR ORDER BY" not in plan, name


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("database")
async def test_no_query_looks_at_all_tasks_on_postgresql(tmp_path: Path) -> None:
    await fill_ledger(tmp_path, COUNT)
    found = find_database(tmp_path)
    assert found
    server, name = found
    ledger = await open_ledger(tmp_path)
    await ledger.add(TASK)
    server.execute(
        name,
        # The triggers would take long for so many tasks of one day in one transaction.
        "ALTER TABLE kie_mcp.tasks DISABLE TRIGGER USER",
        "UPDATE kie_mcp.tasks SET finished = created + 20, day = '2027-01-15'",
        "ALTER TABLE kie_mcp.tasks ENABLE TRIGGER USER",
        "VACUUM ANALYZE",
    )
    plans = {}
    with server.connection(name) as connection:
        for what, use in USES.items():
            for statement, parameters in await note_queries(ledger, use):
                # What a use has written is not to be waited for.
                rows = connection.execute(f"EXPLAIN {statement}".encode(), parameters).fetchall()
                plans[what, statement] = "\n".join(row[0] for row in rows)
                connection.rollback()
    await ledger.close()
    scans = {what: plan for (what, _), plan in plans.items() if "Seq Scan on tasks" in plan}
    assert not scans, "\n".join(f"{what}:\n{plan}" for what, plan in scans.items())
