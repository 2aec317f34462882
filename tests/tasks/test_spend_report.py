"""What was spent, as a tool tells it and as a person types for it."""

import csv
import json
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa
from mcp import Client
from support.answers import answer, text
from support.clock import JumpingClock
from support.commands import run_command
from support.ledgers import find_url, open_ledger, open_server_ledger

from kie_mcp.config import Settings
from kie_mcp.ledger import tables
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.rows import row_from_task
from kie_mcp.ledger.spending import By
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.spend_report import Line, report

pytestmark = pytest.mark.anyio

DAY = 24 * 3600
UNICODE = "модель/очень-длинное-имя-video-to-video-pro"
FIGURES = [
    "tasks",
    "succeeded",
    "charged",
    "expired",
    "expired_charged",
    "failed",
    "failed_charged",
    "refunded",
    "failed_unknown",
    "refused",
    "unknown",
    "open",
]
REFUSED = {"category": "api_error", "message": "no", "billed": False}


def task(number: int, created: float, **more: Any) -> Task:
    """One that succeeded for 4 credits."""
    plain: dict[str, Any] = {"model": "veo3", "kind": "video", "state": "succeeded", "credits": 4.0, "reserved": 60.0}
    return Task(f"t_{number}", "x", route="veo", arguments={}, created=created, saved=True, **{**plain, **more})


def mixed(now: float) -> list[Task]:
    """One of each kind."""
    return [
        task(1, now),
        task(2, now, credits=None),
        task(3, now, state="failed", credits=0.0),
        task(4, now, state="failed", credits=None),
        task(5, now, state="failed", credits=7.5),
        task(6, now - DAY, state="unknown", credits=None, reserved=90.0),
        task(7, now - DAY, state="running", credits=None, model=UNICODE),
        task(8, now - DAY, state="expired", credits=None, reserved=5.0),
        task(9, now - 40 * DAY, model="google/nano-banana", kind="image", credits=0.1),
        task(10, now - 40 * DAY, model="google/nano-banana", kind="image", credits=0.2),
        task(12, now, state="failed", credits=None, error=REFUSED),
    ]


def run_spend(folder: Path, *arguments: str, columns: str = "80") -> subprocess.CompletedProcess[str]:
    """Run `kie-mcp spend` on the ledger of a folder."""
    url = find_url(folder)
    return run_command("spend", *arguments, KIE_MCP_DATA_DIR=str(folder), KIE_MCP_DATABASE_URL=url, COLUMNS=columns)


async def fill(ledger: Ledger, tasks: Sequence[Task]) -> None:
    async with ledger.database.writing() as connection:
        await connection.execute(sa.insert(tables.tasks), [row_from_task(each) for each in tasks])
    await ledger.close()


async def read_report(folder: Path, by: By) -> list[Line]:
    ledger = await open_ledger(folder)
    lines = report(await ledger.statistics.spending(by, 0), by)
    await ledger.close()
    return lines


@pytest.mark.on_postgresql
async def test_failed_refunded_unknown_and_open_are_told_apart(tmp_path: Path) -> None:
    await fill(await open_ledger(tmp_path), mixed(1.8e9))
    *_, total = await read_report(tmp_path, "day")
    assert total.rounded() == {
        "of": "all",
        "tasks": 11,
        "succeeded": 4,
        # What nobody told the charge of counts as estimated.
        "charged": 4 + 60 + 0.3,
        "expired": 1,
        "expired_charged": 5,
        "failed": 3,
        "failed_charged": 7.5,
        # Only what KIE or the balance says counts as refunded, and not what KIE never took.
        "refunded": 60,
        "failed_unknown": 1,
        "refused": 1,
        "unknown": 1,
        "open": 210,
        "usd": 0.38,
    }


@pytest.mark.on_postgresql
async def test_the_lines_are_of_days_models_or_kinds_and_add_up(tmp_path: Path) -> None:
    await fill(await open_ledger(tmp_path), mixed(1.8e9))
    reports = {by: await read_report(tmp_path, by) for by in get_args(By)}
    days = [line.of for line in reports["day"]]
    assert days == [*sorted(days[:-1], reverse=True), "all"]
    assert days[0] == datetime.fromtimestamp(1.8e9).astimezone().date().isoformat()
    assert [line.of for line in reports["model"]] == ["veo3", "google/nano-banana", UNICODE, "all"]
    assert [line.of for line in reports["kind"]] == ["video", "image", "all"]
    for *lines, total in reports.values():
        for figure in FIGURES:
            assert sum(getattr(line, figure) for line in lines) == pytest.approx(getattr(total, figure))


async def test_a_report_says_what_was_spent_in_both_forms(
    client: Client, settings: Settings, clock: JumpingClock
) -> None:
    await fill(await open_server_ledger(settings), mixed(clock.now))
    result = await client.call_tool("spend_report", {"by": "MODEL", "days": "30"})
    assert not result.is_error
    assert [line["of"] for line in answer(result)["lines"]] == ["veo3", UNICODE]
    assert answer(result)["all"]["charged"] == 64
    apart = (
        "expired 1 (5 charged); failed 3 (7.5 charged, 60 refunded, 1 of unknown charge); 1 refused at no cost; "
        "unknown 1, to be settled with resolve_task"
    )
    assert text(result).splitlines() == [
        f"veo3: 64 credits ($0.32) for 2 of 8 tasks; {apart}; 150 may still be charged",
        f"{UNICODE}: 0 credits for 0 of 1 tasks; 60 may still be charged",
        f"all: 64 credits ($0.32) for 2 of 9 tasks; {apart}; 210 may still be charged",
    ]
    longer = await client.call_tool("spend_report", {"by": "model", "days": 60})
    assert "google/nano-banana: 0.3 credits ($0.0015) for 2 of 2 tasks" in text(longer)


