"""ElevenLabs and Suno: what they refuse and what they send."""

from typing import Any

import pytest
from support.bodies import body, resolve
from support.cases import for_each

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.vendors.elevenlabs import DIALOGUE, SOUND_EFFECT, SPEECH
from kie_mcp.catalog.vendors.suno import COVER_ART, EXTEND, LYRICS, MIDI, MUSIC, MUSIC_VIDEO, SEPARATE_VOCALS, WAV
from kie_mcp.kie import routes

SONG = {"prompt": "[Verse] it rains", "style": "folk", "title": "Rain"}
TRACK = {"track": "task:t_1#2"}
LONGER = {**TRACK, **SONG, "continue_at": 60}

CALLBACK = {"callBackUrl": routes.NO_CALLBACK_URL}


@for_each(
    "family, arguments, message",
    [
        (SPEECH, {"prompt": "hej", "language": "Swedish"}, "language: "),
        (SPEECH, {"prompt": "hej", "model": "multilingual-v2", "language": "sv"}, "language works with"),
        (SPEECH, {"prompt": "hej", "speed": 2}, "speed: "),
        (SOUND_EFFECT, {"prompt": "rain", "duration": 23}, "duration: "),
        (MUSIC, {}, "give prompt: what the song is about"),
        (MUSIC, {"instrumental": True}, "give prompt: what the song is about"),
        (MUSIC, {"prompt": "rain", "style": "folk"}, "style needs title as well"),
        (MUSIC, {"prompt": "rain", "voice_gender": "f"}, "voice_gender needs style, title as well"),
        (MUSIC, {"prompt": "rain", "weirdness": 0}, "weirdness needs style, title as well"),
        (MUSIC, {"style": "folk", "title": "Rain"}, "give the lyrics as prompt, or set instrumental"),
        (MUSIC, {"prompt": "x" * 3001}, "prompt has at most 3000 characters without style and title"),
        (MUSIC, {**SONG, "prompt": "x" * 3001, "version": "V4"}, "prompt has at most 3000 characters with version V4"),
        (MUSIC, {**SONG, "style": "x" * 201, "version": "V4"}, "style has at most 200 characters with version V4"),
        (MUSIC, {**SONG, "title": "x" * 81}, "title: "),
        (MUSIC, {**SONG, "duration": 60, "version": "V5"}, "duration needs version V5_5 or V6"),
        (
            MUSIC,
            {**SONG, "persona_model": "style_persona", "version": "V4_5"},
            "persona_model needs version V5 or later",
        ),
        (EXTEND, {**TRACK, "prompt": "on"}, "prompt needs continue_at, style, title as well"),
        (EXTEND, {**TRACK, "instrumental": True}, "instrumental needs continue_at, style, title as well"),
        (EXTEND, {**LONGER, "prompt": None}, "give the lyrics as prompt, or set instrumental"),
        (EXTEND, {**LONGER, "instrumental": True}, "an instrumental part takes neither prompt nor voice_gender"),
        (EXTEND, {**LONGER, "title": "x" * 81, "version": "V4_5ALL"}, "title has at most 80 characters"),
        (LYRICS, {"prompt": "x" * 201}, "prompt: "),
        (SEPARATE_VOCALS, {}, "give either track or audio"),
        (SEPARATE_VOCALS, {**TRACK, "audio": "song.mp3"}, "give either track or audio"),
        (SEPARATE_VOCALS, {**TRACK, "type": "split_stem_advanced"}, "stem and type split_stem_advanced go together"),
        (SEPARATE_VOCALS, {**TRACK, "type": "split_stem", "stem": "Bass"}, "stem and type split_stem_advanced"),
        (SEPARATE_VOCALS, {**TRACK, "stem": "kazoo"}, "there is no stem 'kazoo', but Lead Vocal, Drum Kit"),
    ],
)
def test_a_call_that_kie_would_ignore_or_refuse_is_refused_with_what_to_change(
    family: Family, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        family.parse(arguments)


@for_each(
    "given, sent",
    [
        ("v6-mini", "V6_MINI"),
        ("V4.5", "V4_5"),
        ("v4.5-Plus", "V4_5PLUS"),
        ("v4_5all", "V4_5ALL"),
        ("V5.5", "V5_5"),
        ("4.5", "V4_5"),
        ("4.5+", "V4_5PLUS"),
        ("6 mini", "V6_MINI"),
        ("suno-v5", "V5"),
        ("Suno_v5", "V5"),
        ("5.0", "V5"),
        (5, "V5"),
        (5.0, "V5"),
        (5.5, "V5_5"),
    ],
)
def test_a_version_may_be_spelled_as_people_spell_it(given: object, sent: str) -> None:
    for name in ("version", "model"):
        assert MUSIC.parse({"prompt": "rain", name: given}).sent(resolve)["model"] == sent


def test_v6_goes_by_the_way_that_knows_it() -> None:
    assert MUSIC.parse({"prompt": "rain", "version": "V6"}).route_ids() == ("jobs:ai-music-api/generate",)
    assert EXTEND.parse({**TRACK, "version": "V6_WILD"}).route_ids() == ("jobs:ai-music-api/extend",)


@pytest.mark.parametrize("version", ["7", "V3", True, 45, ["V5", "V6"]], ids=repr)
def test_no_other_version_is_guessed(version: object) -> None:
    with pytest.raises(ValueError, match="version: "):
        MUSIC.parse({"prompt": "rain", "version": version})


@pytest.mark.parametrize("given", ["en", "EN", "en-US", "en_GB"])
def test_a_language_may_be_spelled_with_capital_letters_and_a_region(given: str) -> None:
    assert SPEECH.parse({"prompt": "hi", "language": given}).sent(resolve)["language_code"] == "en"
    lines = [{"prompt": "hi", "voice": "Adam"}]
    assert DIALOGUE.parse({"lines": lines, "language": given}).sent(resolve)["language_code"] == "en"


def test_a_language_that_is_no_code_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"^language: is a code of two letters.*such as en or de$"):
        SPEECH.parse({"prompt": "hi", "language": "English"})


