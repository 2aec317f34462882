"""Edits: tasks that ffmpeg makes here. They stand in the ledger like any other, cost nothing, and survive a crash."""

import json
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import PIL.Image
import pytest
from support import films
from support.clock import JumpingClock, wait_until
from support.encoded_media import encode_picture, paint
from support.films import clip, sound
from support.programs import needs_ffmpeg
from support.runners import run_runner, run_to_end, saved_files

from kie_mcp import child_process
from kie_mcp.errors import InvalidCall
from kie_mcp.film.timeline import EDIT_TOOL, Timeline
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

pytestmark = [pytest.mark.anyio, needs_ffmpeg]

LONG: dict[str, Any] = {"clips": [{"source": "red.mp4", "speed": 0.25}] * 20, "height": 1080}
"""An edit that takes long enough to be stopped."""


@pytest.fixture
async def runner(sandbox: Sandbox, tmp_path: Path, clock: JumpingClock) -> AsyncIterator[Runner]:
    (tmp_path / "red.mp4").write_bytes(clip("red"))
    (tmp_path / "blue.mp4").write_bytes(clip("blue"))
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(repeat_window=600)) as opened:
        yield opened


def order(folder: Path, timeline: dict[str, Any], variation: int = 1) -> Order:
    text = json.dumps(timeline)
    for name in ("red.mp4", "blue.mp4"):
        text = text.replace(f'"{name}"', json.dumps(str(folder / name)))
    return Order(EDIT_TOOL, Timeline.model_validate_json(text), variation=variation)


async def test_an_edit_is_a_task_that_costs_nothing_with_its_file_and_its_sidecar(
    runner: Runner, tmp_path: Path
) -> None:
    task = await runner.submit(order(tmp_path, {"clips": [{"source": "red.mp4"}, {"source": "blue.mp4"}]}))
    task = await run_to_end(runner, task)
    assert (task.state, task.saved, task.credits, task.reserved, task.kind) == ("succeeded", True, 0, 0, "video")
    path = Path(task.results[0].path)
    assert films.see(path) == [("red", 25), ("blue", 25)]
    assert task.results[0].facts.startswith("2 s MP4")
    sidecar = json.loads(await anyio.Path(f"{path}.json").read_bytes())
    assert sidecar["tool"] == EDIT_TOOL
    assert sidecar["credits"] == 0
    assert [each["source"] for each in sidecar["arguments"]["clips"]] == [
        str(tmp_path / name) for name in ("red.mp4", "blue.mp4")
    ]
    assert saved_files(tmp_path / "out") == [path], "the private folder is gone"


async def test_a_result_of_an_edit_is_a_source_of_the_next_and_the_tasks_are_named(
    runner: Runner, tmp_path: Path
) -> None:
    first = await run_to_end(runner, await runner.submit(order(tmp_path, {"clips": [{"source": "red.mp4"}]})))
    timeline = {"clips": [{"source": f"task:{first.id}#1"}, {"source": first.id, "end": 0.4}]}
    second = await run_to_end(runner, await runner.submit(order(tmp_path, timeline)))
    assert films.see(Path(second.results[0].path)) == [("red", 35)]
    assert await runner.ledger.sources_of(second) == [first.id]


async def test_the_same_edit_is_the_same_task_and_another_variation_another(runner: Runner, tmp_path: Path) -> None:
    timeline = {"clips": [{"source": "red.mp4", "end": 0.2}]}
    first = await run_to_end(runner, await runner.submit(order(tmp_path, timeline)))
    again = await runner.submit(order(tmp_path, timeline))
    other = await run_to_end(runner, await runner.submit(order(tmp_path, timeline, variation=2)))
    assert again.id == first.id
    assert other.id != first.id
    assert len(saved_files(tmp_path / "out")) == 2


async def test_names_of_files_are_only_names(runner: Runner, tmp_path: Path) -> None:
    name = 'it\'s; [a], "b" %d :c\\ שלום.mp4'
    (tmp_path / name).write_bytes(clip("red", 0.2))
    (tmp_path / "p'$(x).png").write_bytes(encode_picture(paint("RGBA"), "PNG"))
    timeline = {"clips": [{"source": str(tmp_path / name)}, {"source": str(tmp_path / "p'$(x).png"), "seconds": 0.2}]}
    task = await run_to_end(runner, await runner.submit(order(tmp_path, timeline)))
    assert task.state == "succeeded", task.error
    assert films.see(Path(task.results[0].path))[0] == ("red", 5)


