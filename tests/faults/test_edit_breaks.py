"""An edit, when something breaks while it is put together or made: it costs nothing, and leaves nothing behind."""

import os
import shutil
from pathlib import Path

import anyio
import pytest
from reconciliation import Compare, locked, settle
from support.clock import JumpingClock, let_others_run, wait_until
from support.films import clip
from support.programs import needs_ffmpeg
from support.runners import run_runner, run_to_end, saved_files

from kie_mcp.film.timeline import EDIT_TOOL, Timeline
from kie_mcp.ledger.leases import LEASE_SECONDS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.edits import _one_at_a_time
from kie_mcp.tasks.leftovers import ABANDONED_SECONDS
from kie_mcp.tasks.order import Order

pytestmark = [pytest.mark.anyio, needs_ffmpeg]

FULL = Path("/dev/full")


@pytest.fixture
def film(tmp_path: Path) -> Timeline:
    """A film of two clips."""
    clips = []
    for color in ("red", "blue"):
        (tmp_path / f"{color}.mp4").write_bytes(clip(color, 0.4))
        clips.append({"source": str(tmp_path / f"{color}.mp4"), "speed": 0.5})
    return Timeline.model_validate({"clips": clips})


def find_folder(folder: Path) -> Path | None:
    """Return the private folder of the only edit, once both sources are in it; None until then."""
    found = next((folder / "out").glob(".*.edit"), None)
    return found if found and len(list(found.iterdir())) == 2 else None


def keep(folder: Path) -> tuple[Path, Path]:
    """Copy the private folder of the edit, since a killed process could not have deleted it; return both places."""
    place = find_folder(folder)
    assert place
    return place, shutil.copytree(place, folder / "kept")


async def test_a_server_is_killed_while_a_film_is_made(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare, film: Timeline
) -> None:
    async with _one_at_a_time, run_runner(tmp_path, sandbox.app, clock, crash=True) as runner:
        task = await runner.submit(Order(EDIT_TOOL, film))
        place, kept = keep(tmp_path)
    kept.joinpath("film.mp4").write_bytes(b"half a film")
    shutil.move(kept, place)
    clock.now += 2 * LEASE_SECONDS
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        await run_to_end(runner, await runner.get(task.id))
        await settle(clock, tmp_path)
    # What the dead one has left goes at the next start, as the task is saved now.
    async with run_runner(tmp_path, sandbox.app, clock):
        await wait_until(lambda: not place.exists())
    compare(
        sandbox,
        "a process is killed, another takes over",
        "while a film is made",
        accepted=0,
        charged=0,
        recorded="1 succeeded",
        saved=1,
    )


async def test_a_server_is_killed_before_an_edit_is_in_the_ledger(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare, film: Timeline
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, crash=True, busy_seconds=60) as runner:
        with locked(tmp_path):
            async with anyio.create_task_group() as group:
                group.start_soon(runner.submit, Order(EDIT_TOOL, film))
                await wait_until(lambda: bool(find_folder(tmp_path)))
                place, kept = keep(tmp_path)
                group.cancel_scope.cancel()
    shutil.rmtree(place, ignore_errors=True)
    shutil.move(kept, place)
    os.utime(place, (clock.time(), clock.time()))
    async with run_runner(tmp_path, sandbox.app, clock):
        await let_others_run()
        assert place.exists(), "a server with another ledger may be making it"
    clock.now += 2 * ABANDONED_SECONDS
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        await wait_until(lambda: not place.exists())
        await run_to_end(runner, await runner.submit(Order(EDIT_TOOL, film)))
        await settle(clock, tmp_path)
    compare(
        sandbox,
        "a process is killed, another is there",
        "between the sources of a film and its row; asked again",
        accepted=0,
        charged=0,
        recorded="1 succeeded",
        saved=1,
    )


@pytest.mark.skipif(not FULL.exists(), reason="Only Linux has a device that is always full.")
async def test_the_disk_is_full_while_a_film_is_made(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, compare: Compare, film: Timeline
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        async with _one_at_a_time:
            task = await runner.submit(Order(EDIT_TOOL, film))
            place = find_folder(tmp_path)
            assert place
            # Whatever is written there finds no room.
            place.joinpath("film.mp4").symlink_to(FULL)
        task = await run_to_end(runner, task)
        assert task.error
        assert task.error["message"] == "The disk has no room for the film."
        assert saved_files(tmp_path / "out") == []
        await run_to_end(runner, await runner.submit(Order(EDIT_TOOL, film)))
        await settle(clock, tmp_path)
    compare(
        sandbox,
        "the disk is full",
        "while a film is made; made again",
        accepted=0,
        charged=0,
        recorded="1 failed, 1 succeeded",
        saved=1,
    )
