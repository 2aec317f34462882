"""`find_models`, `describe_model`: the catalogue of models."""

from typing import Any

import pytest
from mcp import Client
from support.answers import answer, count_tokens, text
from support.cases import for_each
from support.listed import LISTED

from kie_mcp.catalog.registry import MODELS
from kie_mcp.server.tools.models import NOTHING_FITS, WITHOUT_LIMITS

pytestmark = pytest.mark.anyio


async def test_the_pages_of_models_are_small_and_together_hold_every_model(client: Client) -> None:
    seen: list[str] = []
    pages = answer(await client.call_tool("find_models"))["pages"]
    for page in range(1, pages + 1):
        result = await client.call_tool("find_models", {"page": page})
        assert count_tokens(result) <= 1000
        assert f"Page {page} of {pages}." in text(result)
        for row in answer(result)["models"]:
            assert all(value in text(result) for value in row.values())
            seen.append(row["model"])
    assert sorted(seen) == sorted(LISTED)


@for_each(
    "said, meant",
    [
        ("i2v", "image-to-video"),
        ("image2video", "image-to-video"),
        ("img2img", "image-to-image"),
        ("text2image", "text-to-image"),
        ("R2V", "reference-to-video"),
    ],
)
async def test_a_mode_has_short_names(client: Client, said: str, meant: str) -> None:
    found = answer(await client.call_tool("find_models", {"mode": said}))
    assert found == answer(await client.call_tool("find_models", {"mode": meant}))
    assert {row["mode"] for row in found["models"]} == {meant}


@for_each("said, words", [("tts", "tts"), ("lip-sync", "lip sync"), ("lipsync", "lipsync")])
async def test_a_mode_that_no_model_has_counts_as_words(client: Client, said: str, words: str) -> None:
    found = answer(await client.call_tool("find_models", {"mode": said}))
    assert found["models"]
    assert found == answer(await client.call_tool("find_models", {"words": words}))


async def test_models_are_found_by_words_kind_mode_and_price(client: Client) -> None:
    given = {"words": "Kling image", "kind": "VIDEO", "mode": "image-to-video", "max_credits": "30"}
    result = await client.call_tool("find_models", given)
    assert [row["model"] for row in answer(result)["models"]] == ["kling/v2-1-standard"]
    nothing = await client.call_tool("find_models", {"words": "no such thing"})
    assert answer(nothing) == {"models": [], "page": 1, "pages": 0, "note": NOTHING_FITS}
    assert text(nothing) == NOTHING_FITS


@for_each(
    "given",
    [{"kind": "image"}, {"mode": "text-to-image"}, {"max_credits": 0}, {"kind": "text", "max_credits": 1}],
)
async def test_where_kind_mode_and_price_leave_nothing_the_words_alone_are_searched(
    client: Client, given: dict[str, Any]
) -> None:
    result = await client.call_tool("find_models", {"words": "lipsync", **given})
    assert answer(result)["note"] == WITHOUT_LIMITS
    assert text(result).startswith(WITHOUT_LIMITS)
    assert "infinitalk/from-audio" in [row["model"] for row in answer(result)["models"]]


async def test_where_no_words_are_given_nothing_is_found_outside_the_price(client: Client) -> None:
    assert answer(await client.call_tool("find_models", {"max_credits": -1}))["note"] == NOTHING_FITS


async def test_a_search_for_thousands_of_words_is_refused(client: Client) -> None:
    refused = await client.call_tool("find_models", {"words": "owl " * 20_000})
    assert answer(refused)["error"]["message"] == "find_models: words: at most 500 characters."


@for_each("words", ["picture", "video of my cat on a bike", "midjourney", "lypsync", "face swap"])
async def test_what_is_found_by_words_is_small(client: Client, words: str) -> None:
    result = await client.call_tool("find_models", {"words": words})
    assert answer(result)["models"]
    assert count_tokens(result) <= 1000


@for_each(
    "words, tool",
    [
        ("join my clips with a cross-fade", "edit_media"),
        ("edit video", "edit_media"),
        ("trim it and add music", "edit_media"),
        ("a GIF of a cat", "edit_media"),
        ("many product photos", "make_batch"),
        ("cut out the background", ""),
        ("combine images", ""),
        ("first frame, last frame", ""),
        ("ideogram", ""),
    ],
)
async def test_a_wish_that_needs_no_model_leads_to_the_free_tool(client: Client, words: str, tool: str) -> None:
    result = await client.call_tool("find_models", {"words": words})
    note = answer(result).get("note", "")
    assert {name for name in ("edit_media", "make_batch") if name in note} == ({tool} if tool else set())
    assert note in text(result)


async def test_the_answer_says_in_both_forms_that_no_model_does_it(client: Client) -> None:
    result = await client.call_tool("find_models", {"words": "transcribe"})
    assert answer(result)["note"].startswith("No model writes down speech.")
    assert answer(result)["note"] in text(result)
    assert [row["tool"] for row in answer(result)["models"]] == ["suno_timestamped_lyrics"]


async def test_a_model_is_described_in_600_tokens(client: Client) -> None:
    for id_ in MODELS:
        result = await client.call_tool("describe_model", {"model": id_})
        assert answer(result)["model"] == id_
        assert count_tokens(result) <= 600
        assert answer(result)["price"] in text(result)
        assert answer(result)["price_as_of"] in text(result)


async def test_a_model_is_described_by_its_other_names(client: Client) -> None:
    for name in ("veo3.1-fast", "VEO3_FAST", " veo3_fast "):
        assert answer(await client.call_tool("describe_model", {"model": name}))["model"] == "veo3_fast"
