"""Grok, HappyHorse, PixVerse, Gemini, talking heads and Topaz: bodies as KIE documents them, names, refusals, costs."""

from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Ref, TaskRef
from kie_mcp.catalog.vendors import gemini, grok, happyhorse, pixverse, talking_head, topaz
from kie_mcp.kie import routes

A, B = "https://f.example/a.png", "https://f.example/b.png"
CLIP, SOUND = "https://f.example/c.mp4", "https://f.example/d.mp3"
RAIN = {"prompt": "it rains"}
TASK = {"task_id": "t_1"}
OF_TASK = {"task_id": "kie-1"}
ONE, TWO = "408891141511104", "412736208886848"
SILENT = {"quality": "720p", "generate_audio_switch": False}
DEFAULT_SPEAKER = {"speaker_id": "Speaker 1", "voice_name": "Kore", "accent": "Neutral"}
TALK = [{"speaker": 2, "prompt": "It rains."}, {"speaker": 1, "prompt": "[whispers] Again."}]
TWO_SPEAKERS = [{"voice": "puck", "style": "Deadpan"}, {"accent": "British (RP)", "pace": "Staccato"}]


def resolve(ref: Ref) -> str:
    return "kie-1" if isinstance(ref, TaskRef) else str(ref)


@for_each(
    "family, arguments, id_, fields",
    [
        (
            grok.VIDEO,
            RAIN | {"duration": 12, "mode": "fun"},
            "grok-imagine/text-to-video",
            RAIN | {"aspect_ratio": "2:3", "duration": "12", "resolution": "480p", "mode": "fun"},
        ),
        (
            grok.VIDEO,
            {"images": [A, B], "aspect_ratio": "1:1"},
            "grok-imagine/image-to-video",
            {"image_urls": [A, B], "aspect_ratio": "1:1", "duration": "6", "resolution": "480p", "mode": "normal"},
        ),
        (
            grok.VIDEO,
            {"image_task": "t_1", "image_index": 2, "mode": "spicy"},
            "grok-imagine/image-to-video",
            OF_TASK | {"index": 2, "duration": "6", "resolution": "480p", "mode": "spicy"},
        ),
        (
            grok.VIDEO,
            RAIN | {"model": "grok-imagine-1.5", "images": [A], "resolution": "1080p"},
            "grok-imagine-video-1-5-preview",
            RAIN | {"image_urls": [A], "aspect_ratio": "auto", "resolution": "1080p", "duration": 8},
        ),
        (grok.VIDEO, TASK, "grok-imagine/upscale", OF_TASK | {"resolution": "720p"}),
        (
            grok.VIDEO,
            TASK | RAIN | {"duration": "10", "continue_at": 4},
            "grok-imagine/extend",
            OF_TASK | RAIN | {"extend_at": 4, "extend_times": "10"},
        ),
        (grok.IMAGE, RAIN, "grok-imagine-image-2-0/text-to-image", RAIN | {"aspect_ratio": "1:1"}),
        (
            grok.IMAGE,
            RAIN | {"fine": True, "aspect_ratio": "3:2"},
            "grok-imagine/text-to-image",
            RAIN | {"enable_pro": True, "aspect_ratio": "3:2"},
        ),
        (grok.IMAGE, RAIN | {"images": [A]}, "grok-imagine/image-to-image", RAIN | {"image_urls": [A]}),
        (grok.IMAGE, {"image": A}, "grok-imagine-image-2-0/segment-map", {"image_url": A}),
        (grok.IMAGE, TASK, "grok-imagine-image-2-0/segment-map", OF_TASK),
        (
            grok.IMAGE,
            TASK | RAIN | {"segments": [1, 3]},
            "grok-imagine-image-2-0/segment-edit",
            OF_TASK | RAIN | {"mask_indexs": [1, 3]},
        ),
        (
            grok.IMAGE,
            RAIN | {"images": [A, B], "aspect_ratio": "16:9"},
            "grok-imagine-image-2-0/image-edit",
            RAIN | {"image_urls": [A, B], "aspect_ratio": "16:9"},
        ),
        (
            grok.VIDEO,
            {"images": [A], "aspect_ratio": "1:1"},
            "grok-imagine/image-to-video",
            {"image_urls": [A], "aspect_ratio": "1:1", "duration": "6", "resolution": "480p", "mode": "normal"},
        ),
        (
            happyhorse.VIDEO,
            RAIN | {"aspect_ratio": "21:9", "duration": 15},
            "happyhorse-1-1/text-to-video",
            RAIN | {"aspect_ratio": "21:9", "duration": 15, "resolution": "1080p"},
        ),
        (
            happyhorse.VIDEO,
            {"image": A},
            "happyhorse-1-1/image-to-video",
            {"image_urls": [A], "duration": 5, "resolution": "1080p"},
        ),
        (
            happyhorse.VIDEO,
            RAIN | {"images": [A, B], "seed": 7},
            "happyhorse/reference-to-video",
            RAIN | {"reference_image": [A, B], "seed": 7, "aspect_ratio": "16:9", "duration": 5, "resolution": "1080p"},
        ),
        (
            happyhorse.VIDEO,
            RAIN | {"video": CLIP, "images": [A], "audio_setting": "origin"},
            "happyhorse/video-edit",
            RAIN | {"video_url": CLIP, "reference_image": [A], "audio_setting": "origin", "resolution": "1080p"},
        ),
        (
            pixverse.VIDEO,
            RAIN | {"sound": True, "multi_shots": True, "resolution": "1080p"},
            "pixverse-v6/text-to-video",
            RAIN
            | {"quality": "1080p", "generate_audio_switch": True, "generate_multi_clip_switch": True}
            | {"aspect_ratio": "16:9", "duration": 5},
        ),
        (
            pixverse.VIDEO,
            RAIN | {"image": A},
            "pixverse-v6/image-to-video",
            RAIN | SILENT | {"image_urls": [A], "duration": 5, "generate_multi_clip_switch": False},
        ),
        (
            pixverse.VIDEO,
            RAIN | {"image": A, "second_image": B, "template": TWO},
            "pixverse-v6/image-to-video",
            RAIN | SILENT | {"image_urls": [A, B], "template_id": TWO, "generate_multi_clip_switch": False},
        ),
        (
            pixverse.VIDEO,
            RAIN | {"image": A, "last_image": B},
            "pixverse-v6/transition",
            RAIN | SILENT | {"first_frame_image_url": A, "last_frame_image_url": B, "duration": 5},
        ),
        (
            pixverse.VIDEO,
            RAIN | {"elements": [{"image": A, "name": "tom"}, {"image": B, "type": "background"}]},
            "pixverse-v6/reference-to-video",
            RAIN
            | SILENT
            | {
                "image_references": [
                    {"image_url": A, "type": "subject", "ref_name": "tom"},
                    {"image_url": B, "type": "background"},
                ],
                "aspect_ratio": "16:9",
                "duration": 5,
            },
        ),
        (
            pixverse.VIDEO,
            RAIN | TASK,
            "pixverse-v6/extend",
            RAIN | SILENT | {"taskId": "kie-1", "duration": 5},
        ),
        (
            gemini.VIDEO,
            RAIN | {"images": [A], "characters": ["c1"], "voices": ["v1"], "duration": 8, "aspect_ratio": "9:16"},
            "gemini-omni-video",
            RAIN
            | {"image_urls": [A], "character_ids": ["c1"], "audio_ids": ["v1"], "duration": "8"}
            | {"aspect_ratio": "9:16", "resolution": "720p"},
        ),
        (
            gemini.VIDEO,
            RAIN | {"video": CLIP, "video_end": 7},
            "gemini-omni-video",
            RAIN | {"video_list": [{"url": CLIP, "start": 0, "ends": 7}], "duration": "4", "resolution": "720p"},
        ),
        (
            gemini.SPEECH,
            {"prompt": "It rains."},
            "google/gemini-3-1-flash-tts",
            {
                "speakers": [DEFAULT_SPEAKER],
                "dialogue_turns": [{"speaker_id": "Speaker 1", "text": "It rains."}],
                "temperature": 1,
            },
        ),
        (
            gemini.SPEECH,
            {"model": "gemini-2.5-pro-tts", "dialogue": TALK, "speakers": TWO_SPEAKERS, "context": "A cafe."},
            "google/gemini-2-5-pro-tts",
            {
                "speakers": [
                    {"speaker_id": "Speaker 1", "voice_name": "Puck", "accent": "Neutral", "style": "Deadpan"},
                    {"speaker_id": "Speaker 2", "voice_name": "Kore", "accent": "British (RP)", "pace": "Staccato"},
                ],
                "dialogue_turns": [
                    {"speaker_id": "Speaker 2", "text": "It rains."},
                    {"speaker_id": "Speaker 1", "text": "[whispers] Again."},
                ],
                "sample_context": "A cafe.",
                "temperature": 1,
            },
        ),
        (
            talking_head.VIDEO,
            {"image": A, "audio": SOUND},
            "infinitalk/from-audio",
            {"image_url": A, "audio_url": SOUND, "prompt": "Speaking to the camera.", "resolution": "480p"},
        ),
        (
            talking_head.VIDEO,
            {"image": A, "audio": SOUND, "masks": [B], "resolution": "720"},
            "omnihuman-1-5",
            {"image_url": A, "audio_url": SOUND, "mask_url": [B], "output_resolution": "720", "pe_fast_mode": False},
        ),
        (
            talking_head.VIDEO,
            {"video": CLIP, "audio": SOUND, "loop_backwards": True, "start": 2},
            "volcengine/video-to-video-lip-sync",
            {"video_url": CLIP, "audio_url": SOUND, "mode": "lite", "separate_vocal": False}
            | {"align_audio_reverse": True, "templ_start_seconds": 2},
        ),
        (
            talking_head.VIDEO,
            # KIE's page sends its defaults for the fields of mode lite also in basic.
            {"video": CLIP, "audio": SOUND, "mode": "basic", "loop": True, "loop_backwards": False, "start": 0},
            "volcengine/video-to-video-lip-sync",
            {"video_url": CLIP, "audio_url": SOUND, "mode": "basic", "separate_vocal": False},
        ),
        (talking_head.DETECT, {"image": A}, "omnihuman-1-5/subject-detection", {"image_url": A}),
        (topaz.UPSCALE, {"image": A}, "topaz/image-upscale", {"image_url": A, "upscale_factor": "2"}),
        (
            topaz.UPSCALE,
            {"video": CLIP, "factor": "4x"},
            "topaz/video-upscale",
            {"video_url": CLIP, "upscale_factor": "4"},
        ),
    ],
)
def test_a_call_goes_out_as_kie_documents_it_and_comes_back_from_there(
    family: Family, arguments: dict[str, Any], id_: str, fields: dict[str, Any]
) -> None:
    call = family.parse(arguments)

    assert routes.build_body(call, "jobs", resolve) == {"model": id_, "input": fields}
    assert type(call).model_validate(type(call).received(fields)).sent(resolve) == fields


