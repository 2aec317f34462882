"""Generate the input for the server: tool arguments, lines, bytes and JSON, valid or broken in some way."""

import io
import json
import wave
from collections.abc import Callable, Mapping
from importlib.resources import files
from random import Random
from typing import Any

from hypothesis import strategies as st
from PIL import Image

Strategy = st.SearchStrategy[Any]

ODD_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "null",
        "true",
        "-1",
        "1e999",
        "NaN",
        "{}",
        "[]",
        "../../etc/passwd",
        "C:\\a.png",
        "~",
        "~nobody/a",
    ),
    *(
        "file:///etc/hostname",
        "file://",
        "http://",
        "https://[::1",
        "https://a.example/%zz",
        "data:",
        "data:image/png,x",
    ),
    *(
        "data:image/png;base64,AAAA",
        "task:",
        "task:t_0#0",
        "task:#1",
        "kie://task/x",
        "a\u202eb\u200b",
        "\x1b[31m",
        "🎬",
    ),
    *("${HOME}", "{{prompt}}", "%s%n", "'; DROP TABLE tasks; --", "a" * 20_000, "字" * 5000, "not created", "a.png"),
)
ODD_NUMBERS = (0, -1, 2**31, 2**63, 10**400, 1e308, -0.0, float("inf"), float("nan"), 0.1 + 0.2)
SCALARS: Strategy = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60)
    | st.sampled_from(ODD_TEXTS) | st.sampled_from(ODD_NUMBERS)
)  # fmt: skip
VALUES: Strategy = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5)
)
DEEP: Strategy = st.integers(10, 150).map(lambda depth: json.loads("[" * depth + "]" * depth))
WORDS = st.sampled_from(("a fox", "eine Gräfin", "雨", "https://a.example/a.png", "task:t_abcdefghjk23#1", "Kore"))


def fit_schema(schema: Mapping[str, Any]) -> Strategy:
    """Return a strategy for values that mostly fit a field's schema."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer":
            return st.integers(schema.get("minimum", -1), schema.get("maximum", 100))
        case "number":
            return st.floats(schema.get("minimum", 0), schema.get("maximum", 100))
        case "boolean":
            return st.booleans()
        case "array":
            return st.lists(fit_schema(schema.get("items", {})), max_size=4)
        case "object":
            return st.fixed_dictionaries(
                {}, optional={name: fit_schema(each) for name, each in schema.get("properties", {}).items()}
            )
        case _:
            return WORDS


def arguments_for(schema: Mapping[str, Any]) -> Strategy:
    """Return a strategy for a tool's arguments: valid arguments, wrong types, and names that do not exist."""
    fields = schema["properties"]
    # Three of four values fit the schema; otherwise, hardly any call would pass the first check.
    each = {name: st.one_of(*[fit_schema(field)] * 3, VALUES | DEEP) for name, field in fields.items()}
    required = {name: each[name] for name in schema.get("required", ())}
    right = st.fixed_dictionaries(required, optional={name: each[name] for name in fields.keys() - required.keys()})
    strange = st.dictionaries(st.text(max_size=12) | st.sampled_from(sorted(fields) or ["prompt"]), VALUES, max_size=4)
    return st.one_of(right, right, right, st.builds(lambda one, other: one | other, right, strange), strange)


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Return bytes with random changes, such as a changed byte, a cut, a repeated part, or an extreme number."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        place = random.randrange(len(changed) + 1)
        # The beginning of a file is changed most often, because most headers are there.
        place = min(place, random.choice((16, 64, 512, len(changed))))
        match random.randrange(5):
            case 0 if changed:
                changed[min(place, len(changed) - 1)] = random.randrange(256)
            case 1:
                del changed[place:]
            case 2:
                changed[place : place + 4] = random.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"))
            case 3:
                changed[place:place] = changed[: random.randrange(200)]
            case _:
                del changed[place : place + random.randrange(1, 100)]
    return bytes(changed)


def mutate_json(value: Any, random: Random, odd: Callable[[], Any]) -> Any:
    """Return a JSON value in which one part is missing, or is replaced by a value from `odd`."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        name = random.choice(sorted(value, key=str))
        if random.random() < 0.15:
            return {key: each for key, each in value.items() if key != name}
        return value | {name: mutate_json(value[name], random, odd)}
    if isinstance(value, list) and value and random.random() < 0.9:
        place = random.randrange(len(value))
        return [*value[:place], mutate_json(value[place], random, odd), *value[place + 1 :]]
    return odd()


def make_media() -> dict[str, bytes]:
    """Return a small media file of each kind; the keys are file names."""
    found = {"a.mp4": _read_asset("clip.mp4"), "a.mp3": _read_asset("song.mp3")}
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        file = io.BytesIO()
        Image.new("RGB", (48, 32), "green").save(file, kind)
        found[f"a.{kind.lower()}"] = file.getvalue()
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    return found | {"a.wav": file.getvalue()}


def _read_asset(name: str) -> bytes:
    return (files("kie_mcp.sandbox") / "media" / name).read_bytes()
