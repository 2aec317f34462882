"""Every body that the catalogue can produce, held against KIE's documentation."""

import contextlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kie_mcp.catalog.fields import Ref, Track
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.catalog.schema import plain_schema
from kie_mcp.kie import routes

FACTS = Path(__file__).parents[2] / "shared" / "kie"

pytestmark = pytest.mark.skipif(
    not FACTS.is_dir(), reason="KIE's documented contract does not lie beside this checkout"
)

BODIES: dict[tuple[str, str], list[str]] = {}
"""The models of each documented body: those of a product share one, and each takes its part of it."""

for _id, _model in MODELS.items():
    for _way in _model.routes:
        BODIES.setdefault((_way, _id if _way == "jobs" else ""), []).append(_id)

LEFT_OUT = {
    "callBackUrl": "the client adds it where KIE insists",
    "nsfw_checker": "off unless asked for, as everywhere at KIE; KIE's own moderation stays",
    "enable_safety_checker": "can only be switched off, and only partly, through the API",
    "upload_method": "where KIE stores the result; no caller cares",
    "uploadCn": "where KIE stores the result; no caller cares",
    "sync_mode": "a task is always asked after, never waited for inside the create",
    "enableFallback": "deprecated by KIE",
    "fileUrl": "deprecated by KIE for the list",
}

LEFT_OUT_OF = {
    "bytedance/seedance-2-mini": {
        "return_last_frame": "deprecated by KIE for its sisters, and in no schema of this one"
    },
    "elevenlabs/text-to-speech-multilingual-v2": {"language_code": "the model fails when a language is forced"},
}

WAN_PICTURES: list[dict[str, Any]] = [
    {"prompt": "a hat", "images": ["a.png", "b.png"], "boxes": [[[0, 0, 9, 9]], []]},
    {
        "prompt": "a cat",
        "aspect_ratio": "21:9",
        "colors": [{"hex": f"#00000{n}", "percent": share} for n, share in enumerate((50, 33.3, 16.7))],
    },
]

DETAILS = {
    "prompt": "it rains",
    "style": "folk",
    "title": "Rain",
    "voice_gender": "f",
    "style_weight": 0.5,
    "weirdness": 0.25,
    "audio_weight": 0.5,
}
PERSONA = {"negative_prompt": "metal", "persona_id": "p1", "persona_model": "voice_persona"}
SECTION = {"prompt": "it rains", "lyrics": "all of it", "style": "folk", "title": "Rain", "start": 10, "end": 20.5}

# Calls that chance does not find: their fields depend on one another.
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "kling-3.0/video": [
        {"shots": [{"prompt": "a door", "duration": 2}, {"prompt": "a room", "duration": 3}]},
        {"prompt": "a door opens", "image": "a.png", "last_image": "b.png"},
        {
            "prompt": "@tom waves",
            "image": "a.png",
            "elements": [{"name": "tom", "description": "a man", "images": ["b.png", "c.png"], "voices": ["d.mp3"]}],
        },
    ],
    "kling-3.0-omni/image-to-video": [
        {"prompt": "a door", "image": "a.png", "last_image": "b.png", "multi_shots": True},
        {
            "prompt": "@tom waves",
            "image": "a.png",
            "aspect_ratio": "9:16",
            "shots": [{"prompt": "@tom comes", "duration": 2}],
            "elements": [
                {"name": "tom", "description": "a man", "images": ["b.mp4"], "start_time": 1000, "end_time": 9000}
            ],
        },
    ],
    "kling-3.0-omni/text-to-video": [{"prompt": "a door", "multi_shots": True}],
    "kling-3.0-omni/reference-to-video": [
        {"prompt": "a door", "images": ["a.png"], "multi_shots": True},
        {"prompt": "a door", "video": "a.mp4", "elements": [{"name": "tom", "description": "he", "images": ["b.mp4"]}]},
        {
            "prompt": "a door",
            "images": ["a.png"],
            "video": "b.mp4",
            "shots": [{"prompt": "@tom comes", "duration": 2}],
            "elements": [{"name": "tom", "description": "he", "images": ["c.png", "d.png"], "voices": ["e.mp3"]}],
        },
    ],
    "kling-3.0-omni/transformation": [
        {"prompt": "a door", "video": "a.mp4", "elements": [{"name": "tom", "description": "he", "images": ["b.mp4"]}]},
        {"prompt": "a door", "video": "a.mp4", "images": ["b.png"], "duration": 7},
    ],
    "wan/2-7-image-to-video": [
        {"prompt": "a door", "video": "a.mp4"},
        {"prompt": "a door", "image": "a.png", "last_image": "b.png"},
        {"prompt": "a door", "image": "a.png", "audio": "b.mp3"},
    ],
    "wan/2-7-image": WAN_PICTURES,
    "wan/2-7-image-pro": WAN_PICTURES,
    "sora-2-pro-storyboard": [{"shots": [{"prompt": "a door", "duration": 5}], "image": "a.png"}],
    "elevenlabs/text-to-speech-turbo-2-5": [{"prompt": "hello", "next_text": "world", "language": "en"}],
    "elevenlabs/text-to-dialogue-v3": [{"lines": [{"prompt": "hello", "voice": "Adam"}], "language": "en"}],
    "ai-music-api/extend": [{"track": "task:t_0001#1", "continue_at": 30, **DETAILS, **PERSONA}],
    "ai-music-api/upload-and-extend-audio": [{"audio": "a.mp3", "continue_at": 30, **DETAILS, **PERSONA}],
    "ai-music-api/upload-and-cover-audio": [{"audio": "a.mp3", "duration": 60, **DETAILS, **PERSONA}],
    "ai-music-api/mashup": [{"audios": ["a.mp3", "b.mp3"], "duration": 60, **DETAILS}],
    "ai-music-api/replace-section": [
        {"track": "task:t_0001#1", **SECTION, "negative_prompt": "metal"},
        {"audio": "a.mp3", **SECTION},
    ],
    "ai-music-api/separate-vocals": [{"track": "task:t_0001#1", "stem": "drum kit"}],
    "bytedance/seedance-2-5": [
        {"prompt": "a door opens", "image": "a.png", "last_image": "b.png"},
        {"prompt": "a door opens", "images": ["a.png"], "videos": ["b.mp4"], "audios": ["c.mp3"]},
    ],
    "grok-imagine/image-to-video": [
        {"prompt": "a door opens", "images": ["a.png", "b.png"], "aspect_ratio": "1:1"},
        {"image_task": "task:t_0001", "image_index": 1, "mode": "spicy"},
    ],
    "pixverse-v6/image-to-video": [
        {"prompt": "a door opens", "image": "a.png", "second_image": "b.png", "template": "412736208886848"},
    ],
    "pixverse-v6/extend": [{"prompt": "it opens", "video": "a.mp4"}, {"prompt": "it opens", "task_id": "task:t_0001"}],
    "gemini-omni-video": [{"prompt": "a door opens", "video": "a.mp4", "video_start": 1, "video_end": 5.5}],
}