@pytest.mark.parametrize(
    ("family", "arguments", "path", "fields"),
    [
        (
            gemini.VOICE,
            {"name": "Tom", "voice": "KORE", "description": "hoarse", "example": "Ahoy."},
            "/api/v1/omni/audio/create",
            {"name": "Tom", "audio_id": "kore", "voice_description": "hoarse", "example_dialogue": "Ahoy."},
        ),
        (
            gemini.CHARACTER,
            {"description": "a sailor", "image": A, "name": "Tom", "voices": ["v1"]},
            "/api/v1/omni/character/create",
            {"descriptions": "a sailor", "image_urls": [A], "character_name": "Tom", "audio_ids": ["v1"]},
        ),
    ],
)
def test_a_voice_and_a_character_are_made_at_once(
    family: Family, arguments: dict[str, Any], path: str, fields: dict[str, Any]
) -> None:
    call = family.parse(arguments)
    (way,) = call.route_ids()

    assert (routes.find(way).create, routes.find(way).at_once) == (path, True)
    assert routes.build_body(call, way, resolve) == fields


def test_speakers_pasted_from_kies_pages_keep_their_voices_in_any_order() -> None:
    speakers = [
        {"speaker_id": "Speaker 2", "voice_name": "Puck", "accent": "Neutral"},
        {"speaker_id": "Speaker 1", "voice_name": "Leda", "accent": "Australian"},
    ]
    pasted = {"speakers": speakers, "dialogue_turns": [{"speaker_id": "Speaker 1", "text": "Hi."}]}

    call = gemini.SPEECH.parse(gemini.Flash31.received(pasted))

    assert isinstance(call, gemini.Flash31)
    assert call.dialogue
    assert call.speakers
    assert call.speakers[call.dialogue[0].speaker - 1].voice == "Leda"


