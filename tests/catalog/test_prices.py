"""What a call can cost: never less than KIE's own price texts come to."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import pytest
from support.cases import for_each
from support.effort import examples
from support.example_calls import ARGUMENTS, EXAMPLES, GIVEN
from support.kie_prices import charge, facts_of
from support.random_calls import draw_calls

from kie_mcp.catalog.amount import LONGEST_UNKNOWN
from kie_mcp.catalog.fields import MediaRef
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price_list import describe_open_lengths, estimate_dearest_call, format_prices
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.catalog.vendors import wan
from kie_mcp.kie.routes import build_body
from kie_mcp.sandbox.offers import OFFERS

PUBLISHED = [id_ for id_ in MODELS if facts_of(id_)["rates"]]
"""The models for which KIE publishes a rate."""
NO_AMOUNT = ("qwen/text-to-image", "qwen/image-edit")
"""Models of which KIE does not say how much a call buys: how large their pictures are."""
UNREACHABLE = {
    "wan/2-6-video-to-video: 720p 15": "the schema stops at 10 s",
    "wan/2-6-video-to-video: 1080p 15": "the schema stops at 10 s",
}
"""Conditions of a rate that no call can meet, and why."""
SHORT_CLIPS = (wan.Wan22TurboText, wan.Wan22TurboImage)
"""Models of which KIE does not say how long their clips are."""
CLIP = "https://files.example/a.mp4"


def parse(id_: str, **given: Any) -> KieModel:
    model = MODELS[id_]
    (family,) = (family for family in FAMILIES if model in family.models)
    return family.parse({**given, "model": id_})


def needed(id_: str) -> dict[str, Any]:
    """Arguments that make a valid call."""
    required = {name: GIVEN[name] for name, field in MODELS[id_].model_fields.items() if field.is_required()}
    return required | ARGUMENTS.get(id_, {})


def lengths_of(call: KieModel, share: float) -> dict[str, float]:
    """Lengths of the files of a call, between the shortest and the longest that the model takes."""
    files = [ref for ref in call.references() if isinstance(ref, MediaRef)]
    lengths = {}
    for ref in files:
        shortest, longest = ref.limits.seconds or (1, LONGEST_UNKNOWN)
        together = ref.limits.total_seconds or float("inf")
        longest = min(longest, together / sum(type(other) is type(ref) for other in files))
        lengths[str(ref)] = max(shortest, 1) + share * (longest - max(shortest, 1))
    return lengths


def wanted_by(id_: str, when: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that meet the conditions of a rate."""
    wire = {name: value for name, value in when.items() if not isinstance(value, bool)}
    given = MODELS[id_].received(wire)
    for name, value in when.items():
        if name in ("video_list", "video_input"):
            given |= {"video": CLIP, "video_end": 4} if value else {}
            if value:
                given.pop("duration", None)
        elif name.endswith("_urls"):
            given |= MODELS[id_].received({name: [CLIP]}) if value else {}
        elif isinstance(value, bool):
            given |= MODELS[id_].received({name: value})
    given |= {"stem": "drum kit"} if when.get("type") == "split_stem_advanced" else {}
    given |= {"aspect_ratio": "16:9"} if id_.startswith("gpt-image-2") else {}
    return given


def is_open(id_: str, when: Mapping[str, Any]) -> bool:
    """Whether only KIE knows what a call buys, so that no single figure tells it."""
    known_later = {"source_resolution", "output_size", "tokens", "tier"} & when.keys()
    return bool(known_later) or id_ in NO_AMOUNT or "layer-decomposition" in id_ or MODELS[id_] in SHORT_CLIPS


RATES = [(id_, rate["when"]) for id_ in PUBLISHED for rate in facts_of(id_)["rates"] if not is_open(id_, rate["when"])]


@for_each("id_, when", RATES)
def test_each_rate_that_kie_publishes_is_that_of_the_catalogue(id_: str, when: dict[str, Any]) -> None:
    if f"{id_}: {' '.join(map(str, when.values()))}" in UNREACHABLE:
        with pytest.raises(ValueError, match="Input should be"):
            parse(id_, **{**needed(id_), **wanted_by(id_, when)})
        return
    call = parse(id_, **{**needed(id_), **wanted_by(id_, when)})
    for share in (0.0, 0.5, 1.0):
        lengths = lengths_of(call, share)
        estimate, charged = call.estimate(lengths), charge(call, lengths)
        assert estimate.low == estimate.high == pytest.approx(charged, abs=0.01)
        assert estimate.assumed == ""


