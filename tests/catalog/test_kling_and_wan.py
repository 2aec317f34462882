"""Kling and Wan: what they refuse, how they are called, what they send and cost."""

import re
from contextlib import nullcontext
from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.catalog.fields import MediaRef
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.vendors import kling, kling_omni, wan
from kie_mcp.errors import InvalidCall
from kie_mcp.kie import routes
from kie_mcp.tasks.fitting import check_kind
from kie_mcp.tasks.media_inputs import guess_mime_type

HERE = (
    kling.VIDEO,
    kling.AVATAR,
    kling.MOTION,
    kling_omni.OMNI,
    wan.VIDEO,
    wan.ANIMATE,
    wan.EDIT,
    wan.IMAGE,
)


def call(tool: str, arguments: dict[str, Any]) -> KieModel:
    (family,) = (family for family in HERE if family.tool == tool)
    return family.parse({"prompt": "a door", **arguments})


def element(name: str, *images: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "somebody", "images": images, **more}


PICTURED = [element(name, "a.png", "b.png") for name in "abcdefgh"]
FILMED = [element(name, "a.mp4") for name in "stuv"]
SHOTS = [{"prompt": "a room", "duration": 2}]
REFERENCE = {"model": "kling-3.0-omni/reference-to-video"}
TRANSFORM = {"model": "kling-3.0-omni/transformation", "video": "a.mp4"}
COLORS = [{"hex": "#ff8800", "percent": share} for share in (50, 30, 20)]