@cache
def market() -> dict[str, Any]:
    models: dict[str, Any] = json.loads((FACTS / "market.json").read_text())["models"]
    return models


@cache
def operations() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FACTS / "operations.json").read_text())
    return loaded


def documented(id_: str, way: str) -> dict[str, Any] | None:
    """KIE's schema of what a way is sent; None where no page gives one."""
    if way == "jobs":
        entry = market().get(id_)
        return entry["input"] if entry else None
    route = routes.find(way)
    operation = operations().get(f"{route.method} {route.create}")
    if operation and route.method == "GET":
        query = operation["query"]
        return {
            "properties": {each["name"]: each["schema"] for each in query},
            "required": [each["name"] for each in query if each["required"]],
        }
    return operation["body"] if operation else None


def sent(call: KieModel, way: str) -> dict[str, Any]:
    def resolve(ref: Ref) -> str:
        return "8551-audio" if isinstance(ref, Track) else f"https://files.example/{len(ref)}.png"

    body = routes.body(call, way, resolve)
    fields: dict[str, Any] = body["input"] if way == "jobs" else body
    return fields


def values(schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Arguments that a field's schema admits."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer":
            return st.integers(schema.get("minimum", -1), schema.get("maximum", 10**6))
        case "number":
            # Quarters: the remainder of a division by KIE's steps of 0.01 is exact.
            return st.floats(schema.get("minimum", 0), schema.get("maximum", 100)).map(lambda x: round(x * 4) / 4)
        case "boolean":
            return st.booleans()
        case "array":
            item = values(schema["items"], name)
            return st.lists(item, min_size=schema.get("minItems", 1), max_size=schema.get("maxItems", 3))
        case "object":
            return arguments(schema)
        case _ if name in ("track", "task_id", "task"):
            return st.just("task:t_0001#1")
        case _:
            return st.text("aé字 ", min_size=3, max_size=min(40, schema.get("maxLength", 40))).map(
                lambda t: f"x{t}"[:40]
            )


def arguments(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    each = {name: values(field, name) for name, field in schema["properties"].items()}
    required = {name: each[name] for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional={name: s for name, s in each.items() if name not in required})


def fields_sent(id_: str, way: str, schema: dict[str, Any]) -> set[str]:
    """What a model's calls put into their bodies, each of which the schema admits."""
    (family,) = (family for family in FAMILIES if MODELS[id_] in family.models)
    validator = jsonschema.Draft202012Validator(schema)
    reached: set[str] = set()

    def check(arguments: dict[str, Any]) -> None:
        call = family.parse({"model": id_, **arguments})
        if way in call.ways():
            body = sent(call, way)
            assert not [error.message for error in validator.iter_errors(body)]
            reached.update(body)

    @given(arguments(plain_schema(MODELS[id_])))
    @settings(max_examples=80, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def every_accepted_call_is_documented(given: dict[str, Any]) -> None:
        with contextlib.suppress(ValueError):
            check(given)

    every_accepted_call_is_documented()
    for example in EXAMPLES.get(id_, ()):
        check(example)
    return reached


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("ids", "way"),
    [(ids, way) for (way, _), ids in BODIES.items()],
    ids=[f"{i[0]} by {w}" for (w, _), i in BODIES.items()],
)
def test_every_call_makes_a_body_that_kie_documents_and_reaches_every_field_of_it(ids: list[str], way: str) -> None:
    schema = documented(ids[0], way)
    if schema is None:
        pytest.skip("no page of KIE's documents this body")
    parts = [schema, *schema.get("oneOf", ()), *schema.get("anyOf", ())]
    properties = {name: field for part in parts for name, field in part.get("properties", {}).items()}
    fields = {name for name, field in properties.items() if not field.get("deprecated")}
    reached = {name for id_ in ids for name in fields_sent(id_, way, schema)}
    assert reached - fields == set(), "KIE ignores unknown fields and bills all the same"
    assert fields - reached - set(LEFT_OUT) - set(LEFT_OUT_OF.get(ids[0], ())) == set()