@for_each("id_", PUBLISHED)
def test_no_call_can_cost_more_than_its_estimate(id_: str) -> None:
    """With a length for every file, with none, and with all between."""

    def check(call: KieModel, share: float) -> None:
        references = call.references()
        if len(set(references)) < len(references):
            # One name would stand for files of different lengths.
            return
        lengths = lengths_of(call, share)
        charged = charge(call, lengths)
        for known in ({}, lengths, dict(list(lengths.items())[::2])):
            estimate = call.estimate(known)
            if charged is None:
                assert estimate.high is None
            else:
                assert estimate.low is not None
                assert estimate.high is not None
                assert estimate.low <= estimate.high
                assert id_ in NO_AMOUNT or estimate.low - 0.01 <= charged <= estimate.high + 1e-6

    for given, share in zip(draw_calls(MODELS[id_], examples(20)), cycle((0.0, 0.5, 1.0)), strict=False):
        try:
            call = parse(id_, **{**needed(id_), **given})
        except ValueError:
            continue
        check(call, share)
    for example in ({}, *EXAMPLES.get(id_, ())):
        for share in (0.0, 1.0):
            check(parse(id_, **(example or needed(id_))), share)


SOUND = "https://files.example/a.mp3"
PICTURE = "https://files.example/a.png"


@for_each(
    "id_, given, cost",
    [
        ("minimax-h3/reference-to-video", {"videos": [CLIP], "duration": 15, "resolution": "2K"}, "221 to 390"),
        ("topaz/video-upscale", {"video": CLIP, "factor": 4}, "14 to 4200"),
        ("wan/2-2-animate-move", {"video": CLIP, "resolution": "720p"}, "12.5 to 375"),
        ("bytedance/seedance-2", {"videos": [CLIP], "duration": 15, "resolution": "4k"}, "2176 to 3840"),
        ("bytedance/seedance-2-5", {"duration": -1, "resolution": "1080p"}, "632 to 4740"),
        ("bytedance/seedance-2-5", {"duration": -1, "resolution": "1080p", "videos": [CLIP, CLIP]}, "760 to 5700"),
        ("happyhorse/video-edit", {"video": CLIP}, "288 to 5760"),
        ("wan/3-0-video", {"videos": [CLIP, CLIP], "duration": -1, "resolution": "1080p"}, "128 to 1920"),
        ("kling/ai-avatar-pro", {"audio": SOUND}, "16 to 4800"),
        ("kling-2.6/motion-control", {"video": CLIP, "resolution": "1080p"}, "54 to 540"),
        ("kling-3.0/motion-control", {"video": CLIP}, "20 to 6000"),
        ("kling-3.0-omni/reference-to-video", {"images": None, "video": CLIP, "resolution": "4k"}, "201 to 1038.5"),
        ("infinitalk/from-audio", {"audio": SOUND, "resolution": "720p"}, "12 to 180"),
        ("omnihuman-1-5", {"audio": SOUND}, "27 to 1619.73"),
        ("volcengine/video-to-video-lip-sync", {"video": CLIP, "audio": SOUND}, "8 to 2400"),
        ("elevenlabs/audio-isolation", {"audio": SOUND}, "0.1 to 30"),
        ("wan/2-2-a14b-text-to-video-turbo", {}, "80 to 96"),
        ("wan/2-7-videoedit", {"video": CLIP}, "48 to 240"),
        ("wan/2-7-videoedit", {"video": CLIP, "duration": 4}, "96"),
        ("seedream/5-pro-layer-decomposition", {"image": PICTURE}, "14 to 210"),
        ("seedream/5-flash-layer-decomposition", {"image": PICTURE}, "6.48 to 48.6"),
        ("topaz/image-upscale", {"image": PICTURE}, "10 to 40"),
        ("grok-imagine/upscale", {"resolution": "1080p"}, "20 to 30"),
        ("grok-imagine/extend", {"duration": 10}, "24 to 45"),
        ("google/gemini-2-5-pro-tts", {"prompt": "x" * 1000}, "2.39 to 35.15"),
    ],
)
def test_an_open_length_counts_as_the_longest_there_can_be(id_: str, given: dict[str, Any], cost: str) -> None:
    estimate = parse(
        id_, **{name: each for name, each in {**needed(id_), **given}.items() if each is not None}
    ).estimate()
    assert str(estimate) == cost
    assert bool(estimate.assumed) == ("to" in cost and not id_.startswith(("topaz/image", "grok")))


