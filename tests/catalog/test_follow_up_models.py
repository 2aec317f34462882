"""What follows on an earlier task or starts from a recording: what it refuses and what it sends."""

from typing import Any

import pytest
from support.bodies import body, resolve
from support.cases import for_each

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.vendors import (
    elevenlabs,
    flux_kontext,
    ghibli,
    midjourney,
    runway,
    suno,
    suno_studio,
    suno_voice,
    veo,
)
from kie_mcp.kie import routes

TASK = {"task_id": "t_1"}
TRACK = {"track": "task:t_1#2"}
DETAILS = {"prompt": "[Verse] it rains", "style": "folk", "title": "Rain"}
SECTION = {**DETAILS, "lyrics": "all of it", "start": 10, "end": 20.5}
PART = {"audio": "a.mp3", "style": "folk", "title": "Rain", "negative_prompt": "metal"}
SUNG = {"audio": "a.mp3", "start": 0, "end": 10}
LINES = [{"prompt": "Who is there?", "voice": "Adam"}, {"prompt": "Me.", "voice": "Rachel"}]

CALLBACK = {"callBackUrl": routes.NO_CALLBACK_URL}


@for_each(
    "family, arguments, message",
    [
        (elevenlabs.DIALOGUE, {"lines": []}, "lines: "),
        (elevenlabs.DIALOGUE, {"lines": [{"prompt": "hej"}]}, "lines.0.voice is required"),
        (
            elevenlabs.DIALOGUE,
            {"lines": [{"prompt": "x" * 50_001, "voice": "Adam"}] * 2},
            "the lines have 100002 characters together, at most 100000",
        ),
        (elevenlabs.DIALOGUE, {"lines": LINES, "stability": 0.3}, "stability: "),
        (elevenlabs.DIALOGUE, {"lines": LINES, "language": "swedish"}, "there is no language 'swedish', but af ar"),
        (veo.EXTEND, TASK, "prompt is required by veo/extend"),
        (veo.EXTEND, {**TASK, "prompt": "on", "seed": 9999}, "seed: "),
        (veo.UPSCALE, {**TASK, "index": -1}, "index: "),
        (runway.EXTEND, {**TASK, "prompt": "on", "duration": 10}, "runway/extend-ai-video does not take duration"),
        (midjourney.FOLLOW_UP, {**TASK, "index": 4}, "index: "),
        (midjourney.FOLLOW_UP, {**TASK, "index": 0, "model": "mj_video_extend_manual"}, "prompt is required"),
        (suno.EXTEND, {"audio": "a.mp3", "continue_at": 30, "style": "folk"}, "style needs title as well"),
        (
            suno.EXTEND,
            {"audio": "a.mp3", "model": "suno-extend-upload"},
            "from a second of it: give continue_at",
        ),
        (suno.MIDI, {}, "give either task_id or track"),
        (suno.MIDI, {"track": "task:t_1#2", "stem": "s"}, "track says which stem"),
        (suno.EXTEND, {"audio": "a.mp3", **TRACK}, "does not take audio"),
        (suno_studio.COVER_SONG, {"audio": "a.mp3"}, "give prompt: what the song is about"),
        (
            suno_studio.COVER_SONG,
            {"audio": "a.mp3", "prompt": "x" * 501},
            "prompt has at most 500 characters without style and title",
        ),
        (suno_studio.COVER_SONG, {"audio": "a.mp3", "prompt": "rain", "duration": 60}, "duration needs style, title"),
        (
            suno_studio.COVER_SONG,
            {"audio": "a.mp3", **DETAILS, "title": "x" * 81, "version": "v4.5all"},
            "title has at most 80 characters with version V4_5ALL",
        ),
        (suno_studio.COVER_SONG, {"audios": ["a.mp3"], "prompt": "rain"}, "audios: "),
        (
            suno_studio.COVER_SONG,
            {"audios": ["a.mp3", "b.mp3"], "persona_id": "p", "model": "suno-mashup"},
            "does not take persona_id",
        ),
        (suno_studio.ADD_PART, {"audio": "a.mp3", **DETAILS}, "negative_prompt is required"),
        (suno_studio.ADD_PART, {**PART, "version": "V4"}, "version: "),
        (suno_studio.REPLACE_SECTION, SECTION, "give either track or audio"),
        (suno_studio.REPLACE_SECTION, {**TRACK, "audio": "a.mp3", **SECTION}, "give either track or audio"),
        (suno_studio.REPLACE_SECTION, {**TRACK, **SECTION, "end": 19}, "end must be at least 10 s after start"),
        (suno_studio.REPLACE_SECTION, {**TRACK, **SECTION, "version": "V5"}, "version goes with audio only"),
        (suno_studio.SOUNDS, {"prompt": "rain", "tempo": 301}, "tempo: "),
        (suno_voice.PERSONA, {**TRACK, "name": "Ann", "description": "soft", "end": 5}, "end must be 10 to 30 s after"),
        (suno_voice.VOICE, {**SUNG, "end": 0, "start": 3}, "end: "),
        (suno_voice.VOICE, {**SUNG, "start": 10}, "end must come after start"),
        (suno_voice.VOICE, {**SUNG, "language": "sv"}, "language: "),
    ],
)
def test_a_call_that_kie_would_ignore_or_refuse_is_refused_with_what_to_change(
    family: Family, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        family.parse(arguments)


@for_each(
    "family, arguments, id_",
    [
        (veo.UPSCALE, TASK, "veo/get-1080p-video"),
        (veo.UPSCALE, {**TASK, "model": "veo-4k"}, "veo/get-4k-video"),
        (midjourney.FOLLOW_UP, {**TASK, "index": 1}, "mj_upscale"),
        (midjourney.FOLLOW_UP, {**TASK, "index": 1, "prompt": "on"}, "mj_video_extend_manual"),
        (suno.EXTEND, TRACK, "ai-music-api/extend"),
        (suno.EXTEND, {"audio": "a.mp3", "continue_at": 30}, "ai-music-api/upload-and-extend-audio"),
        (suno_studio.COVER_SONG, {"audio": "a.mp3", "prompt": "rain"}, "ai-music-api/upload-and-cover-audio"),
        (suno_studio.COVER_SONG, {"audios": ["a.mp3", "b.mp3"], "prompt": "rain"}, "ai-music-api/mashup"),
        (suno_studio.ADD_PART, {**PART, "prompt": "it rains"}, "ai-music-api/add-vocals"),
        (suno_studio.ADD_PART, PART, "ai-music-api/add-instrumental"),
        (suno_voice.VOICE, SUNG, "ai-music-api/validation-phrase"),
        (suno_voice.VOICE, {**TASK, "audio": "b.mp3"}, "ai-music-api/create-voice"),
        # Of the two steps that take a task alone, the one that changes nothing.
        (suno_voice.VOICE, TASK, "ai-music-api/check-voice"),
    ],
)
def test_what_is_given_chooses_the_model(family: Family, arguments: dict[str, Any], id_: str) -> None:
    assert family.parse(arguments).id == id_


@for_each(
    "family, arguments, ways",
    [
        (veo.VIDEO, {"prompt": "x"}, ("veo",)),
        (veo.VIDEO, {"prompt": "x", "model": "veo-3-1"}, ("jobs:veo-3-1",)),
        (flux_kontext.IMAGE, {"prompt": "x"}, ("flux-kontext",)),
        (flux_kontext.IMAGE, {"prompt": "x", "model": "flux1-kontext"}, ("jobs:flux1-kontext",)),
        (ghibli.IMAGE, {"prompt": "x"}, ("flux-kontext",)),
        (veo.EXTEND, {**TASK, "prompt": "on"}, ("veo-extend",)),
        (veo.EXTEND, {**TASK, "prompt": "on", "tier": "lite"}, ("veo-extend",)),
        (runway.EXTEND, {**TASK, "prompt": "on", "watermark": "me"}, ("runway-extend",)),
        (suno_studio.ADD_PART, {**PART, "version": "V6"}, ("jobs:ai-music-api/add-instrumental",)),
        (suno.RECOVER, TASK, ("jobs",)),
    ],
)
def test_a_call_goes_only_where_all_of_it_is_understood(
    family: Family, arguments: dict[str, Any], ways: tuple[str, ...]
) -> None:
    assert family.parse(arguments).route_ids() == ways


@for_each(
    "family, arguments, cost",
    [
        (elevenlabs.DIALOGUE, {"lines": [{"prompt": "x" * 250, "voice": "Adam"}] * 2}, "7"),
        (elevenlabs.ISOLATE, {"audio": "a.mp3"}, "0.1 to 30"),
        (veo.VIDEO, {"prompt": "x", "model": "veo-3-1"}, "30 to 250"),
        (veo.VIDEO, {"prompt": "x", "model": "veo-3-1", "resolution": "4k"}, "150 to 370"),
        (flux_kontext.IMAGE, {"prompt": "x", "model": "flux1-kontext"}, "5 to 10"),
        (veo.EXTEND, {**TASK, "prompt": "on"}, "60"),
        (veo.EXTEND, {**TASK, "prompt": "on", "tier": "quality"}, "250"),
        (veo.UPSCALE, {**TASK, "model": "veo-4k"}, "120"),
        (runway.EXTEND, {**TASK, "prompt": "on"}, "unknown"),
        (suno_studio.SOUNDS, {"prompt": "rain"}, "2.5"),
        (suno_voice.VOICE, TASK, "0"),
    ],
)
def test_the_estimate_follows_what_is_asked_for(family: Family, arguments: dict[str, Any], cost: str) -> None:
    assert str(family.parse(arguments).estimate()) == cost


def test_a_dialogue_of_the_usual_length_is_what_its_tool_names_as_the_cost() -> None:
    assert elevenlabs.DIALOGUE.description.endswith("About 14 credits.")


@for_each(
    "family, arguments, expected",
    [
        (
            elevenlabs.DIALOGUE,
            {"lines": LINES, "stability": 1, "language": "en"},
            {
                "model": "elevenlabs/text-to-dialogue-v3",
                "input": {
                    "dialogue": [{"text": "Who is there?", "voice": "Adam"}, {"text": "Me.", "voice": "Rachel"}],
                    "stability": 1,
                    "language_code": "en",
                },
            },
        ),
        (
            elevenlabs.ISOLATE,
            {"audio": "a.mp3"},
            {"model": "elevenlabs/audio-isolation", "input": {"audio_url": "https://files.example/a.mp3"}},
        ),
        (veo.EXTEND, {**TASK, "prompt": "on"}, {"taskId": "kie-1", "prompt": "on", "model": "fast"}),
        (
            veo.EXTEND,
            {**TASK, "prompt": "on", "tier": "quality", "seed": 12345, "watermark": "me"},
            {"taskId": "kie-1", "prompt": "on", "model": "quality", "seeds": 12345, "watermark": "me"},
        ),
        (veo.UPSCALE, TASK, {"taskId": "kie-1", "index": 0}),
        (veo.UPSCALE, {**TASK, "index": 1, "model": "veo-4k"}, {"taskId": "kie-1", "index": 1}),
        (
            runway.EXTEND,
            {**TASK, "prompt": "on", "watermark": "me"},
            {"taskId": "kie-1", "prompt": "on", "quality": "720p", "waterMark": "me", **CALLBACK},
        ),
        (midjourney.FOLLOW_UP, {**TASK, "index": 3}, {"taskId": "kie-1", "imageIndex": 3}),
        (
            midjourney.FOLLOW_UP,
            {**TASK, "index": 0, "prompt": "on"},
            {"taskType": "mj_video_extend_manual", "taskId": "kie-1", "index": 0, "prompt": "on"},
        ),
        (
            suno.EXTEND,
            {"audio": "a.mp3", "continue_at": 30, **DETAILS},
            {
                **DETAILS,
                "defaultParamFlag": True,
                "uploadUrl": "https://files.example/a.mp3",
                "continueAt": 30,
                "instrumental": False,
                "model": "V5_5",
                **CALLBACK,
            },
        ),
        (
            suno_studio.COVER_SONG,
            {"audio": "a.mp3", "prompt": "as a waltz", "instrumental": True},
            {
                "customMode": False,
                "uploadUrl": "https://files.example/a.mp3",
                "prompt": "as a waltz",
                "instrumental": True,
                "model": "V5_5",
                **CALLBACK,
            },
        ),
        (
            suno_studio.COVER_SONG,
            {"audios": ["a.mp3", "b.mp3"], **DETAILS, "duration": 60, "voice_gender": "f"},
            {
                **DETAILS,
                "customMode": True,
                "uploadUrlList": ["https://files.example/a.mp3", "https://files.example/b.mp3"],
                "instrumental": False,
                "model": "V5_5",
                "duration": 60,
                "vocalGender": "f",
                **CALLBACK,
            },
        ),
        (
            suno_studio.ADD_PART,
            {**PART, "prompt": "it rains", "weirdness": 0.5},
            {
                "uploadUrl": "https://files.example/a.mp3",
                "prompt": "it rains",
                "title": "Rain",
                "style": "folk",
                "negativeTags": "metal",
                "model": "V4_5PLUS",
                "weirdnessConstraint": 0.5,
                **CALLBACK,
            },
        ),
        (
            suno_studio.ADD_PART,
            PART,
            {
                "uploadUrl": "https://files.example/a.mp3",
                "title": "Rain",
                "tags": "folk",
                "negativeTags": "metal",
                "model": "V4_5PLUS",
                **CALLBACK,
            },
        ),
        (
            suno_studio.REPLACE_SECTION,
            {**TRACK, **SECTION, "end": 20.567},
            {
                "taskId": "kie-1",
                "audioId": "audio-2",
                "prompt": "[Verse] it rains",
                "tags": "folk",
                "title": "Rain",
                "infillStartS": 10,
                "infillEndS": 20.57,
                "fullLyrics": "all of it",
            },
        ),
        (
            suno_studio.REPLACE_SECTION,
            {"audio": "a.mp3", **SECTION},
            {
                "uploadUrl": "https://files.example/a.mp3",
                "model": "V5_5",
                "prompt": "[Verse] it rains",
                "tags": "folk",
                "title": "Rain",
                "infillStartS": 10,
                "infillEndS": 20.5,
                "fullLyrics": "all of it",
            },
        ),
        (
            suno_studio.SOUNDS,
            {"prompt": "rain", "loop": True, "tempo": 90, "key": "c#m", "lyrics": True},
            {
                "prompt": "rain",
                "model": "V5_5",
                "soundLoop": True,
                "soundTempo": 90,
                "soundKey": "C#m",
                "grabLyrics": True,
            },
        ),
        (
            suno_voice.PERSONA,
            {**TRACK, "name": "Ann", "description": "soft", "start": 12.5, "end": 25},
            {
                "taskId": "kie-1",
                "audioId": "audio-2",
                "name": "Ann",
                "description": "soft",
                "vocalStart": 12.5,
                "vocalEnd": 25,
            },
        ),
        (
            suno_voice.VOICE,
            {**SUNG, "language": "de"},
            {"voiceUrl": "https://files.example/a.mp3", "vocalStartS": 0, "vocalEndS": 10, "language": "de"},
        ),
        (
            suno_voice.VOICE,
            {**TASK, "audio": "b.mp3", "name": "Ann"},
            {
                "taskId": "kie-1",
                "verifyUrl": "https://files.example/b.mp3",
                "voiceName": "Ann",
                "singerSkillLevel": "beginner",
            },
        ),
        (suno_voice.VOICE, {**TASK, "model": "suno-voice-check"}, {"task_id": "kie-1"}),
        # The name has one l at KIE's.
        (
            suno_voice.VOICE,
            {**TASK, "model": "suno-voice-regenerate"},
            {"taskId": "kie-1", "calBackUrl": routes.NO_CALLBACK_URL},
        ),
        (suno.STYLE, {"prompt": "dark pop"}, {"content": "dark pop"}),
        (suno.TIMESTAMPED_LYRICS, TRACK, {"taskId": "kie-1", "audioId": "audio-2"}),
        (
            suno.RECOVER,
            TASK,
            {"model": "ai-music-api/suno-recovery-audio", "input": {"task_id": "kie-1"}},
        ),
    ],
)
def test_the_body_is_the_documented_one(family: Family, arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(family, arguments) == expected


@pytest.mark.parametrize(
    ("family", "arguments", "id_", "fields"),
    [
        # The one unified id that wants camel case.
        (veo.UPSCALE, TASK, "veo/get-1080p-video", {"taskId": "kie-1", "index": 0}),
        (veo.UPSCALE, {**TASK, "model": "veo-4k"}, "veo/get-4k-video", {"task_id": "kie-1", "index": 0}),
        (
            suno_voice.VOICE,
            SUNG,
            "ai-music-api/validation-phrase",
            {"voice_url": "https://files.example/a.mp3", "vocal_start_s": 0, "vocal_end_s": 10},
        ),
        (
            suno.TIMESTAMPED_LYRICS,
            TRACK,
            "ai-music-api/timeStamped-lyrics",
            {"task_id": "kie-1", "audio_id": "audio-2"},
        ),
    ],
)
def test_the_unified_api_takes_the_same_fields_in_its_own_spelling(
    family: Family, arguments: dict[str, Any], id_: str, fields: dict[str, Any]
) -> None:
    assert body(family, arguments, route_index=1) == {"model": id_, "input": fields}


@pytest.mark.parametrize(
    ("family", "arguments", "called_back"),
    [
        (veo.UPSCALE, TASK, False),
        (veo.UPSCALE, {**TASK, "model": "veo-4k"}, True),
        (suno.STYLE, {"prompt": "dark pop"}, False),
        (suno_voice.VOICE, SUNG, True),
    ],
)
def test_a_callback_is_asked_for_only_where_kie_makes_one(
    family: Family, arguments: dict[str, Any], called_back: bool
) -> None:
    call = family.parse(arguments)
    sent = routes.build_body(call, call.route_ids()[0], resolve, "https://me.example/done")
    assert ("callBackUrl" in sent) is called_back


def test_what_follows_on_midjourney_is_legacy() -> None:
    assert midjourney.FOLLOW_UP.description.startswith("Legacy: ")
    assert midjourney.FOLLOW_UP.description.endswith("Prefer recraft_upscale.")
