"""Suggested values for arguments of prompts and of resource templates."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp_types import PromptReference, ResourceTemplateReference
from support.answers import answer, wait_for_end
from support.cases import for_each
from support.listed import LISTED
from support.servers import serve_app

from kie_mcp.catalog.registry import MODELS
from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.http import build_http_app
from kie_mcp.server.prompts.completions import MAX_VALUES, TEMPLATES, match_values

pytestmark = pytest.mark.anyio


async def complete(
    client: Client, of: str, name: str, value: str = "", **others: str
) -> tuple[list[str], int | None, bool | None]:
    """Return the values, their number, and whether there are more."""
    reference = ResourceTemplateReference(uri=of) if "://" in of else PromptReference(name=of)
    done = (await client.complete(reference, {"name": name, "value": value}, others or None)).completion
    return done.values, done.total, done.has_more


async def complete_values(client: Client, of: str, name: str, value: str = "", **others: str) -> list[str]:
    return (await complete(client, of, name, value, **others))[0]


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_both_eras_are_offered_values(app: App, era: Any) -> None:
    async with Client(build_server(app), mode=era, raise_exceptions=True) as client:
        assert client.server_capabilities.completions is not None
        assert await complete_values(client, "storyboard", "aspect_ratio") == ["16:9", "9:16", "1:1"]
        assert await complete_values(client, "kie://models/{id}", "id", "veo3_f") == ["veo3_fast"]


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_callers_over_http_are_offered_values(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock, era: Any
) -> None:
    remote = App(settings, local_files=False, transport=transport, clock=clock)
    async with serve_app(build_http_app(remote, host="127.0.0.1")) as url, Client(url, mode=era) as client:
        assert await complete_values(client, "storyboard", "aspect_ratio", "1") == ["16:9", "1:1", "9:16"]
        assert (await client.list_prompts()).prompts


async def test_models_are_offered_by_beginning_and_then_by_any_part(client: Client) -> None:
    everything, total, more = await complete(client, "kie://models/{id}", "id")
    assert len(everything) == MAX_VALUES
    assert total == len(LISTED)
    assert more is True
    found, total, more = await complete(client, "kie://models/{id}", "id", "QWEN")
    assert set(found) == {id_ for id_ in MODELS if "qwen" in id_}
    assert total == len(found)
    assert more is False
    found = await complete_values(client, "kie://models/{id}", "id", "grok")
    assert found[0].startswith("grok")
    mixed = await complete_values(client, "kie://models/{id}", "id", "nano-banana")
    begins = [id_.startswith("nano-banana") for id_ in mixed]
    assert begins == sorted(begins, reverse=True)
    assert {True, False} == set(begins)


async def test_a_storyboard_is_offered_models_that_make_video(client: Client) -> None:
    found = await complete_values(client, "storyboard", "model", "kling")
    assert "kling-3.0/video" in found
    assert {MODELS[id_].kind for id_ in await complete_values(client, "storyboard", "model")} == {"video"}


@for_each("prompt", ["product_ad", "narrated_slides"])
async def test_voices_are_elevenlabs_s_and_gemini_s(client: Client, prompt: str) -> None:
    assert (await complete_values(client, prompt, "voice", "ra"))[:2] == ["Rachel", "Rasalgethi"]
    found = await complete_values(client, prompt, "voice")
    assert len(found) == 31
    assert {"Rachel", "Kore", "Zephyr"} <= set(found)


async def test_a_ghibli_portrait_is_offered_its_own_shapes(client: Client) -> None:
    # typing takes unions of the same words in another order for one.
    assert sorted(await complete_values(client, "ghibli_portrait", "aspect_ratio")) == [
        "16:9",
        "1:1",
        "3:4",
        "4:3",
        "9:16",
    ]


async def test_tasks_are_offered_newest_first(client: Client, sandbox: Sandbox) -> None:
    made = [answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["task_id"] for _ in range(3)]
    song = await wait_for_end(client, await client.call_tool("suno_music", {"prompt": "the sea"}))
    song_id = answer(song)["task_id"]
    sandbox.inject_fault("create", "fail")
    failed = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["task_id"]
    assert await complete_values(client, "kie://tasks/{id}", "id") == [failed, song_id, *reversed(made)]
    assert await complete_values(client, "kie://tasks/{id}", "id", made[1][:8]) == [made[1]]
    assert await complete_values(client, "kie://tasks/{id}", "id", made[1][2:]) == [made[1]]
    pictures = [f"task:{id_}#1" for id_ in reversed(made)]
    assert await complete_values(client, "ghibli_portrait", "picture") == pictures
    assert await complete_values(client, "product_ad", "picture", made[0]) == pictures[-1:]
    assert await complete_values(client, "music_video", "song") == [f"task:{song_id}#1", f"task:{song_id}#2"]


async def test_the_results_of_a_task_are_offered_by_number(client: Client, sandbox: Sandbox) -> None:
    song = answer(await wait_for_end(client, await client.call_tool("suno_music", {"prompt": "the sea"})))["task_id"]
    sandbox.inject_fault("create", "fail")
    failed = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["task_id"]
    media = "kie://tasks/{id}/media/{n}"
    assert await complete_values(client, media, "id") == [song]
    assert await complete_values(client, media, "n", id=song) == ["1", "2"]
    assert await complete_values(client, media, "n", "2", id=song) == ["2"]
    assert await complete_values(client, media, "n", id=failed) == []
    assert await complete_values(client, media, "n", id="no such task") == []
    assert await complete_values(client, media, "n") == []


async def test_uploads_are_offered(client: Client, tmp_path: Path) -> None:
    (tmp_path / "fox.png").write_bytes(render_file("fox.png", MediaContent("a fox", "1")))
    made = answer(await client.call_tool("upload_file", {"path": str(tmp_path / "fox.png")}))
    assert await complete_values(client, "kie://uploads/{id}", "id") == [made["upload_id"]]
    assert await complete_values(client, "kie://uploads/{id}", "id", "nothing") == []


@for_each(
    "of, name, words",
    [
        ("make_coffee", "sugar", "There is no prompt"),
        ("storyboard", "sugar", "It takes idea, scenes, aspect_ratio, model."),
        ("storyboard", "s" * 100_000, "It takes idea"),
        ("kie://coffee/{id}", "id", "kie://models/{id} (id)"),
        ("kie://models/{id}", "n", "kie://tasks/{id}/media/{n} (id, n)"),
        ("kie://models/veo3", "id", "There is no such place"),
    ],
)
async def test_what_does_not_exist_is_refused_in_words(client: Client, of: str, name: str, words: str) -> None:
    with pytest.raises(MCPError) as refused:
        await client.complete(
            ResourceTemplateReference(uri=of) if "://" in of else PromptReference(name=of), {"name": name, "value": ""}
        )
    assert refused.value.code == -32602
    assert words in str(refused.value)
    assert len(str(refused.value)) < 1_000


@for_each("name", ["idea", "scenes"])
async def test_free_text_is_left_to_the_user(client: Client, name: str) -> None:
    assert await complete(client, "storyboard", name, "a") == ([], 0, False)


@for_each("value", ["лиса 🦊", "%", "_", "'; DROP TABLE tasks", "\x00", "x" * 100_000, " veo3_FAST "])
async def test_any_text_is_taken_as_text(client: Client, value: str) -> None:
    found = ["veo3_fast"] if "veo3" in value else []
    if value != "_":
        assert await complete_values(client, "kie://models/{id}", "id", value) == found
    assert await complete_values(client, "kie://tasks/{id}", "id", value) == []
    assert await complete_values(client, "kie://tasks/{id}/media/{n}", "n", "", id=value) == []


async def test_every_address_that_is_listed_can_be_completed(client: Client) -> None:
    listed = (await client.list_resource_templates()).resource_templates
    assert {each.uri_template for each in listed} <= set(TEMPLATES)


async def test_without_a_key_models_are_offered_and_tasks_are_not(keyless: Settings, clock: Clock) -> None:
    async with Client(build_server(App(keyless, clock=clock)), raise_exceptions=True) as client:
        assert await complete_values(client, "kie://models/{id}", "id", "veo3_f") == ["veo3_fast"]
        assert await complete(client, "kie://tasks/{id}", "id") == ([], 0, False)


@given(st.text(max_size=3), st.lists(st.text(max_size=5)))
def test_beginnings_come_first_and_the_order_stays_otherwise(text: str, several: list[str]) -> None:
    found = match_values(text, several)
    wanted = text.strip().casefold()
    assert set(found) == {each for each in several if wanted in each.casefold()}
    begins = [each.casefold().startswith(wanted) for each in found]
    assert begins == sorted(begins, reverse=True)
    assert len(found) == len(set(found))
    places = [several.index(each) for each in found]
    split = sum(begins)
    assert places[:split] == sorted(places[:split])
    assert places[split:] == sorted(places[split:])