REFUSED = {
    "a web address": ("https://example.com/a.mp4", "is not on this machine"),
    "no file": ("nothing.mp4", "nothing.mp4"),
    "a file elsewhere": ("/etc/hostname", "outside the folders"),
    "a task that is not there": ("task:t_abcdefghjk23#1", "there is no task"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_source_that_is_not_here_is_refused_and_leaves_no_task(
    name: str, runner: Runner, tmp_path: Path
) -> None:
    source, words = REFUSED[name]
    with pytest.raises(InvalidCall, match=words):
        await runner.submit(order(tmp_path, {"clips": [{"source": "red.mp4"}, {"source": source}]}))
    assert await runner.ledger.page() == []
    assert list((tmp_path / "out").glob("*")) == []


def animate(form: str, *times: int) -> bytes:
    """Return an animation whose frames are red, lime and blue, each for as many milliseconds as given."""
    frames = [PIL.Image.new("RGB", (64, 48), color) for color in ("red", "lime", "blue")]
    file = BytesIO()
    options = {"lossless": True} if form == "WEBP" else {}
    frames[0].save(file, form, save_all=True, append_images=frames[1:], duration=list(times), loop=0, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
async def test_an_animation_moves_in_a_film_as_fast_as_in_a_browser(form: str, runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "moving.bin").write_bytes(animate(form, 400, 200, 0 if form == "GIF" else 100))
    source = str(tmp_path / "moving.bin")
    clips = [{"source": source}, {"source": "red.mp4", "end": 0.2}, {"source": source, "start": 0.4}]
    task = await run_to_end(runner, await runner.submit(order(tmp_path, {"clips": clips})))
    assert task.state == "succeeded", task.error
    seen = films.see(Path(task.results[0].path))
    end = [("lime", 6), ("blue", 3)]
    assert seen == [("red", 12), *end, ("red", 6), *end]


async def test_an_animation_is_a_cover_and_a_last_frame_as_well(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "moving.gif").write_bytes(animate("GIF", 400, 200, 400))
    source = str(tmp_path / "moving.gif")
    covered = {"clips": [{"source": "red.mp4"}], "format": "mp3", "cover": source}
    task = await run_to_end(runner, await runner.submit(order(tmp_path, covered)))
    assert task.state == "succeeded", task.error
    shown = films.decode(Path(task.results[0].path), "-map", "0:v", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    assert len(shown) == 64 * 48 * 3
    assert films.name_color(tuple(shown[:3])) == "red"
    last = await run_to_end(
        runner, await runner.submit(order(tmp_path, {"clips": [{"source": source}], "format": "png"}))
    )
    assert films.see(Path(last.results[0].path)) == [("blue", 1)]


async def test_an_animation_whose_frames_are_equal_is_a_still(runner: Runner, tmp_path: Path) -> None:
    frames = [PIL.Image.new("P", (64, 48), color) for color in (0, 0)]
    frames[0].save(tmp_path / "still.webp", save_all=True, append_images=frames[1:], duration=100)
    clips = [{"source": str(tmp_path / "still.webp"), "seconds": 1}]
    task = await run_to_end(runner, await runner.submit(order(tmp_path, {"clips": clips})))
    assert task.state == "succeeded", task.error


async def test_an_animation_that_is_too_long_to_take_apart_is_refused_with_what_to_do(
    runner: Runner, tmp_path: Path
) -> None:
    screen = struct.pack("<HHBBB", 1600, 1600, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    dots = [
        b"\x21\xf9\4\4\4\0\0\0\x2c" + struct.pack("<HHHHB", number, 0, 1, 1, 0) + b"\2\2\x44\1\0"
        for number in range(400)
    ]
    (tmp_path / "long.gif").write_bytes(b"GIF89a" + screen + b"".join(dots) + b"\x3b")
    with pytest.raises(InvalidCall, match=r"animation of 400 frames of 1600 x 1600.* save it as MP4 first"):
        await runner.submit(order(tmp_path, {"clips": [{"source": str(tmp_path / "long.gif")}]}))


async def test_lyrics_come_from_a_task_with_times(runner: Runner, tmp_path: Path, clock: JumpingClock) -> None:
    song = Task("t_song", "x", "x", "text", "", {}, clock.time(), "succeeded", texts=["0.20 Hello"], saved=True)
    await runner.ledger.add(song)
    timeline = {"clips": [{"source": "red.mp4"}], "lyrics": "t_song", "subtitles": "attach"}
    task = await run_to_end(runner, await runner.submit(order(tmp_path, timeline)))
    told = films.decode(Path(task.results[0].path), "-map", "0:s", "-f", "webvtt", "-")
    assert b"00:00.200" in told
    with pytest.raises(InvalidCall, match="no task with timed lyrics"):
        await runner.submit(order(tmp_path, timeline | {"lyrics": "t_other"}))


async def wait_for_ffmpeg() -> None:
    await wait_until(lambda: bool(child_process.running))


async def test_an_edit_whose_server_was_killed_is_made_by_the_next_one(
    sandbox: Sandbox, tmp_path: Path, clock: JumpingClock
) -> None:
    (tmp_path / "red.mp4").write_bytes(clip("red"))
    async with run_runner(tmp_path, sandbox.app, clock, crash=True) as runner:
        task = await runner.submit(order(tmp_path, {"clips": [{"source": "red.mp4", "speed": 0.5}]}), seconds=0)
    clock.now += 60
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.get(task.id))
    assert task.state == "succeeded", task.error
    assert films.see(Path(task.results[0].path)) == [("red", 50)]
    assert saved_files(tmp_path / "out") == [Path(task.results[0].path)]


async def test_an_edit_that_cannot_be_made_any_more_is_told_as_failed(
    sandbox: Sandbox, tmp_path: Path, clock: JumpingClock
) -> None:
    (tmp_path / "red.mp4").write_bytes(clip("red"))
    async with run_runner(tmp_path, sandbox.app, clock, crash=True) as runner:
        task = await runner.submit(order(tmp_path, LONG))
    (tmp_path / "red.mp4").unlink()
    clock.now += 60
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.get(task.id))
    assert task.state == "failed"
    assert task.error
    assert task.error["billed"] is False
    assert "red.mp4" in task.error["message"]


@pytest.mark.parametrize("kind", ["a relative path", "a data URI"])
async def test_an_edit_that_is_taken_over_is_made_of_the_files_of_its_caller_or_not_at_all(
    kind: str, sandbox: Sandbox, tmp_path: Path, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    png = {color: encode_picture(PIL.Image.new("RGB", (160, 90), color), "PNG") for color in ("red", "blue")}
    for folder, color in (("a", "red"), ("b", "blue")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(png[color])
    monkeypatch.chdir(tmp_path / "a")
    source = "./x.png" if kind == "a relative path" else f"data:image/png;base64,{b64encode(png['red']).decode()}"
    async with run_runner(tmp_path, sandbox.app, clock, crash=True) as runner:
        task = await runner.submit(order(tmp_path, {"clips": [{"source": source, "seconds": 0.1}]}), seconds=0)
    monkeypatch.chdir(tmp_path / "b")
    clock.now += 60
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.get(task.id))
    assert task.error
    assert ("changed" if kind == "a relative path" else "data URI") in task.error["message"]


async def test_an_edit_that_is_stopped_ends_its_program_and_leaves_nothing(runner: Runner, tmp_path: Path) -> None:
    task = await runner.submit(order(tmp_path, LONG))
    await wait_for_ffmpeg()
    runner.stop_edit(task.id)
    task = await run_to_end(runner, task)
    assert task.state == "failed"
    assert task.error
    assert "stopped" in task.error["message"]
    assert not child_process.running
    assert saved_files(tmp_path / "out") == []


async def test_progress_is_told_while_a_film_is_made(runner: Runner, tmp_path: Path) -> None:
    notes: list[str] = []

    async def report(tasks: Sequence[Task]) -> None:
        notes.append(tasks[0].note)

    task = await runner.submit(order(tmp_path, {"clips": LONG["clips"][:8], "height": 180}))
    watcher = runner._watchers[task.id]
    while not watcher.ended.is_set():
        await report([watcher.task])
        await anyio.sleep(0.05)
    shares = [int(note.rsplit(" ", 1)[1].rstrip("%.")) for note in notes if "Making the film" in note]
    assert shares == sorted(shares)
    assert len(set(shares)) > 1


async def test_nothing_is_made_where_files_are_not_saved(sandbox: Sandbox, tmp_path: Path, clock: JumpingClock) -> None:
    (tmp_path / "red.mp4").write_bytes(clip("red"))
    async with run_runner(tmp_path, sandbox.app, clock, save=False) as runner:
        with pytest.raises(InvalidCall, match="KIE_MCP_SAVE"):
            await runner.submit(order(tmp_path, {"clips": [{"source": "red.mp4"}]}))


async def test_a_charge_is_measured_while_an_edit_runs(runner: Runner, tmp_path: Path, clock: JumpingClock) -> None:
    other = Task("t_other", "x", "x", "image", "jobs", {}, clock.time(), "running")
    await runner.ledger.add(other)
    task = await runner.submit(order(tmp_path, LONG))
    assert await runner.ledger.statistics.ran_alone(other)
    runner.stop_edit(task.id)
    await run_to_end(runner, task)


async def test_speech_is_joined_to_one_sound(runner: Runner, tmp_path: Path) -> None:
    for name, pitch in (("a.mp3", 500), ("b.mp3", 1500)):
        (tmp_path / name).write_bytes(sound(pitch, 0.5, "mp3"))
    timeline = {"clips": [{"source": str(tmp_path / name)} for name in ("a.mp3", "b.mp3")]}
    task = await run_to_end(runner, await runner.submit(order(tmp_path, timeline)))
    assert (task.kind, task.results[0].mime_type) == ("audio", "audio/mpeg")
    heard = films.hear(Path(task.results[0].path))
    assert heard[1:4] == [500] * 3
    assert heard[6:9] == [1500] * 3
