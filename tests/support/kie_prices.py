"""What KIE charges for a call by its own price texts: worked out from the request's body, without the catalogue."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from kie_mcp.catalog.model import KieModel
from support.facts import market
from support.paths import FACTS

Lengths = Mapping[str, float]

PRODUCTS = {
    "veo3": "POST /api/v1/veo/generate",
    "veo3_fast": "POST /api/v1/veo/generate",
    "veo3_lite": "POST /api/v1/veo/generate",
    "veo/extend": "POST /api/v1/veo/extend",
    "flux-kontext-pro": "POST /api/v1/flux/kontext/generate",
    "flux-kontext-max": "POST /api/v1/flux/kontext/generate",
    "runway/gen4-aleph": "POST /api/v1/aleph/generate",
}
"""Entries of the models that KIE prices under a product's own address."""
ONLY_KIE_KNOWS = ("output_size", "source_resolution")
DEFAULTS = {"veo/extend": {"model": "fast"}}
"""What KIE takes for a field that its schema gives no default."""
COUNTS = ("num_images", "n", "max_images", "nVariants")
FIXED_SECONDS = {
    "hailuo/02-text-to-video-pro": 6,
    "hailuo/02-image-to-video-pro": 6,
    "wan/2-2-a14b-text-to-video-turbo": 81 / 16,
    "wan/2-2-a14b-image-to-video-turbo": 81 / 16,
}
"""Seconds of the results of models that leave no choice."""
LONGEST = {"pixverse-v6/image-to-video": 15.0}
"""Seconds of the longest result where the length is left to KIE; others make 30 s."""
CUT_AT = {"infinitalk/from-audio": 15.0, "wan/2-2-animate-move": 30.0, "wan/2-2-animate-replace": 30.0}
"""Seconds after which a result ends, however long its file is."""
LAYERS = 8
"""Pictures that taking one apart makes."""
SPOKEN_CHARACTERS_PER_SECOND = 10
SOUND_TOKENS_PER_SECOND = 25


@cache
def prices() -> dict[str, Any]:
    """KIE's price texts as facts, by model."""
    models: dict[str, Any] = json.loads((FACTS / "prices.json").read_text(encoding="utf-8"))["models"]
    return models


def facts_of(id_: str) -> dict[str, Any]:
    """What is known of a model's price; no rates where nothing is."""
    entry: dict[str, Any] = prices().get(PRODUCTS.get(id_, id_), {"rates": []})
    return entry


def charge(call: KieModel, lengths: Lengths) -> float | None:
    """Return the most that KIE can charge for a call; None where it publishes no rate for such a call.

    Args:
        call: The call.
        lengths: The seconds of each of its clips and sounds.
    """
    body = {**call.constants, **call.sent(str)}
    facts = facts_of(call.id)
    amount = count_units(call, facts, body, lengths)
    if facts["unit"] == "million_tokens":
        text = len(json.dumps(body, ensure_ascii=False)) / 4
        amounts = {"input": text / 1e6, "output": amount}
        return float(sum(rate["credits"] * amounts[rate["when"]["tokens"]] for rate in facts["rates"]))
    plus = sum(max(0, len(images(body)) - each["free"]) * each["credits"] for each in facts.get("plus", ()))
    credits_ = [rate["credits"] for rate in rates(call.id, facts, body)]
    return float(max(credits_) * amount + plus) if credits_ else None


def rates(id_: str, facts: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the rates that may hold for a body: those before the first one that holds for certain, and that one."""
    for rate in facts["rates"]:
        met = [is_met(id_, body, field, wanted) for field, wanted in rate["when"].items()]
        if False not in met:
            yield rate
            if None not in met:
                return


def is_met(id_: str, body: Mapping[str, Any], field: str, wanted: Any) -> bool | None:
    """Whether a body meets a condition; None where only KIE can tell."""
    if field in ONLY_KIE_KNOWS:
        return None
    if field == "video_input":
        return ("video_list" in body) is wanted
    if field == "type" and "type" not in body:
        return bool(wanted == ("split_stem_advanced" if body.get("stem_name") else "separate_vocal"))
    given = body.get(field, DEFAULTS.get(id_, {}).get(field, default(id_, field)))
    if isinstance(wanted, bool):
        return bool(given) is wanted
    return None if given in (None, "auto") else str(given).casefold() == str(wanted).casefold()


def default(id_: str, field: str) -> Any:
    """KIE's own default of a field."""
    schema: dict[str, Any] = market().get(id_, {}).get("input", {})
    return schema.get("properties", {}).get(field, {}).get("default")


def count_units(call: KieModel, facts: Mapping[str, Any], body: Mapping[str, Any], lengths: Lengths) -> float:
    """Count what KIE bills."""
    match facts["unit"]:
        case "second":
            seconds = seconds_made(call.id, body, lengths)
            added = sum(lengths[clip] for clip in clips(body)) if facts["billed_seconds"] == "input+output" else 0
            return float(seconds + added)
        case "image" if "layer" in call.id:
            return LAYERS
        case "image":
            unsaid = (12 if body.get("enable_sequential") else 4) if call.id.startswith("wan/2-7-image") else 1
            return float(next((body[name] for name in COUNTS if body.get(name)), unsaid))
        case "1000_characters":
            return len(body.get("text", "") + "".join(line["text"] for line in body.get("dialogue", ()))) / 1000
        case "million_tokens":
            characters = sum(len(turn["text"]) for turn in body["dialogue_turns"])
            return min(characters / SPOKEN_CHARACTERS_PER_SECOND * SOUND_TOKENS_PER_SECOND, 16_384) / 1e6
        case _:
            return 1


def seconds_made(id_: str, body: Mapping[str, Any], lengths: Lengths) -> float:
    """Return the seconds of a result: as asked for, or as long as its file, or the longest that the model makes."""
    asked = float(body.get("duration") or 0)
    if asked > 0:
        return asked
    if id_ in FIXED_SECONDS:
        return FIXED_SECONDS[id_]
    if "num_frames" in body:
        return float(body["num_frames"] / body["frames_per_second"])
    files = [*clips(body), *([body["audio_url"]] if "audio_url" in body else [])]
    if files and asked == 0:
        return min(max(lengths[file] for file in files), CUT_AT.get(id_, 1e9))
    return LONGEST.get(id_, 30.0)


def clips(body: Mapping[str, Any]) -> list[str]:
    """The clips of a body."""
    named = (body.get(name) for name in ("video_url", "video_urls", "reference_video_urls"))
    return [clip for value in named if value for clip in (value if isinstance(value, list) else [value])]


def images(body: Mapping[str, Any]) -> list[str]:
    """The pictures of a body that KIE may count."""
    return [*body.get("image_urls", ()), *body.get("reference_image_urls", ())]