@for_each(
    "tool, arguments, message",
    [
        ("kling_video", {"shots": SHOTS}, "give either prompt or shots"),
        ("kling_video", {"prompt": None, "shots": SHOTS}, "the shots must add up to duration, 5 s"),
        ("kling_video", {"last_image": "b.png"}, "last_image needs image, and goes with prompt"),
        ("kling_video", {"prompt": "@a waves", "elements": PICTURED[:1]}, "a prompt that names an element needs image"),
        ("kling_video", {"prompt": "@z waves", "elements": PICTURED[:1]}, "no element is called z"),
        (
            "kling_video",
            {"elements": [element("a", "a.mp4", start_time=0, end_time=2000)]},
            "end_time must be 3000 to 8000 ms after start_time",
        ),
        ("kling_video", {"elements": [element("a", "a.mp4", start_time=9)]}, "start_time needs end_time"),
        (
            "kling_video",
            {"elements": [element("a", "a.png", "b.png", end_time=4000)]},
            "start_time and end_time are for a single clip",
        ),
        (
            "kling_video",
            {"model": "kling-3.0-turbo", "resolution": "4K"},
            "resolution: Input should be '720p' or '1080p'",
        ),
        ("kling_video", {"model": "kling-3.0-turbo", "duration": 2}, "duration: Input should be greater than or"),
        ("kling_avatar", {"image": "a.png"}, "audio is required by kling/ai-avatar-standard"),
        (
            "kling_motion",
            {"model": "kling-2.6-motion", "image": "a.png", "video": "a.mp4", "background": "input_image"},
            "background works with kling-3.0/motion-control",
        ),
        ("kling_omni", {"prompt": "  "}, "prompt: String should have at least 1 character"),
        ("kling_omni", {"elements": [*PICTURED[:1], *PICTURED[:1]]}, "several elements are called a: give each its"),
        ("kling_omni", {"shots": SHOTS, "multi_shots": True}, "give shots, or let Kling cut with multi_shots"),
        ("kling_omni", {"image": "a.png", "aspect_ratio": "1:1"}, "aspect_ratio 1:1 needs shots: give them, or leave"),
        ("kling_omni", {"image": "a.png", "elements": PICTURED[:4]}, "elements: List should have at most 3 items"),
        ("kling_omni", {"elements": PICTURED}, "images and elements of pictures are 7 at most"),
        ("kling_omni", {"elements": FILMED}, "elements of a clip are 3 at most"),
        (
            "kling_omni",
            {"elements": [*FILMED[:1], *PICTURED[:5]]},
            "images and elements of pictures are 4 at most beside elements of a clip",
        ),
        (
            "kling_omni",
            {"elements": [element("a", "a.mp4", start_time=0, end_time=4000)]},
            "there is no argument elements.0.start_time",
        ),
        ("kling_omni", REFERENCE, "give images or video"),
        ("kling_omni", {"images": ["a.png"] * 5, "elements": PICTURED[:3]}, "images and elements of pictures are 7"),
        ("kling_omni", {"images": ["a.png"], "aspect_ratio": "auto"}, "aspect_ratio auto is for video without images"),
        ("kling_omni", {"video": "a.mp4", "duration": 5}, "without images, video gives duration and aspect_ratio"),
        ("kling_omni", {"video": "a.mp4", "sound": True}, "there is no sound with video: leave sound out"),
        ("kling_omni", {"video": "a.mp4", "multi_shots": True}, "Kling does not cut with video: give shots instead"),
        ("kling_omni", {"video": "a.mp4", "shots": SHOTS}, "with video, shots need images"),
        ("kling_omni", {"video": "a.mp4", "elements": FILMED[:2]}, "with video, elements of a clip are 1 at most"),
        (
            "kling_omni",
            {"video": "a.mp4", "images": ["a.png"], "elements": PICTURED[:1]},
            "with video and images, elements need shots",
        ),
        ("kling_omni", {"model": "kling-3.0-omni/transformation"}, "video is required by kling-3.0-omni/"),
        ("kling_omni", {**TRANSFORM, "aspect_ratio": "1:1"}, "without images, video gives duration and aspect_ratio"),
        ("kling_omni", {**TRANSFORM, "images": ["a.png"] * 2, "elements": PICTURED[:3]}, "are 4 at most"),
        ("kling_omni", {**TRANSFORM, "elements": FILMED}, "with video, elements of a clip are 3 at most"),
        (
            "kling_omni",
            {**TRANSFORM, "images": ["a.png"], "elements": FILMED[:1]},
            "with video, an element of a clip excludes images and elements of pictures",
        ),
        ("wan_video", {"model": "wan-2.6", "duration": 8}, "duration: Input should be 5, 10 or 15"),
        ("wan_video", {"model": "wan-2.7", "last_image": "b.png"}, "give image, the first frame"),
        (
            "wan_video",
            {"model": "wan/2-7-text-to-video", "last_image": "b.png"},
            "The same with last_image is wan/2-7-image-to-video",
        ),
        ("wan_video", {"last_image": "b.png"}, "give image, the first frame, or video to continue it"),
        ("wan_video", {"video": "a.mp4", "audio": "a.mp3"}, "video goes alone: leave last_image and audio out"),
        ("wan_video", {"image": "a.png", "last_image": "b.png", "audio": "a.mp3"}, "give last_image or audio, not"),
        ("wan_video", {"model": "wan/2-7-r2v"}, "give 1 to 5 references, images and videos together"),
        ("wan_video", {"images": ["a.png"] * 3, "videos": ["a.mp4"] * 3}, "give 1 to 5 references"),
        (
            "wan_video",
            {"images": ["a.png"], "image": "b.png", "aspect_ratio": "1:1"},
            "the first frame, image, gives the shape: leave aspect_ratio out",
        ),
        ("wan_animate", {"prompt": None, "image": "a.png"}, "video is required by wan/2-2-animate-move"),
        (
            "wan_animate",
            {"image": "a.png", "audio": "a.mp3", "frames": 42},
            "frames: Input should be a multiple of 4",
        ),
        ("wan_edit", {"video": "a.mp4", "duration": 1}, "duration is 2 to 10 s, or 0 for the whole clip"),
        ("wan_edit", {"videos": ["a.mp4"] * 4}, "videos: List should have at most 3 items"),
        ("wan_image", {"count": 5}, "count is 4 at most: set sequence for up to 12"),
        ("wan_image", {"sequence": True, "thinking": True}, "a sequence takes neither thinking nor colors"),
        ("wan_image", {"sequence": True, "colors": COLORS}, "a sequence takes neither thinking nor colors"),
        ("wan_image", {"images": ["a.png"], "thinking": True}, "thinking works without images"),
        ("wan_image", {"images": ["a.png"], "aspect_ratio": "1:1"}, "images give the shape: leave aspect_ratio out"),
        ("wan_image", {"images": ["a.png"] * 2, "boxes": [[]]}, "boxes has one list for each of images"),
        (
            "wan_image",
            {"model": "wan-image-pro", "images": ["a.png"], "resolution": "4K"},
            "4K works without images and sequence: set resolution to 2K",
        ),
    ],
)
def test_a_call_that_kie_would_refuse_is_refused_with_what_to_do(
    tool: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call(tool, arguments)


@for_each(
    "tool, arguments, id_",
    [
        ("kling_video", {}, "kling-3.0/video"),
        ("kling_video", {"negative_prompt": "people"}, "kling/v2-5-turbo-text-to-video-pro"),
        ("kling_avatar", {"image": "a.png", "audio": "a.mp3"}, "kling/ai-avatar-standard"),
        ("kling_motion", {"image": "a.png", "video": "a.mp4"}, "kling-2.6/motion-control"),
        (
            "kling_motion",
            {"image": "a.png", "video": "a.mp4", "background": "input_image"},
            "kling-3.0/motion-control",
        ),
        ("kling_omni", {}, "kling-3.0-omni/text-to-video"),
        ("kling_omni", {"image": "a.png"}, "kling-3.0-omni/image-to-video"),
        ("kling_omni", {"images": ["a.png"]}, "kling-3.0-omni/reference-to-video"),
        ("kling_omni", {"video": "a.mp4"}, "kling-3.0-omni/reference-to-video"),
        ("wan_video", {"image": "a.png", "last_image": "b.png"}, "wan/2-7-image-to-video"),
        ("wan_video", {"audio": "a.mp3"}, "wan/2-7-text-to-video"),
        ("wan_video", {"images": ["a.png"]}, "wan/2-7-r2v"),
        ("wan_video", {"multi_shots": True, "image": "a.png"}, "wan/2-6-image-to-video"),
        ("wan_video", {"sound": True, "image": "a.png"}, "wan/2-6-flash-image-to-video"),
        ("wan_video", {"acceleration": "regular"}, "wan/2-2-a14b-text-to-video-turbo"),
        ("wan_animate", {"prompt": None, "image": "a.png", "video": "a.mp4"}, "wan/2-2-animate-move"),
        ("wan_animate", {"image": "a.png", "audio": "a.mp3"}, "wan/2-2-a14b-speech-to-video-turbo"),
        ("wan_edit", {"video": "a.mp4"}, "wan/2-7-videoedit"),
        ("wan_edit", {"videos": ["a.mp4"]}, "wan/2-6-video-to-video"),
        ("wan_image", {}, "wan/2-7-image"),
    ],
)
def test_the_arguments_choose_the_model(tool: str, arguments: dict[str, Any], id_: str) -> None:
    assert call(tool, arguments).id == id_


def request_body(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return routes.build_body(call(tool, arguments), "jobs", lambda ref: f"https://files.example/{ref}")


A, B, C, D, E = (f"https://files.example/{name}" for name in ("a.png", "b.png", "c.png", "d.mp4", "e.mp3"))


@for_each(
    "tool, arguments, id_, fields",
    [
        (
            "kling_video",
            {"image": "a.png", "last_image": "b.png", "resolution": "720p", "duration": "3"},
            "kling-3.0/video",
            {
                "prompt": "a door",
                "image_urls": [A, B],
                "aspect_ratio": "16:9",
                "duration": "3",
                "mode": "std",
                "sound": False,
                "multi_shots": False,
                "multi_prompt": [],
            },
        ),
        (
            "kling_video",
            {
                "prompt": None,
                "image": "a.png",
                "shots": [{"prompt": "@tom waves", "duration": 3}],
                "duration": 3,
                "resolution": "4k",
                "elements": [element("tom", "d.mp4", voices=["e.mp3"], end_time=4000)],
            },
            "kling-3.0/video",
            {
                "prompt": "",
                "image_urls": [A],
                "aspect_ratio": "16:9",
                "duration": "3",
                "mode": "4K",
                "sound": False,
                "multi_shots": True,
                "multi_prompt": [{"prompt": "@tom waves", "duration": 3}],
                "kling_elements": [
                    {
                        "name": "tom",
                        "description": "somebody",
                        "element_input_urls": [D],
                        "element_input_audio_urls": [E],
                        "end_time": 4000,
                    }
                ],
            },
        ),
        (
            "kling_video",
            {"model": "kling-3.0-turbo", "aspect_ratio": "9:16"},
            "kling/v3-turbo-text-to-video",
            {"prompt": "a door", "duration": "5", "aspect_ratio": "9:16", "resolution": "720p"},
        ),
        (
            "kling_video",
            {"model": "kling/v3-turbo-image-to-video", "image": "a.png", "resolution": "1080p", "duration": 15},
            "kling/v3-turbo-image-to-video",
            {"prompt": "a door", "image_urls": [A], "duration": "15", "resolution": "1080p"},
        ),
        (
            "kling_avatar",
            {"model": "kling-avatar-pro", "prompt": None, "image": "a.png", "audio": "e.mp3"},
            "kling/ai-avatar-pro",
            {"image_url": A, "audio_url": E, "prompt": ""},
        ),
        (
            "kling_motion",
            {"prompt": None, "image": "a.png", "video": "d.mp4", "orientation": "image"},
            "kling-2.6/motion-control",
            {"input_urls": [A], "video_urls": [D], "mode": "720p", "character_orientation": "image"},
        ),
        (
            "kling_omni",
            {"elements": [element("tom", "a.png", "b.png")], "sound": True},
            "kling-3.0-omni/text-to-video",
            {
                "prompt": "a door",
                "customize_multi_shots": False,
                "elements": [{"name": "tom", "description": "somebody", "element_input_urls": [A, B]}],
                "audio": True,
                "resolution": "720p",
                "aspect_ratio": "16:9",
                "duration": 5,
            },
        ),
        (
            "kling_omni",
            {"image": "a.png", "last_image": "b.png", "multi_shots": True},
            "kling-3.0-omni/image-to-video",
            {
                "prompt": "a door",
                "image_urls": [A, B],
                "customize_multi_shots": False,
                "prefer_multi_shots": True,
                "audio": False,
                "resolution": "720p",
                "aspect_ratio": "auto",
                "duration": 5,
            },
        ),
        (
            "kling_omni",
            {"images": ["a.png"], "shots": SHOTS, "multi_shots": False},
            "kling-3.0-omni/reference-to-video",
            {
                "prompt": "a door",
                "image_urls": [A],
                "customize_multi_shots": True,
                "multi_prompt": [{"prompt": "a room", "duration": 2}],
                "audio": False,
                "resolution": "720p",
                "aspect_ratio": "16:9",
                "duration": 5,
            },
        ),
        (
            "kling_omni",
            {"video": "d.mp4", "multi_shots": False},
            "kling-3.0-omni/reference-to-video",
            {
                "prompt": "a door",
                "video_urls": [D],
                "customize_multi_shots": False,
                "audio": False,
                "resolution": "720p",
                "aspect_ratio": "auto",
            },
        ),
        (
            "kling_omni",
            {"model": "kling-3.0-omni/transformation", "video": "d.mp4", "images": ["a.png"], "duration": 7},
            "kling-3.0-omni/transformation",
            {
                "prompt": "a door",
                "video_urls": [D],
                "image_urls": [A],
                "audio": False,
                "resolution": "720p",
                "aspect_ratio": "16:9",
                "duration": "7",
            },
        ),
        (
            "wan_video",
            {"audio": "e.mp3", "aspect_ratio": "4:3", "duration": 8},
            "wan/2-7-text-to-video",
            {
                "prompt": "a door",
                "audio_url": E,
                "ratio": "4:3",
                "resolution": "1080p",
                "duration": 8,
                "prompt_extend": True,
                "watermark": False,
            },
        ),
        (
            "wan_video",
            {"image": "a.png", "last_image": "b.png", "prompt_expansion": False},
            "wan/2-7-image-to-video",
            {
                "prompt": "a door",
                "first_frame_url": A,
                "last_frame_url": B,
                "resolution": "1080p",
                "duration": 5,
                "prompt_extend": False,
                "watermark": False,
            },
        ),
        (
            "wan_video",
            {"images": ["a.png"], "videos": ["d.mp4"], "image": "b.png", "audio": "e.mp3", "seed": 7},
            "wan/2-7-r2v",
            {
                "prompt": "a door",
                "reference_image": [A],
                "reference_video": [D],
                "first_frame": B,
                "reference_voice": E,
                "resolution": "1080p",
                "aspect_ratio": "16:9",
                "duration": 5,
                "prompt_extend": True,
                "watermark": False,
                "seed": 7,
            },
        ),
        (
            "wan_video",
            {"multi_shots": True, "duration": 15},
            "wan/2-6-text-to-video",
            {"prompt": "a door", "duration": "15", "resolution": "1080p", "multi_shots": True},
        ),
        (
            "wan_video",
            {"model": "wan-2.6-flash", "image": "a.png"},
            "wan/2-6-flash-image-to-video",
            {
                "prompt": "a door",
                "image_urls": [A],
                "duration": "5",
                "resolution": "1080p",
                "audio": False,
                "multi_shots": False,
            },
        ),
        (
            "wan_video",
            {"model": "wan/2-2-a14b-image-to-video-turbo", "image": "a.png", "prompt_expansion": True},
            "wan/2-2-a14b-image-to-video-turbo",
            {
                "prompt": "a door",
                "image_url": A,
                "resolution": "720p",
                "enable_prompt_expansion": True,
                "acceleration": "none",
            },
        ),
        (
            "wan_animate",
            {"prompt": None, "model": "wan-animate-replace", "image": "a.png", "video": "d.mp4"},
            "wan/2-2-animate-replace",
            {"image_url": A, "video_url": D, "resolution": "480p"},
        ),
        (
            "wan_animate",
            {"image": "a.png", "audio": "e.mp3", "frames": 120, "fps": 24},
            "wan/2-2-a14b-speech-to-video-turbo",
            {
                "prompt": "a door",
                "image_url": A,
                "audio_url": E,
                "num_frames": 120,
                "frames_per_second": 24,
                "resolution": "480p",
                "num_inference_steps": 27,
                "guidance_scale": 3.5,
                "shift": 5,
            },
        ),
        (
            "wan_edit",
            {"prompt": None, "video": "d.mp4", "image": "a.png", "audio_setting": "origin"},
            "wan/2-7-videoedit",
            {
                "video_url": D,
                "reference_image": A,
                "resolution": "1080p",
                "duration": 0,
                "audio_setting": "origin",
                "prompt_extend": True,
                "watermark": False,
            },
        ),
        (
            "wan_edit",
            {"model": "wan-2.6-flash-video", "videos": ["d.mp4"], "sound": True, "duration": 10},
            "wan/2-6-flash-video-to-video",
            {
                "prompt": "a door",
                "video_urls": [D],
                "duration": "10",
                "resolution": "1080p",
                "audio": True,
                "multi_shots": False,
            },
        ),
        (
            "wan_image",
            {"images": ["a.png", "b.png"], "boxes": [[[0, 0, 9, 9]], []], "count": 2},
            "wan/2-7-image",
            {
                "prompt": "a door",
                "input_urls": [A, B],
                "bbox_list": [[[0, 0, 9, 9]], []],
                "n": 2,
                "resolution": "2K",
                "enable_sequential": False,
                "thinking_mode": False,
                "watermark": False,
            },
        ),
        (
            "wan_image",
            {"model": "wan-image-pro", "colors": COLORS, "resolution": "4K", "thinking": True},
            "wan/2-7-image-pro",
            {
                "prompt": "a door",
                "color_palette": [{"hex": "#ff8800", "ratio": share} for share in ("50.00%", "30.00%", "20.00%")],
                "resolution": "4K",
                "enable_sequential": False,
                "thinking_mode": True,
                "watermark": False,
            },
        ),
    ],
)
def test_a_call_is_spelled_as_kie_documents_it(
    tool: str, arguments: dict[str, Any], id_: str, fields: dict[str, Any]
) -> None:
    assert request_body(tool, arguments) == {"model": id_, "input": fields}


def test_kling_3_motion_sends_the_callback_that_kie_insists_on() -> None:
    arguments = {"model": "kling-3.0-motion", "image": "a.png", "video": "d.mp4", "resolution": "1080p"}

    assert request_body("kling_motion", arguments) == {
        "model": "kling-3.0/motion-control",
        "callBackUrl": "https://kie-mcp.invalid/",
        "input": {
            "prompt": "a door",
            "input_urls": [A],
            "video_urls": [D],
            "mode": "1080p",
            "character_orientation": "video",
            "background_source": "input_video",
        },
    }


def test_kling_3_and_wan_take_kies_own_spellings_of_a_mode_and_a_share() -> None:
    colors = [{"hex": "#ff8800", "percent": f"{share}.00%"} for share in (50, 30, 20)]

    assert request_body("kling_video", {"resolution": "std"})["input"]["mode"] == "std"
    assert request_body("wan_image", {"colors": colors}) == request_body("wan_image", {"colors": COLORS})


@for_each(
    "tool, arguments, cost",
    [
        ("kling_video", {}, "90"),
        ("kling_video", {"resolution": "720p", "sound": True}, "100"),
        ("kling_video", {"model": "kling-3.0-turbo", "resolution": "1080p", "duration": 4}, "90"),
        ("kling_avatar", {"image": "a.png", "audio": "a.mp3"}, "8 to 2400"),
        ("kling_omni", {"resolution": "1080p", "sound": True}, "115"),
        ("kling_omni", {"images": ["a.png"], "duration": 3}, "42"),
        ("kling_omni", {"images": ["a.png"], "video": "a.mp4"}, "100"),
        ("kling_omni", {"video": "a.mp4"}, "60 to 310"),
        ("wan_video", {"model": "wan-2.7", "resolution": "720p", "duration": 2}, "32"),
        ("wan_video", {"model": "wan-2.6", "duration": 10}, "209.5"),
        ("wan_video", {"model": "wan-2.6-flash", "image": "a.png"}, "unknown"),
        ("wan_animate", {"image": "a.png", "audio": "a.mp3", "resolution": "720p"}, "120"),
        ("wan_edit", {"video": "a.mp4", "duration": 10}, "240"),
        ("wan_edit", {"video": "a.mp4"}, "48 to 240"),
        ("wan_image", {}, "19.2"),
        ("wan_image", {"model": "wan-image-pro", "sequence": True}, "144"),
    ],
)
def test_a_call_costs_what_kie_publishes(tool: str, arguments: dict[str, Any], cost: str) -> None:
    assert str(call(tool, arguments).estimate()) == cost


@for_each(
    "tool, arguments", [("kling_omni", {}), ("kling_omni", {"image": "a.png"}), ("kling_video", {"image": "a.png"})]
)
@for_each(
    "files, refusal",
    [
        (["d.mp4"], ""),
        (["a.png", "b.png"], ""),
        (["b.png"], "b.png is a picture; this field takes several pictures, or one clip"),
        (["d.mp4", "b.png"], "d.mp4 is a clip; this field takes a picture"),
        (["d.mp4", "e.mov"], "d.mp4 is a clip; this field takes a picture"),
    ],
)
def test_an_element_is_several_pictures_or_one_clip(
    tool: str, arguments: dict[str, Any], files: list[str], refusal: str
) -> None:
    wanted = call(tool, {"prompt": "@tom waves", "elements": [element("tom", *files)], **arguments})
    with pytest.raises(InvalidCall, match=refusal) if refusal else nullcontext():
        for ref in wanted.references():
            assert isinstance(ref, MediaRef)
            check_kind(guess_mime_type(ref), ref)
