"""Voices are found by words, and listed with their models."""

import pytest
from mcp import Client
from support.answers import answer, assert_both_forms_agree, text
from support.clients import connect
from support.clock import JumpingClock
from support.facts import market

from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.voices import ELEVENLABS, GOOGLE
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio


def test_the_voices_are_those_that_kie_lists() -> None:
    entry = market()["elevenlabs/text-to-speech-turbo-2-5"]["input"]["properties"]["voice"]
    assert [voice.id for voice in ELEVENLABS] == entry["anyOf"][0]["enum"]
    speakers = market()["google/gemini-3-1-flash-tts"]["input"]["properties"]["speakers"]
    assert [voice.id for voice in GOOGLE] == speakers["items"]["properties"]["voice_name"]["enum"]
    assert all(voice.about for voice in (*ELEVENLABS, *GOOGLE))


def test_every_speech_model_has_voices() -> None:
    assert {id_ for id_, model in MODELS.items() if model.voice_list} == {
        id_ for id_, model in MODELS.items() if model.task_type == "text-to-speech"
    }


async def test_a_voice_is_found_by_what_people_say(client: Client) -> None:
    for words, name in (
        ("a calm British man", "Nathaniel"),
        ("deep male voice, calming", "Benjamin"),
        ("female radio presenter", "Rachel M"),
        ("a pirate's voice", "Pirate Marshal"),
        ("young women for social media", "Brittney"),
        ("Arabella", "Arabella"),
        ("Kore", "woman, firm"),
    ):
        result = await client.call_tool("find_voices", {"words": words})
        assert_both_forms_agree(result)
        assert any(each["about"].startswith(name) for each in answer(result)["voices"]), words


async def test_a_voice_that_was_found_can_be_used_and_listened_to(client: Client, sandbox: Sandbox) -> None:
    found = answer(await client.call_tool("find_voices", {"words": "husky bold man", "model": "turbo-2-5"}))
    (voice,) = found["voices"]
    assert voice["sample"].endswith(f"/{voice['voice']}.mp3")
    await client.call_tool(voice["tool"], {"prompt": "Hello.", "voice": voice["voice"]})
    (made,) = sandbox.accepted
    assert made.body["input"]["voice"] == voice["voice"]


async def test_words_that_describe_no_voice_are_told(client: Client) -> None:
    result = await client.call_tool("find_voices", {"words": "a German man's voice"})
    assert "No voice is described as german" in text(result)
    assert "every language" in text(result)
    assert all("man" in each["about"] for each in answer(result)["voices"])
    nothing = await client.call_tool("find_voices", {"words": "xylophone"})
    assert answer(nothing)["voices"] == []


async def test_a_model_without_voices_is_refused(client: Client) -> None:
    result = await client.call_tool("find_voices", {"model": "veo3"})
    assert result.is_error
    assert "veo3 has no list of voices" in text(result)


async def test_describe_model_lists_the_voices_of_a_model(client: Client) -> None:
    result = await client.call_tool("describe_model", {"model": "elevenlabs/text-to-dialogue-v3"})
    assert_both_forms_agree(result)
    described = answer(result)
    assert len(described["voices"]) == len(ELEVENLABS)
    assert described["voices"][0] == "James"
    assert "find_voices" in described["voices_hint"]
    google = answer(await client.call_tool("describe_model", {"model": "google/gemini-3-8-flash-tts"}))
    assert "Kore" in google["voices"]
    other = answer(await client.call_tool("describe_model", {"model": "veo3"}))
    assert "voices" not in other


async def test_find_models_names_the_tool_that_finds_voices(client: Client) -> None:
    """It takes no room in the list of tools."""
    listed = {tool.name for tool in (await client.list_tools()).tools}
    assert "find_voices" not in listed
    assert "find_voices" in text(await client.call_tool("find_models", {"words": "voiceover"}))
    assert "find_voices" not in text(await client.call_tool("find_models", {"words": "lip sync"}))


async def test_a_voice_that_kie_does_not_list_is_sent_with_a_note(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    notes = (
        ("Nobody", 'KIE lists no voice "Nobody". find_voices'),
        ("Arabela", 'KIE lists no voice "Arabela". Similar: Arabella'),
        ("a calm British man", "Similar: Nathaniel"),
        ("James", ""),
        (" rachel", ""),
        ("NOpBlnGInO9m6vDvFkFC", ""),
        ("AnyOtherIdOf20Letter", ""),
    )
    async with connect(settings, sandbox.app, clock, save=False) as client:
        for voice, words in notes:
            spoken = await client.call_tool("elevenlabs_speech", {"prompt": "Hello.", "voice": voice})
            lines = [{"prompt": "Hello.", "voice": voice}, {"prompt": "You.", "voice": voice}]
            talked = await client.call_tool("run_model", {"model": "eleven_v3", "input": {"lines": lines}})
            for result in (spoken, talked):
                assert_both_forms_agree(result)
                assert text(result).count("KIE lists no voice") == bool(words), voice
                assert words in text(result), voice
    assert len(sandbox.accepted) == 2 * len(notes)
