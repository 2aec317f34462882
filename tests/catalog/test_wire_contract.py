"""Every body that the catalogue can produce, held against KIE's documentation."""

import contextlib
import json
import re
from functools import cache
from typing import Any

import jsonschema
from support.cases import for_each
from support.effort import examples
from support.example_calls import ARGUMENTS, EXAMPLES, GIVEN
from support.facts import market
from support.paths import FACTS
from support.random_calls import draw_calls

from kie_mcp.catalog.fields import Ref, Track
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.kie import routes

BODIES: dict[tuple[str, str], list[str]] = {}
"""The models of each documented body: those of a product share one, and each takes its part of it."""

for _id, _model in MODELS.items():
    for _way in _model.routes:
        BODIES.setdefault((_way, _id if _way == "jobs" else ""), []).append(_id)

OF_ONE_FIELD = re.compile(r"does not take \w+\.|: (Input|String|List|Tuple|there is no)")
"""What a refusal says that is of a field or its value, and not of a rule between several."""

UNDOCUMENTED = {
    "a unified id, whose fields are those of the product API in snake case": {
        *("runway", "runway/extend-ai-video", "runway/gen4-aleph", "4o-image-api", "flux-kontext-pro"),
        *("veo/extend", "veo/get-1080p-video", "veo/get-4k-video", "ai-music-api/add-instrumental"),
        *("ai-music-api/add-vocals", "ai-music-api/boost-music-style", "ai-music-api/check-voice"),
        *("ai-music-api/convert-to-wav-format", "ai-music-api/cover-generate", "ai-music-api/create-music-video"),
        *("ai-music-api/create-voice", "ai-music-api/extend", "ai-music-api/generate", "ai-music-api/generate-lyrics"),
        *("ai-music-api/generate-midi-from-audio", "ai-music-api/generate-persona", "ai-music-api/mashup"),
        *("ai-music-api/regenerate-phrase", "ai-music-api/replace-section", "ai-music-api/separate-vocals"),
        *("ai-music-api/sounds", "ai-music-api/timeStamped-lyrics", "ai-music-api/upload-and-cover-audio"),
        *("ai-music-api/upload-and-extend-audio", "ai-music-api/validation-phrase"),
    },
    "newer than the pages": {
        *("gpt-image-2-5-flare-text-to-image", "gpt-image-2-5-flare-image-to-image"),
        *("gpt-image-2-5-sunburst-text-to-image", "gpt-image-2-5-sunburst-image-to-image"),
        *("seedream/5-flash-layer-decomposition", "ai-music-api/suno-recovery-audio"),
    },
    "older than the pages": {"elevenlabs/sound-effect-v2"},
}
"""The first models of the bodies that no page documents, and why there is none."""

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

SHOWN_ELSEWHERE = {
    "4o-image-api": {"nVariants": "in KIE's quickstart", "maskUrl": "in KIE's quickstart"},
    "bytedance/seedance-2-5": {"extension_task_id": "in an example of the page"},
}
"""Fields that the schema of a page has lost, and where KIE still shows them."""


@cache
def live() -> dict[str, Any]:
    inputs: dict[str, Any] = json.loads((FACTS / "live-catalog.json").read_text(encoding="utf-8"))["inputs"]
    return inputs


@cache
def operations() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FACTS / "operations.json").read_text(encoding="utf-8"))
    return loaded


def documented(id_: str, way: str) -> dict[str, Any] | None:
    """KIE's schema of what a way is sent; None where no page gives one."""
    if way == "jobs":
        entry = market().get(id_)
        return entry["input"] if entry else None
    if way.startswith("jobs:"):
        return live().get(way.partition(":")[2])
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

    body = routes.build_body(call, way, resolve)
    fields: dict[str, Any] = body.get("input", body)
    return fields


def fields_sent(id_: str, way: str, schema: dict[str, Any]) -> set[str]:
    """What random calls of a model put into their bodies, each of which the schema admits."""
    (family,) = (family for family in FAMILIES if MODELS[id_] in family.models)
    validator = jsonschema.Draft202012Validator(schema)
    reached: set[str] = set()

    def check(arguments: dict[str, Any]) -> None:
        call = family.parse({"model": id_, **arguments})
        for part in call.split() if way in call.route_ids() else ():
            body = sent(part, way)
            assert not [error.message for error in validator.iter_errors(body)]
            reached.update(body)

    for given in draw_calls(MODELS[id_], examples(25)):
        with contextlib.suppress(ValueError):
            check(given)
    for example in EXAMPLES.get(id_, ()):
        check(example)
    return reached


DOCUMENTED = [(ids, way) for (way, _), ids in BODIES.items() if documented(ids[0], way)]


def test_only_these_bodies_stand_on_no_page() -> None:
    assert {ids[0] for (way, _), ids in BODIES.items() if not documented(ids[0], way)} == set().union(
        *UNDOCUMENTED.values()
    )


@for_each("ids, way", DOCUMENTED)
def test_every_call_makes_a_body_that_kie_documents_and_reaches_every_field_of_it(ids: list[str], way: str) -> None:
    schema = documented(ids[0], way)
    assert schema
    parts = [schema, *schema.get("oneOf", ()), *schema.get("anyOf", ())]
    properties = {name: field for part in parts for name, field in part.get("properties", {}).items()}
    fields = {name for name, field in properties.items() if not field.get("deprecated")}
    fields |= set(SHOWN_ELSEWHERE.get(ids[0], ()))
    reached = {name for id_ in ids for name in fields_sent(id_, way, schema)}
    assert reached - fields == set(), "KIE ignores unknown fields and bills all the same"
    # A field that stands in few calls needs one of support/example_calls.py.
    assert fields - set(LEFT_OUT) - set(LEFT_OUT_OF.get(ids[0], ())) - reached == set()


def values(field: dict[str, Any]) -> list[Any]:
    """What a page says in so many words that a field takes."""
    items = field.get("items", {})
    named = [*field.get("enum", ()), *(field[name] for name in ("default", "minimum", "maximum") if name in field)]
    return [
        *named,
        *([each] for each in items.get("enum", ())),
        *((True, False) if field.get("type") == "boolean" else ()),
    ]


def refusal(model: type[KieModel], pasted: dict[str, Any]) -> str:
    """Why a field or its value is refused; empty where it is not, or where it only needs others beside it."""
    (family,) = (family for family in FAMILIES if model in family.models)
    required = {name: GIVEN[name] for name, field in model.model_fields.items() if field.is_required()}
    needed = required | ARGUMENTS.get(model.id, {})
    try:
        family.parse({**needed, **model.received(pasted), "model": model.id})
    except ValueError as error:
        return str(error) if OF_ONE_FIELD.search(str(error)) else ""
    return ""


@for_each("ids, way", DOCUMENTED)
def test_every_value_that_kie_documents_is_taken(ids: list[str], way: str) -> None:
    schema = documented(ids[0], way) or {}
    parts = [schema, *schema.get("oneOf", ()), *schema.get("anyOf", ())]
    fields = {name: field for part in parts for name, field in part.get("properties", {}).items()}
    refused: dict[str, str] = {}
    for name, value in [(name, value) for name, field in fields.items() for value in values(field)]:
        models = [MODELS[id_] for id_ in ids if name not in {*MODELS[id_].hidden_fields(), *MODELS[id_].constants}]
        reasons = [refusal(model, {name: value}) for model in models]
        if reasons and all(reasons):
            refused[f"{name}: {value}"] = reasons[0]
    assert refused == {}
