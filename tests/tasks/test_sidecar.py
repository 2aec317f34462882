"""What lies beside a saved file, and what it was made from."""

import json
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from typing import Any

import anyio
import pytest
from support.clock import JumpingClock
from support.runners import full_disk, model_call, run_runner, run_to_end, saved_files

from kie_mcp.ledger.task import Result, Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.sidecar import build_sidecar
from kie_mcp.tasks.storage import FolderStorage

pytestmark = pytest.mark.anyio

ID = "t_abcdefghjkmn"


def beside(file: str | Path) -> Any:
    return json.loads(Path(f"{file}.json").read_text(encoding="utf-8"))


def task(**more: Any) -> Task:
    usual: dict[str, Any] = {"id": ID, "tool": "veo_video", "model": "veo3", "kind": "video", "route": "veo"}
    return Task(**usual | {"arguments": {"prompt": "a fox"}, "created": 1_800_000_000.0} | more)


async def test_beside_each_file_lies_where_it_came_from(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    asked = model_call("seedream_image", prompt="лиса 🦊\nat dawn")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        made = await run_to_end(runner, await runner.submit(Order("seedream_image", asked)))
        assert (made.saved, made.note) == (True, "")
        (result,) = made.results
        edit = model_call("nano_banana_image", prompt="blue", images=[f"task:{made.kie_id}#1", result.path])
        edited = await run_to_end(runner, await runner.submit(Order("nano_banana_image", edit)))
    told = beside(result.path)
    assert told["arguments"].pop("prompt") == told["prompt"] == "лиса 🦊\nat dawn"
    assert told.pop("arguments")
    assert told == {
        "task_id": made.id,
        "kie_id": made.kie_id,
        "file": 1,
        "mime_type": "image/png",
        "model": made.model,
        "tool": "seedream_image",
        "prompt": "лиса 🦊\nat dawn",
        "credits": made.credits,
        "estimated_credits": list(made.estimate or ()),
        "basis": made.basis,
        "created": "2027-01-15T08:00:00Z",
        "finished": told["finished"],
    }
    assert told["finished"] > told["created"]
    assert beside(edited.results[0].path)["made_from"] == [made.id]


async def test_each_of_several_files_is_told_apart(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        made = await run_to_end(runner, await runner.submit(Order("suno_music", model_call("suno_music"))))
    assert [beside(result.path)["file"] for result in made.results] == [1, 2]
    assert [beside(result.path).get("label", "") for result in made.results] == [each.label for each in made.results]
    assert len(saved_files(tmp_path / "out")) == 2
    assert len(list((tmp_path / "out").iterdir())) == 4


async def test_notes_have_theirs_too(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        order = Order("suno_midi", model_call("suno_midi", prompt=None, task_id="5f0c5f0c5f0c"))
        made = await run_to_end(runner, await runner.submit(order))
    assert beside(made.results[0].path)["mime_type"] == "audio/midi"
    # KIE's id of a task that the ledger has not stays as it is.
    assert beside(made.results[0].path)["made_from"] == ["5f0c5f0c5f0c"]


async def test_what_is_not_ours_stays(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        made = await runner.submit(Order("veo_video", model_call("veo_video")))
        mine = tmp_path / "out" / f"2027-01-15-{made.model.replace('_', '-')}-{made.id}-1.mp4.json"
        mine.parent.mkdir()
        mine.write_text("mine")
        made = await run_to_end(runner, made)
    assert (made.saved, made.note) == (True, "")
    assert mine.read_text() == "mine"
    assert json.loads(mine.with_name(f"{mine.stem}-2.json").read_text())["task_id"] == made.id


async def test_writing_it_again_makes_no_second_one(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        made = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
        before = sorted((tmp_path / "out").iterdir())
        await Downloader(runner.client, FolderStorage(tmp_path / "out")).write_sidecars(made, [])
    assert sorted((tmp_path / "out").iterdir()) == before


def test_two_servers_that_save_one_task_at_once_write_one(tmp_path: Path) -> None:
    """As each of them does when the other one's lease has ended, because the clock was set forward."""
    storage, ours = (
        FolderStorage(tmp_path),
        [task(id=f"t_{number}", results=[Result("")]) for number in range(100)],
    )
    begin = Barrier(2)

    def keep_all(server: str) -> None:
        for each in ours:
            begin.wait(10)
            # One of them may find that the other's partial file is gone.
            with suppress(OSError):
                anyio.run(storage.keep_sidecar, str(tmp_path / each.id), build_sidecar(each, 1, [server]), each)

    with ThreadPoolExecutor() as threads:
        list(threads.map(keep_all, ("one", "two")))
    assert {file.name for file in tmp_path.iterdir()} == {f"{each.id}.json" for each in ours}


async def test_where_it_cannot_be_written_the_file_is_saved_all_the_same(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        made = await runner.submit(Order("veo_video", model_call("veo_video")))
        # Nothing can be made where a folder has the name already.
        part = tmp_path / "out" / f".2027-01-15-{made.model.replace('_', '-')}-{made.id}-1.mp4.part"
        part.mkdir(parents=True)
        made = await run_to_end(runner, made)
    assert (made.state, made.saved) == ("succeeded", True)
    assert made.note == "The JSON beside the files could not be written: Is a directory."
    assert saved_files(tmp_path / "out")


async def test_a_file_is_described_though_the_other_one_is_not_saved(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    sandbox.inject_fault("media", 404, 2)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        made = await run_to_end(runner, await runner.submit(Order("suno_music", model_call("suno_music"))))
        assert not made.saved
        assert beside(made.results[1].path)["file"] == 2


async def test_a_full_disk_leaves_neither(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        made = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
        downloader = Downloader(runner.client, FolderStorage(tmp_path / "full"))
        made.results = [await downloader.write_file(made, 1, b"notes", "audio/midi")]
        with full_disk(), pytest.raises(OSError, match="too large"):
            await downloader.write_sidecars(made, [])
    assert [file.name for file in (tmp_path / "full").iterdir()] == [Path(made.results[0].path).name]


def test_what_is_not_known_is_left_out_and_a_seed_of_nought_is_known() -> None:
    told = json.loads(build_sidecar(task(arguments={"prompt": "a", "seed": 0}, results=[Result("", "a.mp4")]), 1, []))
    assert told["seed"] == 0
    assert "credits" not in told
    assert "made_from" not in told


def test_text_that_is_no_text_is_written_somehow() -> None:
    told = json.loads(
        build_sidecar(task(arguments={"prompt": "a \ud800 b \x00"}, results=[Result("", "a.mp4")]), 1, [])
    )
    assert told["prompt"] == "a ? b \x00"


async def test_a_data_uri_is_not_copied_to_the_disk(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    uri = f"data:image/png;base64,{b64encode(render_file('1.png', MediaContent('a fox', '1'))).decode()}"
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        order = Order("nano_banana_image", model_call("nano_banana_image", images=[uri]))
        made = await run_to_end(runner, await runner.submit(order))
    assert beside(made.results[0].path)["arguments"]["images"][0].startswith("sha256:")
