"""Partial files of dead processes: which go at the next start, and which stay."""

import os
import sys
from pathlib import Path

import pytest
from support import ledgers
from support.clock import JumpingClock, let_others_run
from support.runners import run_runner

from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks import partial_files

pytestmark = pytest.mark.anyio

SAVED, UNSAVED, ELSEWHERE = "t_aaaaaaaaaaa2", "t_bbbbbbbbbbb2", "t_ccccccccccc2"
LEFT = (
    ".2027-01-15-veo3-fast-{id}-1.part",
    ".2027-01-15-veo3-fast-{id}-1.part.version",
    ".2027-01-15-veo3-fast-{id}-2.part.version",
    ".2027-01-15-veo3-fast-{id}-1.mp4.part",
    "parts/.2027-01-15-veo3-fast-{id}-1.part",
    ".{id}.s_aaaaaaaaaaa2.edit/0.mp4",
)
"""The partial files of a result, of its sidecar and of a part, a version whose file has its final name, and an edit."""
OTHERS = (
    f"2027-01-15-veo3-fast-{SAVED}-1.mp4",
    f"2027-01-15-veo3-fast-{SAVED}-1.part",
    ".notes.part",
    f".{SAVED}.txt",
    f"{SAVED}.edit/a",
)
"""Results, and files of the user."""


def leave(out: Path, name: str, changed: float = JumpingClock().now) -> str:
    """Leave a file, and say when its folder was changed last if it is that of an edit."""
    place = out / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"{}")
    if place.parent.suffix == ".edit":
        os.utime(place.parent, (changed, changed))
    return name


def list_files(out: Path) -> set[str]:
    return {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}


async def start_once(folder: Path, sandbox: Sandbox, clock: JumpingClock) -> None:
    async with run_runner(folder, sandbox.app, clock):
        # Nothing tells that the leftovers were looked through.
        for _ in range(20):
            await let_others_run()


@pytest.fixture(autouse=True)
async def ledger(tmp_path: Path) -> None:
    made = await ledgers.open_ledger(tmp_path / "data")
    await made.add(ledgers.task(SAVED, state="succeeded", saved=True))
    # It is unknown whether KIE made it, so no watcher asks after it here.
    await made.add(ledgers.task(UNSAVED, state="unknown", saved=False))
    await made.close()


async def test_a_start_removes_partial_files_of_tasks_that_are_saved_and_no_others(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    out = tmp_path / "out"
    for name in LEFT:
        leave(out, name.format(id=SAVED))
    stays = {leave(out, name.format(id=id_)) for name in LEFT for id_ in (UNSAVED, ELSEWHERE)}
    stays |= {leave(out, name) for name in OTHERS}
    await start_once(tmp_path, sandbox, clock)
    assert list_files(out) == stays


@pytest.mark.skipif(sys.platform == "win32", reason="Windows itself keeps an open file from being removed.")
async def test_a_partial_file_in_which_another_process_writes_stays(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    stem = f"2027-01-15-veo3-fast-{SAVED}-1"
    with partial_files.open_partial_file(tmp_path / "out", stem) as part:
        part.begin('"version"', 3)
        await start_once(tmp_path, sandbox, clock)
        part.file.write(b"all")
        assert part.commit(tmp_path / "out", stem, "mp4").read_bytes() == b"all"
    assert list_files(tmp_path / "out") == {f"{stem}.mp4"}


async def test_a_start_without_an_output_folder_makes_none(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    await start_once(tmp_path, sandbox, clock)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("age", "stays"), [(23 * 3600, True), (25 * 3600, False)])
async def test_the_folder_of_an_edit_that_never_got_a_row_goes_when_it_is_a_day_old(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, age: float, stays: bool
) -> None:
    """Until then it may be that of a server with another ledger."""
    name = leave(tmp_path / "out", LEFT[-1].format(id=ELSEWHERE), clock.time() - age)
    other = leave(tmp_path / "out", LEFT[0].format(id=ELSEWHERE))
    await start_once(tmp_path, sandbox, clock)
    assert list_files(tmp_path / "out") == ({name, other} if stays else {other})