async def test_a_report_of_what_the_server_itself_made(client: Client, sandbox: Sandbox) -> None:
    await client.call_tool("nano_banana_image", {"prompt": "x"})
    sandbox.inject_fault("create", "fail")
    await client.call_tool("nano_banana_image", {"prompt": "x"})
    await client.call_tool("kling_video", {"prompt": "x"})
    said = text(await client.call_tool("spend_report", {"by": "kind"}))
    assert "image: 4 credits ($0.02) for 1 of 2 tasks; failed 1 (0 charged, 4 refunded)" in said
    assert "video: 0 credits for 0 of 1 tasks; 90 may still be charged" in said
    assert "sandbox" not in said


async def test_a_report_of_nothing_says_so(client: Client) -> None:
    result = await client.call_tool("spend_report")
    assert text(result) == "No tasks in the last 30 days."
    assert answer(result)["lines"] == []
    assert answer(result)["all"]["tasks"] == 0


@pytest.mark.parametrize("name", ["vendor-with-a-name/model-{}-image-to-video", "模型" * 30 + "{}", "x" * 5000 + "{}"])
async def test_a_report_of_a_thousand_models_stays_below_2000_tokens(
    client: Client, settings: Settings, clock: JumpingClock, name: str
) -> None:
    names = [name.format(number) for number in range(1000)]
    await fill(
        await open_server_ledger(settings),
        [task(n, clock.now, model=each, credits=12345.67 + n, state="succeeded") for n, each in enumerate(names)],
    )
    result = await client.call_tool("spend_report", {"by": "model"})
    structured = json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))
    assert max(len(structured.encode()), len(text(result).encode())) / 4 < 2000
    lines = answer(result)["lines"]
    assert len(lines) >= 20
    assert answer(result)["more"] == 1000 - len(lines)
    assert f"{1000 - len(lines)} more." in text(result)
    # The dearest come first.
    assert lines[0]["charged"] == 13344.67
    assert answer(result)["all"]["tasks"] == 1000


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"by": "hour"}, "by: "), ({"days": 0}, "days: "), ({"days": "many"}, "days: "), ({"x": 1}, "x")],
)
async def test_a_wrong_report_is_refused(client: Client, wrong: dict[str, Any], says: str) -> None:
    result = await client.call_tool("spend_report", wrong)
    assert answer(result)["error"]["category"] == "invalid_call"
    assert says in text(result)


async def test_spend_prints_a_table_that_is_whole(tmp_path: Path) -> None:
    now = time.time()
    odd = task(11, now, model="[bold]odd[/bold]", credits=1_234_567.25)
    await fill(await open_ledger(tmp_path), [*mixed(now), odd])
    for by, columns in (("model", "80"), ("model", "40"), ("day", "120"), ("kind", "40")):
        run = run_spend(tmp_path, "--by", by, columns=columns)
        assert (run.returncode, run.stderr) == (0, "")
        lines = run.stdout.splitlines()
        assert "…" not in run.stdout
        (total,) = (line.split() for line in lines if line.split()[:1] == ["all"])
        figures = ["10", "3", "1,234,631.25", "1", "5", "3", "7.5", "60", "1", "1", "1", "210", "6,173.22"]
        assert total == ["all", *figures]
        if by == "model":
            folded = "".join(line[1:15].strip() for line in lines)
            assert UNICODE in folded
            assert odd.model in folded


async def test_the_usual_table_fits_into_80_columns_without_empty_columns(tmp_path: Path) -> None:
    now = time.time()
    failed = task(3, now, state="failed", credits=0.0)
    await fill(
        await open_ledger(tmp_path),
        [task(1, now, credits=1_234_567.25), failed, task(7, now, state="running", credits=None)],
    )
    run = run_spend(tmp_path, "--by", "model", columns="80")
    lines = run.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].split() == ["model", "tasks", "succeeded", "charged", "failed", "refunded", "open", "usd"]


async def test_spend_prints_values_for_other_programs(tmp_path: Path) -> None:
    now = time.time()
    await fill(
        await open_ledger(tmp_path),
        [*mixed(now), task(11, now, model='a "quoted", one\nof two lines', credits=1_234_567.25)],
    )
    run = run_spend(tmp_path, "--by", "model", "--days", "60", "--csv")
    assert (run.returncode, run.stderr) == (0, "")
    first, *rows = csv.reader(StringIO(run.stdout))
    assert first == ["of", *FIGURES, "usd"]
    read = {row[0]: dict(zip([*FIGURES, "usd"], map(float, row[1:]), strict=True)) for row in rows}
    assert read.keys() == {"veo3", UNICODE, "google/nano-banana", 'a "quoted", one of two lines'}
    assert read["veo3"]["refunded"] == 60
    assert read['a "quoted", one of two lines']["charged"] == 1234567.25


def test_spend_of_an_empty_ledger_says_so(tmp_path: Path) -> None:
    table = run_spend(tmp_path, "--days", "7")
    assert (table.returncode, table.stdout) == (0, "No tasks in the last 7 days.\n")
    values = run_spend(tmp_path, "--csv")
    assert values.stdout == ",".join(["of", *FIGURES, "usd"]) + "\n"


def test_spend_needs_no_key_and_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    run = run_command("spend", KIE_MCP_DATA_DIR=str(tmp_path / "file"))
    assert run.returncode == 2
    assert "KIE_MCP_DATA_DIR" in run.stderr
    assert "Traceback" not in run.stderr
    for wrong in (["--by", "hour"], ["--days", "0"], ["--days", "x"]):
        assert run_spend(tmp_path, *wrong).returncode == 2