def test_a_language_chooses_the_model_that_takes_one() -> None:
    assert SPEECH.parse({"prompt": "hej", "language": "sv"}).id == "elevenlabs/text-to-speech-turbo-2-5"


@for_each(
    "family, arguments, cost",
    [
        (SPEECH, {"prompt": "x" * 500}, "3"),
        (SPEECH, {"prompt": "x" * 500, "model": "multilingual-v2"}, "6"),
        (SOUND_EFFECT, {"prompt": "rain"}, "unknown"),
        (MUSIC, {"prompt": "rain"}, "12"),
        (SEPARATE_VOCALS, TRACK, "10"),
        (SEPARATE_VOCALS, {**TRACK, "type": "split_stem"}, "50"),
        (SEPARATE_VOCALS, {**TRACK, "stem": "Bass"}, "20"),
        (MIDI, {"task_id": "t_1"}, "0"),
    ],
)
def test_the_estimate_follows_what_is_asked_for(family: Family, arguments: dict[str, Any], cost: str) -> None:
    assert str(family.parse(arguments).estimate()) == cost


@for_each(
    "family, arguments, expected",
    [
        (
            SPEECH,
            {"prompt": "hej", "voice": "NOpBlnGInO9m6vDvFkFC", "language": "sv", "previous_text": "Jo,"},
            {
                "model": "elevenlabs/text-to-speech-turbo-2-5",
                "input": {
                    "text": "hej",
                    "voice": "NOpBlnGInO9m6vDvFkFC",
                    "stability": 0.5,
                    "similarity_boost": 0.75,
                    "style": 0,
                    "speed": 1,
                    "timestamps": False,
                    "previous_text": "Jo,",
                    "language_code": "sv",
                },
            },
        ),
        (
            SOUND_EFFECT,
            {"prompt": "rain", "duration": 2.5, "loop": True},
            {
                "model": "elevenlabs/sound-effect-v2",
                "input": {
                    "text": "rain",
                    "duration_seconds": 2.5,
                    "loop": True,
                    "prompt_influence": 0.3,
                    "output_format": "mp3_44100_128",
                },
            },
        ),
        (
            MUSIC,
            {"prompt": "rain in May"},
            {"prompt": "rain in May", "customMode": False, "instrumental": False, "model": "V5_5", **CALLBACK},
        ),
        (
            MUSIC,
            {**SONG, "negative_prompt": "metal", "voice_gender": "f", "weirdness": 0.333, "duration": 90},
            {
                **SONG,
                "customMode": True,
                "instrumental": False,
                "model": "V5_5",
                "negativeTags": "metal",
                "vocalGender": "f",
                "weirdnessConstraint": 0.33,
                "duration": 90,
                **CALLBACK,
            },
        ),
        (
            MUSIC,
            {"style": "folk", "title": "Rain", "instrumental": True, "style_weight": 1, "version": "V6"},
            {
                "model": "ai-music-api/generate",
                "input": {
                    "custom_mode": True,
                    "instrumental": True,
                    "model": "V6",
                    "style": "folk",
                    "title": "Rain",
                    "style_weight": 1,
                },
            },
        ),
        (
            EXTEND,
            TRACK,
            {"defaultParamFlag": False, "audioId": "audio-2", "model": "V5_5", "instrumental": False, **CALLBACK},
        ),
        (
            EXTEND,
            {**LONGER, "persona_id": "p1", "persona_model": "voice_persona", "audio_weight": 0.5},
            {
                **SONG,
                "defaultParamFlag": True,
                "audioId": "audio-2",
                "continueAt": 60,
                "model": "V5_5",
                "instrumental": False,
                "personaId": "p1",
                "personaModel": "voice_persona",
                "audioWeight": 0.5,
                **CALLBACK,
            },
        ),
        (LYRICS, {"prompt": "rain"}, {"prompt": "rain", **CALLBACK}),
        (
            SEPARATE_VOCALS,
            {**TRACK, "stem": "drum kit"},
            {
                "taskId": "kie-1",
                "audioId": "audio-2",
                "type": "split_stem_advanced",
                "stemName": "Drum Kit",
                **CALLBACK,
            },
        ),
        (
            SEPARATE_VOCALS,
            {"audio": "song.mp3"},
            {"audioUrl": "https://files.example/song.mp3", "type": "separate_vocal", **CALLBACK},
        ),
        (MIDI, {"task_id": "t_1", "stem": "stem-3"}, {"taskId": "kie-1", "audioId": "stem-3", **CALLBACK}),
        (WAV, TRACK, {"taskId": "kie-1", "audioId": "audio-2", **CALLBACK}),
        (
            MUSIC_VIDEO,
            {**TRACK, "author": "Ann", "watermark": "ann.example"},
            {"taskId": "kie-1", "audioId": "audio-2", "author": "Ann", "domainName": "ann.example", **CALLBACK},
        ),
        (COVER_ART, {"task_id": "t_1"}, {"taskId": "kie-1", **CALLBACK}),
    ],
)
def test_the_body_is_the_documented_one(family: Family, arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(family, arguments) == expected


def test_a_track_takes_its_task_along_on_the_other_way_too() -> None:
    assert body(WAV, TRACK, route_index=1) == {
        "model": "ai-music-api/convert-to-wav-format",
        "input": {"task_id": "kie-1", "audio_id": "audio-2"},
    }
    assert WAV.parse(TRACK).references() == ["task:t_1#2", "t_1"]


def test_only_the_sound_effect_is_legacy() -> None:
    assert SOUND_EFFECT.description.startswith("Legacy: ")
    assert SOUND_EFFECT.description.endswith("Prefer suno_sounds.")
    assert not SPEECH.legacy


@pytest.mark.parametrize("family", [WAV, MUSIC_VIDEO, MIDI, SEPARATE_VOCALS], ids=lambda family: family.tool)
def test_a_song_without_its_task_is_refused_where_kie_wants_both(family: Family) -> None:
    with pytest.raises(ValueError, match="KIE wants the id of the song's task too"):
        family.parse({"track": "task:-#5c79-8e"})
    assert family.parse({"track": "task:5f0c#5c79-8e"}).sent(str)["taskId"] == "5f0c"
