"""Compute what KIE charges for a call from its price texts and the request's body, without the catalogue."""

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
"""For each model that KIE prices under the endpoint of a product, the name of that price entry."""
ONLY_KIE_KNOWS = ("output_size", "source_resolution")
DEFAULTS = {"veo/extend": {"model": "fast"}}
"""For some models, KIE's default values of fields whose schema has no default."""
COUNTS = ("num_images", "n", "max_images", "nVariants")
FIXED_SECONDS = {
    "hailuo/02-text-to-video-pro": 6,
    "hailuo/02-image-to-video-pro": 6,
    "wan/2-2-a14b-text-to-video-turbo": 81 / 16,
    "wan/2-2-a14b-image-to-video-turbo": 81 / 16,
}
"""For each model with results of a fixed length, this length in seconds."""
LONGEST = {"pixverse-v6/image-to-video": 15.0}
"""Longest result in seconds if KIE chooses the length; for models that are not here, it is 30 s."""
CUT_AT = {"infinitalk/from-audio": 15.0, "wan/2-2-animate-move": 30.0, "wan/2-2-animate-replace": 30.0}
"""For some models, the longest result in seconds, even if the input file is longer."""
LAYERS = 8
"""Number of pictures that a model makes when it splits a picture into layers."""
SPOKEN_CHARACTERS_PER_SECOND = 10
SOUND_TOKENS_PER_SECOND = 25


@cache
def prices() -> dict[str, Any]:
    """Return KIE's prices for each model, as data that was read from the price texts."""
    models: dict[str, Any] = json.loads((FACTS / "prices.json").read_text(encoding="utf-8"))["models"]
    return models


def facts_of(id_: str) -> dict[str, Any]:
    """Return the price data of a model; the list of rates is empty if no price is known."""
    entry: dict[str, Any] = prices().get(PRODUCTS.get(id_, id_), {"rates": []})
    return entry


def charge(call: KieModel, lengths: Lengths) -> float | None:
    """Return the most that KIE can charge for a call; None if KIE publishes no rate for such a call.

    Args:
        call: The call.
        lengths: For each clip and sound of the call, its length in seconds.
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
    """Yield the rates that may apply to a body, up to the first rate that applies for certain."""
    for rate in facts["rates"]:
        met = [is_met(id_, body, field, wanted) for field, wanted in rate["when"].items()]
        if False not in met:
            yield rate
            if None not in met:
                return


def is_met(id_: str, body: Mapping[str, Any], field: str, wanted: Any) -> bool | None:
    """Return whether a body meets a condition of a rate; None if only KIE knows this."""
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
    """Return the default of a field in KIE's schema."""
    schema: dict[str, Any] = market().get(id_, {}).get("input", {})
    return schema.get("properties", {}).get(field, {}).get("default")


def count_units(call: KieModel, facts: Mapping[str, Any], body: Mapping[str, Any], lengths: Lengths) -> float:
    """Return the number of units that KIE bills for a call, such as seconds or images."""
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
    """Return a result's length in seconds: as requested, fixed, that of the input file, or the longest possible."""
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
    """Return the URLs of the clips in a body."""
    named = (body.get(name) for name in ("video_url", "video_urls", "reference_video_urls"))
    return [clip for value in named if value for clip in (value if isinstance(value, list) else [value])]


def images(body: Mapping[str, Any]) -> list[str]:
    """Return the URLs of the pictures in a body for which KIE may charge."""
    return [*body.get("image_urls", ()), *body.get("reference_image_urls", ())]
