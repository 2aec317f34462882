"""What KIE accepted and charged beside what the ledger says and what files there are; and the table of it all."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from support.clock import JumpingClock, pass_time_until
from support.ledgers import find_database, select_rows
from support.paths import ROOT
from support.runners import model_call, saved_files

from kie_mcp.kie.routes import JOBS
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.ledger.task import BATCH, EDIT, FINAL, IN_PARTS, WITHOUT_CREDITS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.order import Order

DOCUMENT = ROOT / "docs" / "reliability.md"
COMMAND = "pytest tests/faults --write-reliability"
START, END = f"<!-- faults: {COMMAND} -->\n", "<!-- /faults -->"
HEAD = ("| fault | moment | accepted | charged | recorded | saved |", "|---|---|--:|--:|---|--:|")


class Figures(NamedTuple):
    """How it came out in the end."""

    accepted: int
    """Tasks that KIE took."""
    charged: float
    """Credits that KIE kept for them."""
    recorded: str
    """Tasks in the ledger, by state; a parent task and its parts count as one task."""
    saved: int
    """Files in the output folder."""


class Compare(Protocol):
    """Holds what came of a fault against what should, and enters it in the table."""

    def __call__(
        self, kie: Sandbox, fault: str, moment: str, *, accepted: int, charged: float, recorded: str, saved: int
    ) -> None: ...


def order(prompt: str = "a heron at dawn", tool: str = "nano_banana_image", **more: Any) -> Order:
    """A call like any other: 4 credits, one picture."""
    variation = more.pop("variation", 1)
    return Order(tool, model_call(tool, prompt=prompt, **more), variation=variation)


async def settle(clock: JumpingClock, folder: Path) -> None:
    """Let time pass until every task has ended and every file is saved."""
    await pass_time_until(lambda: all(row["state"] in FINAL and row["saved"] for row in tasks(folder)), clock)


def tasks(folder: Path) -> Sequence[Mapping[str, Any]]:
    """The ledger's rows, as another process sees them."""
    return select_rows(folder / "data", "SELECT * FROM tasks ORDER BY created, id")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another process is in the middle of writing to the ledger."""
    if found := find_database(folder / "data"):
        server, name = found
        with server.connection(name) as other:
            other.execute("LOCK TABLE tasks, servers, creates IN EXCLUSIVE MODE")
            yield
        return
    with closing(sqlite3.connect(folder / "data" / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def reckon(kie: Sandbox, folder: Path) -> Figures:
    """What came of it all, where nothing is lost and nothing double."""
    rows = tasks(folder)
    by_id = {row["kie_id"]: row for row in rows if row["kie_id"]}
    states = Counter(row["state"] for row in rows)
    assert set(states) <= FINAL
    assert len(by_id) == sum(bool(row["kie_id"]) for row in rows)

    # Whatever KIE took is known by its id, or known to be unknown.
    lost = [task for task in kie.accepted if task.id not in by_id]
    assert len(lost) <= states["unknown"]
    assert all(row["credits"] in (None, 0) for row in rows if not row["kie_id"] and row["route"] not in WITHOUT_CREDITS)

    # No call was paid twice. One that failed at KIE cost nothing and may be made again.
    now, paths = kie._clock(), set[Path]()
    calls = [task.path + json.dumps(task.body, sort_keys=True) for task in kie.accepted if task.charge(now)]
    assert len(calls) == len(set(calls))

    for task in kie.accepted:
        if row := by_id.get(task.id):
            # A product API does not tell, and the balance only when nothing else ran.
            told = task.path == JOBS.create and row["state"] == "succeeded"
            assert row["credits"] == task.charge(now) or (row["credits"] is None and not told)
            made = [Path(result["path"]) for result in json.loads(row["results"]) if result["path"]]
            paths.update(made)
            if row["state"] == "succeeded":
                assert row["saved"]
                names = () if task.fault == "no-urls" else task.file_names
                contents = [kie._files.render_result(task, name).read_bytes() for name in names]
                assert [path.read_bytes() for path in made] == contents

    # A parent task counts what its parts cost, and has their file.
    for parent in (row for row in rows if row["route"] == IN_PARTS):
        costs = [row["credits"] for row in rows if row["parent"] == parent["id"] and row["kie_id"]]
        assert parent["credits"] == (None if None in costs else pytest.approx(sum(costs)))
        paths.update(Path(result["path"]) for result in json.loads(parent["results"]))

    _reckon_batches(kie, rows)

    # A film costs nothing, and has its file.
    films = [row for row in rows if row["route"] == EDIT]
    for film in films:
        assert (film["kie_id"], film["credits"], film["reserved"]) == (None, 0, 0)
        paths.update(Path(result["path"]) for result in json.loads(film["results"]))

    # No file is there twice, or half. Only a film may be there whose edit has failed: a process died as soon as it had
    # saved the film, and the next one found the disk full.
    out = folder / "out"
    files = set(saved_files(out)) if out.is_dir() else set()
    failed = [film["id"] for film in films if film["state"] == "failed"]
    assert paths <= files
    assert all(any(id_ in file.name for id_ in failed) for file in files - paths)
    shown = Counter(row["state"] for row in rows if not row["parent"])
    recorded = ", ".join(f"{count} {state}" for state, count in sorted(shown.items()))
    charged = round(sum(task.charge(now) for task in kie.accepted), 2)
    return Figures(len(kie.accepted), charged, recorded or "nothing", len(files))


def _reckon_batches(kie: Sandbox, rows: Sequence[Mapping[str, Any]]) -> None:
    """A batch tells what its items cost, has their files in their order, and is within its budget, also by KIE."""
    by_id, now = {row["id"]: row for row in rows}, kie._clock()
    charges = {task.id: task.charge(now) for task in kie.accepted}
    for batch in (row for row in rows if row["route"] == BATCH):
        kept = json.loads(batch["request"])
        items = [(item, by_id[item["task_id"]]) for item in kept["items"] if item["task_id"]]
        paid = [row for item, row in items if item["reserved"]]
        assert batch["credits"] in (None, pytest.approx(sum(row["credits"] or 0 for row in paid)))
        assert (batch["credits"] or batch["reserved"]) <= kept["max_credits"]
        assert sum(charges.get(row["kie_id"], 0) for row in paid) <= kept["max_credits"]
        made = [result["path"] for _, row in items for result in json.loads(row["results"])]
        assert [result["path"] for result in json.loads(batch["results"])] == made


@pytest.fixture
def compare(tmp_path: Path, record_property: Any, request: pytest.FixtureRequest) -> Compare:
    """End a test with this."""

    def hold(kie: Sandbox, fault: str, moment: str, **expected: Any) -> None:
        found = reckon(kie, tmp_path)
        assert found == Figures(**expected)
        line = f"| {fault} | {moment} | {found.accepted} | {found.charged:g} | {found.recorded} | {found.saved} |"
        record_property("fault", line)
        if not request.config.getoption("write_reliability"):
            assert line in DOCUMENT.read_text(encoding="utf-8").splitlines(), f"{DOCUMENT.name} is stale: run {COMMAND}"

    return hold


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-reliability", action="store_true", help=f"Write the table of faults into docs/{DOCUMENT.name}."
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, and write it down if told so."""
    # Reports carry it from xdist's workers, too.
    found = {
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "fault"
    }
    if not found:
        return
    lines = [*HEAD, *sorted(found)]
    terminalreporter.section("faults")
    for line in lines:
        terminalreporter.write_line(line)
    if config.getoption("write_reliability"):
        if terminalreporter.getreports("failed"):
            terminalreporter.write_line(f"{DOCUMENT.name} stays as it is: not every test passed.")
            return
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text(before + START + "\n".join(lines) + "\n" + END + after, encoding="utf-8")
