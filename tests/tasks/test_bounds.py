"""What a call counts for in the caps: never less than KIE's published rate and the real length of its files come to."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from support.clock import JumpingClock
from support.media_files import picture, sound, timed_clip
from support.runners import model_call, run_runner, run_to_end

from kie_mcp.catalog import dynamic_model
from kie_mcp.catalog.price import AS_OF
from kie_mcp.errors import CapReached, InvalidCall
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.caps import Caps, Rules
from kie_mcp.tasks.money import highest_similar_estimate
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio

LIST = f"price list {AS_OF}"
SCHEMA = {
    "properties": {
        "prompt": {"type": "string"},
        "n": {"type": "integer"},
        "seconds": {"type": "string"},
        "image_url": {"type": "string"},
        "video_url": {"type": "string"},
    }
}
NEW = dynamic_model.model_from_schema("new/x", SCHEMA, kind="video", task_type="text-to-video")


def place(folder: Path, **files: bytes) -> dict[str, str]:
    """Write files and return their paths by name; `clip_mp4` is clip.mp4."""
    paths = {name: folder / name.replace("_", ".") for name in files}
    for name, content in files.items():
        paths[name].write_bytes(content)
    return {name: str(path) for name, path in paths.items()}


def order(tool: str, **given: Any) -> Order:
    return Order(tool, model_call(tool, **given))


def new(**given: Any) -> Order:
    """A call of a model that the catalogue does not have."""
    return Order("run_model", dynamic_model.parse_call(NEW, {"prompt": "rain", **given}))


async def pay(runner: Runner, sandbox: Sandbox, wanted: Order, amount: float) -> None:
    """Run an order that KIE charges this for."""
    task = await runner.submit(wanted)
    sandbox.accepted[-1].credits = amount
    assert (await run_to_end(runner, task)).credits == amount


@pytest.mark.parametrize("given", ["path", "file URI", "data URI", "task"])
async def test_a_file_on_this_machine_is_measured(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, given: str
) -> None:
    files = place(tmp_path, a_wav=sound(12), a_png=picture(400, 400))
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        song = await run_to_end(runner, await runner.submit(order("suno_music")))
        (tmp_path / "saved.wav").write_bytes(sound(12))
        song.results[0].path = str(tmp_path / "saved.wav")
        await runner.ledger.save(song)
        audio = {
            "path": files["a_wav"],
            "file URI": Path(files["a_wav"]).as_uri(),
            "data URI": f"data:audio/wav;base64,{b64encode(sound(12)).decode()}",
            "task": f"task:{song.id}#1",
        }[given]
        cost = await runner.quote(order("kling_avatar", image=files["a_png"], audio=audio))
    assert (cost.known, cost.basis, cost.reserve) == ((96, 96), LIST, 96)


async def test_a_result_that_was_made_here_is_measured(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        made = await run_to_end(runner, await runner.submit(order("kling_video")))
        for video in (f"task:{made.id}", made.results[0].url):
            cost = await runner.quote(order("topaz_upscale", video=video, factor=4, prompt=None))
            # The sandbox's clip has 2 s.
            assert cost.known == (28, 28)
        other = order("topaz_upscale", video=f"{made.results[0].url}x", factor=4, prompt=None)
        assert (await runner.quote(other)).known == (14, 4200)


@pytest.mark.parametrize("audio", ["https://files.example/a.mp3", "task"])
async def test_what_is_elsewhere_counts_as_the_longest(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, audio: str
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, save=False) as runner:
        song = await run_to_end(runner, await runner.submit(order("suno_music")))
        audio = f"task:{song.id}#1" if audio == "task" else audio
        cost = await runner.quote(order("kling_avatar", image="https://files.example/a.png", audio=audio))
    assert cost.known == (8, 2400)
    assert cost.reserve == 2400
    assert str(cost) == f"about 8 to 2,400 credits ($0.04 to $12.00, {LIST}; audio of unknown length counts as 300 s)"


async def test_a_cap_counts_the_length_of_a_file(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    files = place(tmp_path, short_mp4=timed_clip(7), long_mp4=timed_clip(8))
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules(Caps(task=100))) as runner:
        for name, fits in (("short_mp4", True), ("long_mp4", False)):
            wanted = order("topaz_upscale", video=files[name], factor=4, prompt=None)
            if fits:
                assert (await runner.submit(wanted)).reserved == 98
                continue
            with pytest.raises(CapReached, match="may cost 112 credits"):
                await runner.submit(wanted)
    assert len(sandbox.accepted) == 1


async def test_a_file_that_is_not_there_has_no_price(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        wanted = order("kling_avatar", image="https://files.example/a.png", audio=str(tmp_path / "nowhere.wav"))
        with pytest.raises(InvalidCall):
            await runner.quote(wanted)


@pytest.mark.parametrize(
    ("tool", "short", "long", "bound"),
    [
        ("kling_avatar", {"audio": "short_wav"}, {"audio": "long_wav"}, 8 * 40),
        ("kling_motion", {"video": "short_mp4"}, {"video": "long_mp4"}, 11 * 30),
        ("wan_animate", {"video": "short_mp4", "resolution": "720p"}, {"video": "long_mp4", "resolution": "720p"}, 375),
        ("topaz_upscale", {"video": "short_mp4", "factor": 4}, {"video": "long_mp4", "factor": 4}, 14 * 30),
    ],
)
async def test_after_a_short_clip_a_long_one_is_not_cheap(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    tool: str,
    short: dict[str, str],
    long: dict[str, str],
    bound: float,
) -> None:
    files = place(
        tmp_path,
        short_wav=sound(4),
        long_wav=sound(40),
        short_mp4=timed_clip(4),
        long_mp4=timed_clip(30),
        a_png=picture(400, 400),
    )

    def wanted(given: dict[str, str]) -> Order:
        image = {} if tool == "topaz_upscale" else {"image": files["a_png"]}
        return order(tool, **image, **{name: files.get(value, value) for name, value in given.items()}, prompt=None)

    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        await pay(runner, sandbox, wanted(short), 2)
        cost = await runner.quote(wanted(long))
        elsewhere = "https://files.example/a.mp4" if "video" in long else "https://files.example/a.mp3"
        unknown = await runner.quote(wanted({**long, "video" if "video" in long else "audio": elsewhere}))
    seconds = 40 if tool == "kling_avatar" else 30
    assert cost.known == (seconds / 2, seconds / 2)
    assert cost.reserve == bound
    assert cost.basis == f"what the last one was charged; caps count {bound:g}, {LIST}"
    assert unknown.basis.startswith(LIST)
    assert unknown.reserve >= bound


async def test_where_kie_chooses_the_length_a_past_charge_tells_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    wanted = order("seedance_video", model="seedance-2.5", duration=-1, resolution="1080p")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        await pay(runner, sandbox, wanted, 632)
        cost = await runner.quote(wanted)
    assert cost.known == (632, 4740)
    assert cost.basis == f"{LIST}; KIE chooses the length, 30 s at most"


async def test_where_kie_chooses_the_rate_a_past_charge_tells_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    """An extension costs by the resolution of the earlier video."""
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        made = await run_to_end(runner, await runner.submit(order("grok_video")))
        wanted = order("grok_video", model="grok-imagine/extend", task_id=made.id)
        await pay(runner, sandbox, wanted, 14.4)
        assert (await runner.quote(wanted)).known == (14.4, 27)


async def test_charges_with_and_without_a_reference_clip_are_not_compared(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    files = place(tmp_path, a_mp4=timed_clip(5))
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        await pay(runner, sandbox, order("seedance_video", model="seedance-2"), 300)
        with_clip = order("seedance_video", model="seedance-2", videos=[files["a_mp4"]])
        assert (await runner.quote(with_clip)).known == (250, 250)
        await pay(runner, sandbox, with_clip, 400)
        longer = order("seedance_video", model="seedance-2", videos=[files["a_mp4"]], duration=15)
        assert (await runner.quote(longer)).known == (800, 800)


async def test_of_a_model_that_is_not_built_in_only_calls_with_the_same_fields_are_compared(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    files = place(tmp_path, short_mp4=timed_clip(4), long_mp4=timed_clip(300), a_mp4=timed_clip(4))
    others: tuple[dict[str, Any], ...] = (
        {"n": 100},
        {"seconds": "600"},
        {"n": 100, "seconds": "600"},
        {"image_url": "https://files.example/a.png"},
        {"video_url": "https://files.example/a.mp4"},
        {"video_url": files["long_mp4"]},
    )
    sandbox.discovery.add_model("new/x", SCHEMA, kind="video", task_type="text-to-video")
    guess = highest_similar_estimate(new().call)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        given = {"n": 1, "seconds": "4", "video_url": files["short_mp4"]}
        await pay(runner, sandbox, new(**given), 2)
        alike = await runner.quote(new(**given | {"prompt": "snow", "video_url": files["a_mp4"]}))
        for other in others:
            cost = await runner.quote(new(**given | other))
            assert (cost.known, cost.basis, cost.reserve) == (None, "KIE publishes no figure", guess), other
    assert alike.known == (2, 2)
    # Nor does the like of it lower what the caps count.
    assert alike.reserve == guess
    assert alike.basis == f"what the last one was charged; caps count {guess:g}, KIE publishes no figure"


async def test_of_an_unknown_model_that_speaks_the_number_of_characters_counts(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    speech = dynamic_model.model_from_schema("new/x", SCHEMA, kind="audio", task_type="text-to-speech")
    sandbox.discovery.add_model("new/x", SCHEMA, kind="audio", task_type="text-to-speech")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        await pay(runner, sandbox, Order("run_model", speech(prompt="four")), 2)  # type: ignore[call-arg]
        assert (await runner.quote(Order("run_model", speech(prompt="five")))).known == (2, 2)  # type: ignore[call-arg]
        assert (await runner.quote(Order("run_model", speech(prompt="x" * 5000)))).known is None  # type: ignore[call-arg]


async def test_fields_that_are_sent_unchecked_are_part_of_what_is_compared(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    call = model_call("nano_banana_image")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        await pay(runner, sandbox, Order("nano_banana_image", call, extra={"n": 1}), 5)
        assert (await runner.quote(Order("nano_banana_image", call, extra={"n": 1}))).known == (5, 5)
        assert (await runner.quote(Order("nano_banana_image", call, extra={"n": 9}))).basis == LIST
        assert (await runner.quote(Order("nano_banana_image", call))).basis == LIST