@for_each(
    "family, arguments, message",
    [
        (grok.VIDEO, {"images": [A, B], "resolution": "1080p"}, "1080p takes one picture"),
        (grok.VIDEO, {"images": [A], "mode": "spicy"}, "mode spicy does not take images: choose fun or normal"),
        (grok.VIDEO, {"images": [A], "image_task": "t_1"}, "give either images or image_task"),
        (grok.VIDEO, {"images": [A], "image_index": 1}, "image_index goes with image_task"),
        (grok.IMAGE, RAIN | {"model": "grok-image-edit", "task_id": "t_1"}, r"task_id works with segment models"),
        (grok.VIDEO, {"model": "grok-imagine-1.5"}, "give prompt, images, or both"),
        (grok.VIDEO, RAIN | {"duration": 5}, "duration: .*greater than or equal to 6"),
        (grok.VIDEO, TASK | RAIN | {"duration": 8}, "duration: .*6 or 10"),
        (grok.VIDEO, TASK | RAIN | {"continue_at": 1}, "continue_at: "),
        (grok.IMAGE, TASK | {"image": A}, "give either task_id or image"),
        (grok.IMAGE, TASK | RAIN | {"segments": [0]}, "segments.0: "),
        (happyhorse.VIDEO, {"prompt": "雨" * 2501}, "at most 5000 characters, a Chinese one counting as two"),
        (happyhorse.VIDEO, RAIN | {"duration": 2}, "duration: "),
        (happyhorse.VIDEO, RAIN | {"images": [A] * 10}, "images: "),
        (pixverse.VIDEO, {"prompt": "it"}, "prompt: "),
        (pixverse.VIDEO, RAIN | {"image": A, "template": "7"}, "there is no template 7, but 412736208886848, "),
        (pixverse.VIDEO, RAIN | {"image": A, "template": ONE, "duration": 5}, "leave duration out"),
        (pixverse.VIDEO, RAIN | {"image": A, "template": TWO}, "takes two pictures: give second_image"),
        (
            pixverse.VIDEO,
            RAIN | {"image": A, "second_image": B, "template": ONE},
            "takes one picture: leave out second_image",
        ),
        (
            pixverse.VIDEO,
            RAIN | {"elements": [{"image": A, "name": "tom"}, {"image": B, "name": "tom"}]},
            "two elements are called tom",
        ),
        (pixverse.VIDEO, RAIN | TASK | {"video": CLIP}, "give either task_id or video"),
        (gemini.VIDEO, RAIN | {"images": [A] * 6, "video": CLIP, "video_end": 5}, "are 7 at most, a video counting"),
        (gemini.VIDEO, RAIN | {"images": [A] * 5, "characters": ["c"] * 3}, "are 7 at most"),
        (gemini.VIDEO, RAIN | {"characters": ["c"] * 4, "video": CLIP, "video_end": 5}, "characters are 3 at most"),
        (gemini.VIDEO, RAIN | {"video": CLIP}, "give video_end, at most 10 s after video_start"),
        (gemini.VIDEO, RAIN | {"video": CLIP, "video_start": 1, "video_end": 12}, "at most 10 s after video_start"),
        (gemini.VIDEO, RAIN | {"video": CLIP, "video_start": 3, "video_end": 3}, "at most 10 s after video_start"),
        (gemini.VIDEO, RAIN | {"video": CLIP, "video_end": 5, "duration": 4}, "leave duration out"),
        (gemini.VIDEO, RAIN | {"video_end": 5}, "video_start and video_end go with video"),
        (gemini.SPEECH, {}, "give either prompt or dialogue"),
        (gemini.SPEECH, RAIN | {"dialogue": TALK, "speakers": TWO_SPEAKERS}, "give either prompt or dialogue"),
        (gemini.SPEECH, RAIN | {"speakers": TWO_SPEAKERS}, "give dialogue instead, or one speaker"),
        (gemini.SPEECH, {"dialogue": TALK}, "dialogue names speaker 2, but speakers has 1"),
        (talking_head.VIDEO, {"image": A, "audio": SOUND, "seed": 1}, "seed: "),
        (talking_head.VIDEO, {"video": CLIP, "audio": SOUND, "find_speakers": True}, "find_speakers works in mode"),
        (
            talking_head.VIDEO,
            {"video": CLIP, "audio": SOUND, "mode": "basic", "loop": False, "start": 1},
            "loop, start works in mode lite: leave it out",
        ),
        (
            talking_head.VIDEO,
            {"video": CLIP, "audio": SOUND, "loop": False, "loop_backwards": True},
            "loop_backwards needs loop",
        ),
    ],
)
def test_a_call_that_kie_would_refuse_cut_or_ignore_is_refused_with_what_to_change(
    family: Family, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        family.parse(arguments)


@for_each(
    "family, arguments, cost",
    [
        (grok.VIDEO, RAIN | {"duration": 10, "resolution": "720p"}, "45"),
        (grok.VIDEO, RAIN | {"model": "grok-imagine-1.5", "resolution": "1080p"}, "unknown"),
        (grok.VIDEO, TASK | RAIN | {"duration": 10}, "24 to 45"),
        (grok.VIDEO, TASK, "10"),
        (grok.IMAGE, RAIN | {"fine": True}, "5"),
        (grok.IMAGE, TASK, "0"),
        (happyhorse.VIDEO, RAIN | {"duration": 10, "resolution": "720p"}, "225"),
        (happyhorse.VIDEO, RAIN | {"video": CLIP}, "288 to 5760"),
        (pixverse.VIDEO, RAIN | {"sound": True}, "48"),
        (pixverse.VIDEO, RAIN | {"image": A, "template": ONE}, "7.2 to 108"),
        (pixverse.VIDEO, RAIN | {"elements": [{"image": A}], "duration": 10, "resolution": "360p"}, "45"),
        (gemini.VIDEO, RAIN, "63"),
        (gemini.VIDEO, RAIN | {"duration": 10, "resolution": "4k"}, "210"),
        (gemini.VIDEO, RAIN | {"video": CLIP, "video_end": 5}, "168"),
        (gemini.SPEECH, RAIN, "0.03 to 0.29"),
        (talking_head.VIDEO, {"image": A, "audio": SOUND}, "3 to 45"),
    ],
)
def test_a_call_costs_what_kies_price_list_says(family: Family, arguments: dict[str, Any], cost: str) -> None:
    assert str(family.parse(arguments).estimate()) == cost


@for_each(
    "family, name, arguments, id_",
    [
        (grok.VIDEO, "Grok", RAIN, "grok-imagine/text-to-video"),
        (grok.IMAGE, "grok-imagine-image-2.0", RAIN, "grok-imagine-image-2-0/text-to-image"),
        (happyhorse.VIDEO, "HappyHorse-1.0", RAIN, "happyhorse/text-to-video"),
        (happyhorse.VIDEO, "happyhorse", RAIN, "happyhorse-1-1/text-to-video"),
        (pixverse.VIDEO, "pixverse", RAIN, "pixverse-v6/text-to-video"),
        (gemini.SPEECH, "gemini-tts", RAIN, "google/gemini-3-1-flash-tts"),
        (talking_head.VIDEO, "omnihuman", {"image": A, "audio": SOUND}, "omnihuman-1-5"),
        (topaz.UPSCALE, "topaz", {"image": A}, "topaz/image-upscale"),
    ],
)
def test_a_model_is_known_by_what_people_call_it(
    family: Family, name: str, arguments: dict[str, Any], id_: str
) -> None:
    assert family.parse({"model": name, **arguments}).id == id_


@pytest.mark.parametrize("images", ["null", " None", "", [], ["null"], [""], None])
def test_a_placeholder_for_pictures_does_not_hide_the_earlier_task(images: Any) -> None:
    given = grok.ImageToVideo.received({"task_id": "kie-1", "image_urls": images})
    assert given["image_task"] == "kie-1"
