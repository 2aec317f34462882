"""The ten wishes: what the scripted model calls for each, and whether its user got what the wish says."""

import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
from dialects import Call, Json, Reply, Result, Turn

TASK = re.compile(r"(?:\b|(?<=\\n))t_[a-z]{10}\b")
"""A task's id, also after a line break that JSON has escaped."""
FILE = re.compile(r"/[^\s\"'\\]+\.(?:jpg|png|mp3|mp4)")
MAX_TEXT = 60_000
"""The most characters that a view of a picture may take as text: 45 kB in base64."""
EMPTY: Json = {"string": "", "array": [], "boolean": False, "object": {}}
"""What is empty, by the JSON schema's type."""
TRIES = 5
"""After so many calls the model gives a wish up."""


@dataclass(frozen=True)
class Scene:
    """Where the wishes are played."""

    photo: Path
    """A local picture of the user's."""
    output: Path
    """The folder where the server saves results."""


@dataclass(frozen=True)
class Wish:
    """Something that a user wants."""

    name: str
    sentence: str
    credits: float
    """What it has to cost."""
    play: Callable[[Scene, list[Result]], Call | None]
    """The model's next call after these results; None when there is nothing more to do."""
    judge: Callable[[Scene, list[Result]], str]
    """What is wrong with the results; empty when nothing is."""


def pursue(call: Call, results: list[Result]) -> Call | None:
    """Make a call, repeat it when the answer does not tell a task, and wait for its task."""
    last = results[-1].text if results else ""
    busy = re.search("running|being saved", last)
    if (re.search(r"\b(succeeded|invalid_call)\b", last) and not busy) or len(results) >= TRIES:
        return None
    if (tasks := TASK.findall(last)) and busy:
        return Call("get_task", {"task_ids": tasks[:1], "wait_seconds": 50})
    return call


def judge_files(results: list[Result], count: int = 1) -> str:
    """Say what the last result lacks of a finished task: its id, what it cost, and its files' real paths."""
    last = results[-1].text
    if "succeeded" not in last:
        return f"no result: {shorten(last)}"
    if lost := [each.text for each in results if not TASK.search(each.text)]:
        return f"{len(lost)} of {len(results)} answers tell no task: {shorten(lost[0])}"
    if "credits" not in last:
        return f"the cost is not told: {shorten(last)}"
    files = {path for path in FILE.findall(last) if Path(path).is_file()}
    return "" if len(files) >= count else f"{len(files)} of {count} files are told: {shorten(last)}"


def shorten(text: str, most: int = 240) -> str:
    """Return a text on one line, cut to a length in characters."""
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= most else line[: most - 1] + "…"


def picture(wish: str, **arguments: Any) -> Call:
    """Return the ordinary call for a picture."""
    return Call("nano_banana_image", {"prompt": f"a red fox in fresh snow, {wish}", **arguments})


def find(_scene: Scene, results: list[Result]) -> Call | None:
    """Look for a model."""
    return None if results else Call("find_models", {"words": "lipsync"})


def judge_find(_scene: Scene, results: list[Result]) -> str:
    """A model that moves lips has to be found."""
    found = re.search("avatar|infinitalk|omnihuman", results[0].text)
    return "" if found else f"nothing is found: {shorten(results[0].text)}"


def make_defaults(scene: Scene, results: list[Result]) -> Call | None:
    """Call two tools of several models; `obey` fills in what a strict host demands, `FILLED` everything."""
    upscale = Call("recraft_upscale", {"image": str(scene.photo)})
    video = Call("kling_video", {"prompt": "a fox runs, defaults"})
    return [upscale, video, None][min(len(results), 2)]


def judge_defaults(_scene: Scene, results: list[Result]) -> str:
    """Neither call may be refused."""
    refused = [shorten(each.text) for each in results if not re.search("succeeded|running", each.text)]
    return f"{len(refused)} of 2 calls are refused: {refused[-1]}" if refused else ""


def make_video(scene: Scene, results: list[Result]) -> Call | None:
    """Start a video from a photo, start it once more by mistake, and wait for it."""
    call = Call("runway_video", {"prompt": "the fox looks around", "image": str(scene.photo)})
    return call if len(results) < 2 else pursue(call, results)


def make_raw(_scene: Scene, results: list[Result]) -> Call | None:
    """Run a model with KIE's own arguments."""
    arguments = {"prompt": "a red fox, raw", "aspect_ratio": "16:9"}
    return pursue(Call("run_model", {"model": "z-image", "input": arguments}), results)


def judge_raw(scene: Scene, results: list[Result]) -> str:
    """The shape that was asked for has to arrive at KIE."""
    wide = '"aspect_ratio": "16:9"'
    made = [file.read_text(encoding="utf-8") for file in scene.output.glob("*-z-image-t_*.json")]
    lost = "" if not made or wide in made[-1] else "aspect_ratio was lost, and the picture paid"
    return judge_files(results) or lost


def look(scene: Scene, results: list[Result]) -> Call | None:
    """Make a picture and look at it. Before the look it is replaced by one with as much detail as a photo has."""
    if results and results[-1].text and (seen := TASK.search(results[-1].text)) and "succeeded" in results[-1].text:
        for file in scene.output.glob(f"*{seen[0]}-1.jpg"):
            file.write_bytes(draw_photo(2048, 1365))
        return Call("view_media", {"task_id": seen[0]})
    return None if len(results) > 1 and "running" not in results[-1].text else pursue(picture("look"), results)


def judge_look(_scene: Scene, results: list[Result]) -> str:
    """The look may not fill the model's context."""
    last = results[-1]
    if last.base64 > MAX_TEXT:
        return f"the picture is {last.base64:,} characters of text"
    return "" if last.pictures or last.base64 else f"no picture: {shorten(last.text)}"


