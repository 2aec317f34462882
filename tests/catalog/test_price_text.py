"""What KIE's price texts mean for a call: the right figure, a span that holds it, or nothing."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.catalog import dynamic_model
from kie_mcp.catalog.amount import Lengths
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import Estimate
from kie_mcp.catalog.price_text import LONGEST_SHOWN, estimate_from_text, quote_text

TEXTS = tomllib.loads((Path(__file__).parent / "price_texts.toml").read_text(encoding="utf-8"))["text"]
LINK: dict[str, Any] = {"type": "string", "format": "uri"}
FIELDS: dict[str, Any] = {
    **{key: {"type": "string"} for key in ("duration", "resolution", "quality", "mode", "text")},
    **{key: {"type": "integer"} for key in ("num_images", "n")},
    "sound": {"type": "boolean"},
    "rendering_speed": {"type": "string", "enum": ["TURBO", "BALANCED", "QUALITY"]},
    "grade": {"type": "string", "enum": ["std", "pro", "4K"]},
    "upscale_factor": {"type": "string", "enum": ["1", "2", "4"]},
    "video_url": LINK,
    "image_urls": {"type": "array", "items": LINK},
}


def call(model_id: str = "vendor/new", /, **given: Any) -> KieModel:
    """A call of a model that the catalogue does not have."""
    model = dynamic_model.model_from_schema(model_id, {"properties": FIELDS}, kind="video", task_type="text-to-video")
    return dynamic_model.parse_call(model, given)


def measured(call: KieModel, seconds: float) -> Lengths:
    """Return this length for every file of a call."""
    return dict.fromkeys(call.references(), seconds)


def read(words: str, model_id: str = "vendor/new", /, **given: Any) -> tuple[float | None, float | None]:
    estimate = estimate_from_text(call(model_id, **given), words)
    return estimate.low, estimate.high


ROWS = [(text["from"], text["words"], each["call"], each.get("credits")) for text in TEXTS for each in text["reads"]]


@for_each("model_id, words, given, credits_", ROWS)
def test_a_price_text_of_kies_is_read_as_it_is_meant(
    model_id: str, words: str, given: dict[str, Any], credits_: list[float] | None
) -> None:
    arguments = given | ({"text": "x" * given["text"]} if "text" in given else {})
    assert read(words, model_id, **arguments) == tuple(credits_ or (None, None))


@for_each(
    "words, credits_",
    [
        ("10-20 credits", (10, 20)),
        ("10–20 credits per video", (10, 20)),
        ("from 10 to 20 credits", (10, 20)),
        ("between 10 and 20 credits", (10, 20)),
        ("up to 40 credits", (0, 40)),
        ("at most 40 credits per request", (0, 40)),
        ("1,200 credits ($6)", (1200, 1200)),
        ("4/6/9 credits at 1K/2K/4K", (4, 9)),
        ("$0.10 per image", (20, 20)),
        ("0.10 USD per image", (20, 20)),
        ("US $0.05-$0.10", (10, 20)),
        ("Free of charge", (0, 0)),
        ("Free for now", (0, 0)),
        ("no charge", (0, 0)),
        ("4 credits per 6 images", (4, 4)),
    ],
)
def test_ranges_dollars_and_what_is_free_are_read(words: str, credits_: tuple[float, float]) -> None:
    assert read(words) == credits_


@for_each(
    "words",
    [
        "",
        "from 10 credits",
        "at least 10 credits",
        "10+ credits",
        "10 credits per token",
        "10 credits per megapixel",
        "10 credits per frobnication",
        "10 credits/s or 3 credits per token",
        "€0.10 per image",
        "10 per image",
        "Free tier available",
        "No longer free",
        "Contact sales",
        "10 credits per output layer",
    ],
)
def test_what_is_not_understood_is_unknown_and_not_guessed(words: str) -> None:
    assert read(words, duration="10") == (None, None)


def test_of_a_list_the_price_of_the_calls_resolution_is_taken() -> None:
    assert read("4/6/9 credits at 1K/2K/4K", resolution="2K") == (6, 6)


def test_pictures_for_one_price_are_counted_up() -> None:
    assert read("4 credits per 6 images", num_images=7) == (8, 8)


@pytest.mark.parametrize("words", ["10 credits per 5 seconds", "10 credits/5s", "10 credits every 5 seconds"])
def test_seconds_for_one_price_are_counted_up(words: str) -> None:
    assert read(words, duration="12") == (30, 30)


@pytest.mark.parametrize(
    "rule", ["input + output", "input and output seconds are billed", "reference seconds billed", "input plus output"]
)
def test_the_seconds_of_a_given_video_are_added(rule: str) -> None:
    words = f"10 credits per video second ({rule})"
    assert read(words, duration="5") == (50, 50)
    filmed = call(duration="5", video_url="https://example.com/a.mp4")
    assert estimate_from_text(filmed, words, measured(filmed, 7.5)) == Estimate(125, 125)
    assert estimate_from_text(filmed, words) == Estimate(60, 3050, "video of unknown length counts as 300 s")


def test_a_result_without_a_length_is_as_long_as_its_file() -> None:
    filmed = call(video_url="https://example.com/a.mp4")
    assert estimate_from_text(filmed, "14 credits/s", measured(filmed, 7.5)) == Estimate(105, 105)


def test_a_length_that_kie_chooses_counts_as_the_longest_of_the_schema() -> None:
    fields = {"duration": {"type": "integer", "minimum": -1, "maximum": 30}}
    model = dynamic_model.model_from_schema(
        "vendor/open", {"properties": fields}, kind="video", task_type="text-to-video"
    )
    open_call = dynamic_model.parse_call(model, {"duration": -1})
    assert estimate_from_text(open_call, "8 credits/s") == Estimate(8, 240, "KIE chooses the length, 30 s at most")


def test_a_price_without_a_unit_may_be_for_each_picture() -> None:
    assert read("12.5 credits", num_images=4) == (12.5, 50)


@for_each("duration", ["-1", "0", "auto", "nan", "inf"])
@for_each("words", ["10 credits/s", "10 credits per second", "10 credits a second of video"])
def test_a_rate_for_a_length_that_nobody_states_counts_the_longest_length(words: str, duration: str) -> None:
    estimate = estimate_from_text(call(duration=duration), words)
    assert estimate == Estimate(10, 3000, "KIE states no length, 300 s count")


def test_a_rate_for_a_minute_is_paid_for_each_minute_that_begins() -> None:
    assert read("2 credits per minute", duration="90") == (4, 4)
    assert read("2 credits per minute") == (2, 10)


@for_each(
    "words, given, least",
    [
        # What is free besides the task.
        ("No charge for failed tasks. Price on request", {}, 1),
        ("Failed generations are free of charge", {}, 1),
        ("Royalty-free output, billed by duration", {}, 1),
        ("watermark-free", {}, 1),
        ("Free preview; full generation billed by duration", {}, 1),
        ("Preview is free", {}, 1),
        ("Free until quota reached", {}, 1),
        ("Free of charge for members", {}, 1),
        # Rates that are spelled as a price of one call.
        *(
            (words, {"duration": "10"}, 100)
            for words in (
                "10 credits a second of video",
                "10 credits / second of video",
                "10 credits per second of generated video",
                "10 credits (per-second billing)",
                "10 credits, billed per second",
                "Per-second price: 10 credits",
                "10 credits × duration",
                "10 credits x duration",
                "10 credits. Billed by duration.",
                "10 credits. The longer the clip, the higher the bill",
                "每秒 10 credits",
                "10 credits 每秒",
                "10 credits pro Sekunde für Länge",
                "$0.05/s ≈ 10 credits",
                "10 credits, charged for each second",
                "10 credits per video, by length",
            )
        ),
        ("10 credits per request per image", {"n": 3}, 30),
        ("10 credits per generation, per image", {"n": 3}, 30),
        ("10 credits per second per image", {"n": 3, "duration": "10"}, 300),
        ("10 credits/s/image", {"n": 3, "duration": "10"}, 300),
        ("10 credits per second", {"n": 3, "duration": "10"}, 300),
        ("10 credits per video", {"n": 3}, 30),
        ("10 credits per second, per speaker", {"duration": "10"}, 200),
        # Extras.
        ("10 credits/s, +5 credits/s with audio", {"duration": "10", "sound": True}, 150),
        ("10 credits/s. Audio +50%", {"duration": "10", "sound": True}, 150),
        ("10 credits/s, audio is 50% more", {"duration": "10", "sound": True}, 150),
        ("10 credits/s, sound adds 5 credits/s", {"duration": "10", "sound": True}, 150),
        ("10 credits/s; an extra 5 credits/s for sound", {"duration": "10", "sound": True}, 150),
        ("10 credits. Audio: $0.10", {"sound": True}, 30),
        ("10 credits, 2 credits per extra image", {"image_urls": ["https://a.example/a.png"] * 3}, 16),
        ("10 credits, 2 credits for each additional image", {"n": 3}, 14),
        ("10 credits per video, plus 5 credits per second", {"duration": "10"}, 60),
        # Factors.
        ("10 credits/s at 720p, 2x at 1080p", {"duration": "10", "resolution": "1080p"}, 200),
        ("10 credits/s at 720p, double for 1080p", {"duration": "10", "resolution": "1080p"}, 200),
        ("10 credits/s at 720p, 1080p costs twice that", {"duration": "10", "resolution": "1080p"}, 200),
        ("10 credits/s. 4K: 4x price", {"duration": "10", "resolution": "4K"}, 400),
        ("10 credits/s. 4K: ×4", {"duration": "10", "resolution": "4K"}, 400),
        ("10 credits/s at 1x, 4x price at night", {"duration": "10", "upscale_factor": "1"}, 400),
        # Floors.
        *(
            (words, {}, 11)
            for words in (
                "10 credits and up",
                "as low as 10 credits",
                "10 credits minimum",
                "min. 10 credits",
                "starts at 10 credits",
                "from 10 credits",
                "10 credits onwards",
                "10 credits or more",
                "10 credits, varies",
                "base price 10 credits",
                "10 credits plus tax",
            )
        ),
        # Numbers that are not spelled as KIE spells them.
        ("1 200 credits", {}, 1200),
        ("1'200 credits", {}, 1200),
        ("1.200 credits", {}, 1200),
        ("1 credit (low) to 20 (high)", {}, 20),
        ("10 credits, HD 20", {}, 20),
        ("ten credits for SD, 5 credits for thumbnails", {}, 10),
        ("10k credits; preview 5 credits", {}, 10_000),
        ("10 credits per 30 frames", {"duration": "10"}, 100),
        # Values for which there is no price.
        ("50 credits for 5s", {"duration": "10"}, 100),
        ("50 credits per 5s video", {"duration": "10"}, 100),
        ("480p: 10 credits/s; 720p: 20 credits/s", {"duration": "10", "resolution": "4K"}, 201),
        ("std: 10 credits/s; pro: 20 credits/s", {"duration": "10", "rendering_speed": "TURBO", "grade": "4K"}, 200),
        ("Turbo: 3 credits, Balanced: 5 credits", {"rendering_speed": "QUALITY"}, 6),
        ("10 credits and 5 credits for text", {}, 15),
        ("10 credits & 5 credits", {}, 15),
        ("10/20 credits for 5s/10s/15s", {"duration": "15"}, 21),
        ("10 credits for 480p. 4k costs 4x", {"upscale_factor": "2"}, 40),
        ("10 credits ps", {"duration": "10"}, 100),
        ("10 credits on average", {}, 11),
        (">= 10 credits", {}, 11),
        ("10 credits/s; audio 5 credits/s", {"duration": "10"}, 150),
        ("10 credits/s; voice control costs 5 credits/s", {"duration": "10"}, 150),
        ("10 credits/s, charged for the driving video and the result", {"duration": "10"}, 200),
        ("10 credits for up to 5s", {"duration": "10"}, 20),
        ("10 credits/s without audio", {"duration": "10", "sound": True}, 101),
        ("10 credits/s (audio off)", {"duration": "10", "sound": True}, 101),
        ("10 credits/s with audio off, 15 with audio on", {"duration": "10", "sound": True}, 150),
        ("10 credits/s for input plus 20 credits/s for output", {"duration": "10"}, 200),
        ("10 credits/s, 20% cheaper than official for 480p and dearer for 1080p", {"duration": "10"}, 101),
        ("10 credits without video input", {"video_url": "https://a.example/a.mp4"}, 11),
        # Seconds of the files that the call sends.
        *(
            (words, {"duration": "5", "video_url": "https://a.example/a.mp4"}, 3050)
            for words in (
                "10 credits per second of source video",
                "10 credits per second of input",
                "10 credits per second of the uploaded clip",
                "10 credits/s; reference clips are billed too",
                "10 credits/s of the total duration of all clips",
                "10 credits/s, including the source footage",
            )
        ),
    ],
)
def test_no_wording_makes_an_estimate_too_low(words: str, given: dict[str, Any], least: float) -> None:
    high = read(words, **given)[1]
    assert high is None or high >= least


COUNTS = (
    *("num_images", "numImages", "num_images_per_prompt", "image_count", "nVariants", "num_variations", "samples"),
    *("batch_size", "max_images", "number_of_pictures", "outputs", "videoQuantity", "num-outputs"),
)
OTHER_NUMBERS = ("seed", "image_index", "num_inference_steps", "num_frames", "image_width", "output_quality", "fps")


def make(given: dict[str, Any], **fields: Any) -> KieModel:
    """A call of a model that has these fields in its schema."""
    model = dynamic_model.model_from_schema("vendor/odd", {"properties": fields}, kind="image", task_type="x")
    return dynamic_model.parse_call(model, given)


@for_each("name, high", [*((name, 40) for name in COUNTS), *((name, 10) for name in OTHER_NUMBERS)])
def test_a_number_of_results_counts_under_each_name(name: str, high: float) -> None:
    several = make({name: 4}, **{name: {"type": "integer"}})
    assert estimate_from_text(several, "10 credits per image").high == high


def test_numbers_of_results_are_multiplied_wherever_they_stand() -> None:
    fields = {"type": "object", "properties": {"num_images": {"type": "integer"}}}
    nested = make({"options": {"num_images": 4}, "batch_size": "2"}, options=fields, batch_size={"type": "string"})
    assert estimate_from_text(nested, "10 credits per image").high == 80


@pytest.mark.parametrize("value", ["auto", "-1", "0"])
def test_a_number_of_results_that_is_no_number_has_no_price(value: str) -> None:
    unclear = make({"image_count": value}, image_count={"type": "string"})
    assert estimate_from_text(unclear, "10 credits per image").high is None


LINES = {"type": "array", "items": {"type": "object", "properties": {"text": {"type": "string"}}}}


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("script", {"type": "string"}, "a " * 25_000),
        ("lyrics", {}, "x" * 50_000),
        ("dialogue_turns", LINES, [{"text": "x" * 25_000}] * 2),
    ],
)
def test_the_characters_of_all_texts_count(name: str, field: dict[str, Any], value: Any) -> None:
    words = "10 credits per 1000 characters"
    styles = {"prompt": {"type": "string"}, "style": {"enum": ["x" * 2000]}, "voice": {"type": "string"}, name: field}
    beside = make({"prompt": "x" * 1000, "style": "x" * 2000, "voice": "Rachel", name: value}, **styles)
    assert estimate_from_text(beside, words) == Estimate(10, 510)
    assert estimate_from_text(make({name: value}, **{name: field}), words) == Estimate(500, 500)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("8K", "1080p: 10 credits per video, 4K: 20 credits per video"),
        ("3K", "1K: 4 credits per image, 2K: 6 credits per image"),
        ("4K", "1K: 4 credits per image, 3K: 6 credits per image"),
        ("7K", "6K: 4 credits per image, 8K: 6 credits per image"),
    ],
)
def test_a_size_beyond_those_with_a_price_has_no_price(value: str, words: str) -> None:
    sized = make({"resolution": value}, resolution={"type": "string"})
    assert estimate_from_text(sized, words).high is None


@pytest.mark.parametrize("value", ["3K", "5K", "8K"])
def test_a_size_below_one_with_a_price_costs_no_more(value: str) -> None:
    sized = make({"resolution": value}, resolution={"type": "string"})
    assert estimate_from_text(sized, "1080p: 10 credits, 4K: 20 credits, 8K: 30 credits").high == 30


def test_a_video_in_an_argument_without_a_type_counts() -> None:
    model = dynamic_model.unchecked_model("vendor/odd", kind="video", task_type="video-to-video")
    words = "8 credits/s. The billing rule is (input video duration + output video duration) × unit price."
    silent = dynamic_model.parse_call(model, {"duration": 5})
    filmed = dynamic_model.parse_call(model, {"duration": 5, "video_urls": ["https://example.com/a.mp4"]})
    assert estimate_from_text(silent, words) == Estimate(40, 40)
    assert estimate_from_text(filmed, words) == Estimate(48, 2440, "video of unknown length counts as 300 s")


@pytest.mark.parametrize("words", ["9" * 500 + " credits", "credits " * 5000, "1/" * 3000 + " credits", "(" * 4000])
def test_a_senseless_text_does_no_harm(words: str) -> None:
    low, high = read(words)
    assert low is None or (high is not None and low <= high)


def test_a_text_that_is_too_long_to_be_read_to_its_end_is_unknown() -> None:
    assert read("480p: 10 credits" + " " * 4000 + "720p: 20 credits") == (None, None)


def test_a_text_that_is_shown_is_one_short_line() -> None:
    assert quote_text("ask\nsales") == 'KIE says: "ask sales"'
    assert quote_text("") == ""
    assert len(quote_text("x " * 500)) == len('KIE says: ""') + LONGEST_SHOWN