@pytest.mark.parametrize(
    ("id_", "given", "lengths", "cost"),
    [
        ("topaz/video-upscale", {"video": CLIP, "factor": 4}, {CLIP: 12.5}, "175"),
        ("happyhorse/video-edit", {"video": CLIP}, {CLIP: 10}, "960"),
        ("wan/2-2-animate-move", {"video": CLIP, "resolution": "720p"}, {CLIP: 100}, "375"),
        ("infinitalk/from-audio", {"audio": SOUND}, {SOUND: 4}, "12"),
        ("volcengine/video-to-video-lip-sync", {"video": CLIP, "audio": SOUND}, {CLIP: 4, SOUND: 9}, "32 to 72"),
        # Of three clips of 15 s together, one has 4 s.
        ("bytedance/seedance-2", {"videos": [CLIP, "b.mp4", "c.mp4"], "resolution": "4k"}, {CLIP: 4}, "1664 to 2560"),
    ],
)
def test_a_length_that_is_known_counts(id_: str, given: dict[str, Any], lengths: dict[str, float], cost: str) -> None:
    assert str(parse(id_, **{**needed(id_), **given}).estimate(lengths)) == cost


def test_an_estimate_says_what_it_assumes() -> None:
    call = parse("bytedance/seedance-2-5", prompt="rain", duration=-1, videos=[CLIP])
    assert call.estimate().assumed == ("KIE chooses the length, 30 s at most; video of unknown length counts as 30 s")
    assert call.estimate({CLIP: 3}).assumed == "KIE chooses the length, 30 s at most"
    unlimited = parse("topaz/video-upscale", video=CLIP)
    assert unlimited.estimate().assumed == "video of unknown length counts as 300 s, as KIE states no limit"


def test_an_estimate_is_never_rounded_down() -> None:
    estimate = parse("qwen/text-to-image", prompt="x").estimate()
    assert estimate.high == 4.2
    assert estimate.high > 4 * 1024 * 1024 / 1e6
    assert parse("elevenlabs/audio-isolation", audio=SOUND).estimate({SOUND: 3}).high == 0.3


def test_the_sandbox_never_charges_more_than_the_estimate() -> None:
    for path, offers in OFFERS.items():
        for offer in (each for each in offers if each.route_id == "jobs"):
            call = parse(offer.model.id, **needed(offer.model.id))
            high = call.estimate().high
            if high is not None:
                assert offer.price(build_body(call, "jobs", str)) <= high, (path, call.id)


def test_the_list_of_prices_has_every_model_and_the_bound_of_its_dearest_call() -> None:
    rows = {row.split("`")[1]: row for row in format_prices().splitlines() if "| `" in row}
    assert rows.keys() == MODELS.keys()
    assert rows["bytedance/seedance-2"].endswith("| video of unknown length counts as 15 s | 3,840 |")
    assert rows["z-image"] == "| Z-Image | `z-image` | 0.8 per image. | - | 0.8 |"
    assert rows["ideogram/v3-remix"] == "| Ideogram 3 | `ideogram/v3-remix` | KIE publishes no figure. | - | ? |"
    # The caps count a call in 1080p as the highest estimate of a similar model, which is more than 67.5.
    assert rows["grok-imagine-video-1-5-preview"].endswith("| 67.5, 1080p: ? |")
    assert "55 (no sound, 5 s), 110 (no sound, 10 s)" in rows["kling-2.6/text-to-video"]
    assert describe_open_lengths(MODELS["pixverse-v6/image-to-video"]) == "KIE chooses the length, 15 s at most"
    for id_, model in MODELS.items():
        dearest = estimate_dearest_call(model).high
        assert (dearest or 0) >= (model.default_estimate().high or 0), id_
        assert (dearest is not None) == bool(model.price.rates), id_