def mistake(_scene: Scene, results: list[Result]) -> Call | None:
    """Ask for a shape that there is not, then for one that there is."""
    if not results:
        return picture("mistake", aspect_ratio="5:7")
    return pursue(picture("mistake", aspect_ratio="4:5"), results[1:])


def judge_mistake(_scene: Scene, results: list[Result]) -> str:
    """The refusal has to name the argument. Some hosts refuse by themselves."""
    if len(results) < 2:
        return "it does not go on"
    unread = "" if "aspect_ratio" in results[0].text else f"the refusal does not help: {shorten(results[0].text)}"
    return unread or judge_files(results[1:])


def make_expensive(_scene: Scene, results: list[Result]) -> Call | None:
    """Ask for what needs the user's consent."""
    return None if results else Call("veo_video", {"prompt": "a fox in the rain", "model": "veo3"})


def judge_expensive(_scene: Scene, results: list[Result]) -> str:
    """There has to be a way on: the confirmation's id, or the setting."""
    way = re.search(r"\bc_[a-z]{10}\b|KIE_MCP_CONFIRM_ABOVE", results[0].text)
    return "" if way else f"no way on: {shorten(results[0].text)}"


def judge_file(_scene: Scene, results: list[Result]) -> str:
    """One file has to be there."""
    return judge_files(results)


WISHES = (
    Wish("find", "find a model for what people call lip sync", 0, find, judge_find),
    Wish("picture", "make a picture", 4, lambda _, results: pursue(picture("picture"), results), judge_file),
    Wish("defaults", "upscale and make a video with every default sent along", 90.5, make_defaults, judge_defaults),
    Wish(
        "edit",
        "edit a local photo",
        4,
        lambda scene, results: pursue(picture("edit", images=[str(scene.photo)]), results),
        judge_file,
    ),
    Wish("video", "make a video from a photo, called twice, paid once", 12, make_video, judge_file),
    Wish(
        "song",
        "make a song of two takes",
        12,
        lambda _, results: pursue(Call("suno_music", {"prompt": "a song of a fox"}), results),
        lambda _, results: judge_files(results, 2),
    ),
    Wish("raw", "run a model by its id with nested arguments", 0.8, make_raw, judge_raw),
    Wish("look", "look at a detailed picture", 4, look, judge_look),
    Wish("mistake", "get over a wrong argument", 4, mistake, judge_mistake),
    Wish("expensive", "be asked before 250 credits", 0, make_expensive, judge_expensive),
)
BY_NAME = {wish.name: wish for wish in WISHES}
FILLED = {"defaults"}
"""The wishes whose calls have every argument, as many hosts send them."""


def reply(scene: Scene, turn: Turn) -> Reply:
    """Return what the model answers to a turn."""
    wish = BY_NAME.get(turn.wish)
    call = wish.play(scene, turn.results) if wish else None
    if not call:
        return "Done."
    name = next((name for name in turn.tools if re.search(rf"(^|_|\W){call.name}$", name)), None)
    if not name and "ToolSearch" in turn.tools:
        return Call("ToolSearch", {"query": f"select:mcp__kie__{call.name}"})
    if not name:
        return f"There is no tool {call.name}."
    return Call(name, obey(turn.tools[name], call.arguments, everything=turn.wish in FILLED))


def obey(schema: Json, arguments: Json, *, everything: bool = False) -> Json:
    """Return the arguments as the schema lets a model write them.

    What a closed schema does not know is left out; what it requires, or `everything`, is filled in.
    """
    known: Json = schema.get("properties") or {}
    closed = schema.get("additionalProperties") is False
    kept = {
        name: obey(known[name], value) if isinstance(value, dict) and name in known else value
        for name, value in arguments.items()
        if name in known or not closed
    }
    # An object that cannot be written is given as text, if there is an argument for that.
    lost = [name for name, value in arguments.items() if isinstance(value, dict) and kept.get(name) != value]
    kept |= {f"{name}_json": json.dumps(arguments[name]) for name in lost if f"{name}_json" in known}
    required = schema.get("required") or []
    for name, each in known.items():
        if name not in kept and (name in required or (everything and says_nothing(each))):
            kept[name] = fill(each)
    return kept


def says_nothing(schema: Json) -> bool:
    """Tell whether an argument can be given without saying anything: as its default, as null or as what is empty."""
    return schema.get("default") is not None or bool({"null", *EMPTY} & set(types_of(schema)) and "enum" not in schema)


def fill(schema: Json) -> Any:
    """Return what a model writes for an argument that it has nothing for, the least if it has to say something."""
    types = types_of(schema)
    if schema.get("default") is not None:
        return schema["default"]
    if "null" in types:
        return None
    if "enum" in schema:
        return schema["enum"][0]
    return next((EMPTY[kind] for kind in types if kind in EMPTY), schema.get("minimum", 1))


def types_of(schema: Json) -> list[str]:
    """Return the types that a schema allows."""
    named = [each.get("type", []) for each in (schema, *schema.get("anyOf", []))]
    return [kind for each in named for kind in ([each] if isinstance(each, str) else each)]


def draw_photo(width: int, height: int) -> bytes:
    """Return a JPEG with as much detail as a photo has: noise at many scales; width and height in pixels."""
    whole = PIL.Image.new("RGB", (width, height))
    generator = random.Random(1)
    for scale in (256, 64, 16, 4, 2):
        size = (max(1, width // scale), max(1, height // scale))
        layer = PIL.Image.frombytes("RGB", size, generator.randbytes(3 * size[0] * size[1])).resize((width, height))
        whole = PIL.Image.blend(whole, layer, 0.5 if scale > 2 else 0.12)
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=92)
    return file.getvalue()
