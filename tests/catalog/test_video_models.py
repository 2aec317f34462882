"""The video models beside Kling and Veo: what they refuse, how they are called, what they send."""

import re
from typing import Any

import pytest
from support.cases import for_each

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import find_file_type
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.catalog.vendors import luma, sora
from kie_mcp.kie import routes


def call(tool: str, arguments: dict[str, Any]) -> KieModel:
    (family,) = (family for family in FAMILIES if family.tool == tool)
    return family.parse({"prompt": "a door", **arguments} if tool != "sora_video" else arguments)


@for_each(
    "tool, arguments, message",
    [
        ("sora_video", {"prompt": "a door", "aspect_ratio": "1:1"}, "aspect_ratio: Input should be 'landscape' or"),
        (
            "sora_video",
            {"shots": [{"prompt": "a door", "duration": 9}, {"prompt": "a room", "duration": 6.5}]},
            "the shots take 15.5 s: shorten them to duration, 15 s, or raise it",
        ),
        ("runway_video", {"duration": 10, "resolution": "1080p"}, "10 s come in 720p only: set duration to 5 or"),
        ("runway_aleph", {}, "video is required by runway/gen4-aleph"),
        ("minimax_video", {"model": "minimax-h3/image-to-video"}, "give image (first frame), last_image, or both"),
        ("minimax_video", {"audios": ["a.mp3"]}, "give images or videos; audios only go with them"),
        ("minimax_video", {"aspect_ratio": "7:3"}, "aspect_ratio: Input should be '21:9'"),
        (
            "hailuo_video",
            {"model": "hailuo-02-pro", "duration": 10},
            "hailuo/02-text-to-video-pro does not take duration",
        ),
        (
            "hailuo_video",
            {"image": "a.png", "duration": 10, "resolution": "1080P"},
            "10 s come in 768P only: set duration to 6 or resolution to 768P",
        ),
        ("wan_video", {"duration": 8}, "duration: Input should be 5 or 10"),
        ("seedance_video", {"model": "seedance-1.5", "last_image": "b.png"}, "last_image needs image, the first frame"),
        ("seedance_video", {"model": "seedance-2.5", "last_image": "b.png"}, "last_image needs image, the first frame"),
        (
            "seedance_video",
            {"model": "seedance-2.5", "image": "a.png", "audios": ["c.mp3"]},
            "give frames (image, last_image) or references (images, videos, audios), not both",
        ),
        ("seedance_video", {"model": "seedance-2.5", "duration": 3}, "duration is 4 to 30 s, or -1 to let KIE choose"),
        (
            "seedance_video",
            {"model": "seedance-2", "image": "a.png", "images": ["b.png"] * 9},
            "images are 9 at most, image and last_image included",
        ),
        (
            "seedance_video",
            {"model": "seedance-2-fast", "images": ["a.png"], "web_search": True},
            "web_search works from words only: leave it out, or leave out every file",
        ),
        (
            "seedance_video",
            {"model": "seedance-2-mini", "resolution": "1080p"},
            "resolution: Input should be '480p' or",
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
        ("sora_video", {"prompt": "a door"}, "sora-2-text-to-video"),
        ("sora_video", {"prompt": "a door", "image": "a.png"}, "sora-2-image-to-video"),
        ("sora_video", {"shots": [{"prompt": "a door", "duration": 5}]}, "sora-2-pro-storyboard"),
        ("minimax_video", {}, "minimax-h3/text-to-video"),
        ("minimax_video", {"last_image": "b.png"}, "minimax-h3/image-to-video"),
        ("minimax_video", {"videos": ["a.mp4"]}, "minimax-h3/reference-to-video"),
        ("hailuo_video", {}, "hailuo/02-text-to-video-standard"),
        ("hailuo_video", {"image": "a.png"}, "hailuo/2-3-image-to-video-standard"),
        ("hailuo_video", {"image": "a.png", "last_image": "b.png"}, "hailuo/02-image-to-video-standard"),
        ("wan_video", {"image": "a.png"}, "wan/2-5-image-to-video"),
        ("seedance_video", {"image": "a.png", "last_image": "b.png"}, "bytedance/seedance-1.5-pro"),
        ("seedance_video", {"images": ["a.png"]}, "bytedance/seedance-2-mini"),
        ("seedance_video", {"format": "mov"}, "bytedance/seedance-2-5"),
        ("seedance_video", {"seed": 7}, "bytedance/v1-pro-text-to-video"),
    ],
)
def test_the_arguments_choose_the_model(tool: str, arguments: dict[str, Any], id_: str) -> None:
    assert call(tool, arguments).id == id_


def request_body(tool: str, arguments: dict[str, Any], way: str) -> dict[str, Any]:
    return routes.build_body(call(tool, arguments), way, lambda ref: f"https://files.example/{ref}")


A, B, C, D, E = (f"https://files.example/{name}" for name in ("a.png", "b.png", "c.png", "d.mp4", "e.mp3"))


@for_each(
    "tool, arguments, id_, fields",
    [
        (
            "sora_video",
            {"prompt": "a door", "aspect_ratio": "9:16", "duration": 15, "characters": ["char_1"]},
            "sora-2-text-to-video",
            {
                "prompt": "a door",
                "aspect_ratio": "portrait",
                "n_frames": "15",
                "remove_watermark": True,
                "character_id_list": ["char_1"],
            },
        ),
        (
            "sora_video",
            {"prompt": "a door", "model": "sora-2-pro-image-to-video", "image": "a.png"},
            "sora-2-pro-image-to-video",
            {
                "prompt": "a door",
                "aspect_ratio": "landscape",
                "n_frames": "10",
                "remove_watermark": True,
                "image_urls": [A],
                "size": "standard",
            },
        ),
        (
            "sora_video",
            {"shots": [{"prompt": "a door", "duration": 7.5}], "image": "a.png", "duration": "25"},
            "sora-2-pro-storyboard",
            {
                "shots": [{"Scene": "a door", "duration": 7.5}],
                "image_urls": [A],
                "aspect_ratio": "landscape",
                "n_frames": "25",
            },
        ),
        (
            "minimax_video",
            {"image": "a.png", "last_image": "b.png"},
            "minimax-h3/image-to-video",
            {"prompt": "a door", "first_frame_url": A, "last_frame_url": B, "duration": 6, "resolution": "2K"},
        ),
        (
            "minimax_video",
            {"images": ["a.png"], "videos": ["d.mp4"], "audios": ["e.mp3"], "resolution": "768p"},
            "minimax-h3/reference-to-video",
            {
                "prompt": "a door",
                "reference_image_urls": [A],
                "reference_video_urls": [D],
                "reference_audio_urls": [E],
                "aspect_ratio": "adaptive",
                "duration": 6,
                "resolution": "768P",
            },
        ),
        (
            "hailuo_video",
            {"image": "a.png", "last_image": "b.png", "prompt_expansion": True},
            "hailuo/02-image-to-video-standard",
            {
                "prompt": "a door",
                "image_url": A,
                "end_image_url": B,
                "duration": "10",
                "resolution": "768P",
                "prompt_optimizer": True,
            },
        ),
        (
            "hailuo_video",
            {"model": "hailuo-2.3-pro", "image": "a.png"},
            "hailuo/2-3-image-to-video-pro",
            {"prompt": "a door", "image_url": A, "duration": "6", "resolution": "768P"},
        ),
        (
            "wan_video",
            {"negative_prompt": "people", "seed": 7, "prompt_expansion": False, "duration": 10},
            "wan/2-5-text-to-video",
            {
                "prompt": "a door",
                "negative_prompt": "people",
                "duration": "10",
                "resolution": "720p",
                "aspect_ratio": "16:9",
                "enable_prompt_expansion": False,
                "seed": 7,
            },
        ),
        (
            "seedance_video",
            {"image": "a.png", "last_image": "b.png", "sound": True, "camera_fixed": True},
            "bytedance/seedance-1.5-pro",
            {
                "prompt": "a door",
                "input_urls": [A, B],
                "aspect_ratio": "1:1",
                "resolution": "720p",
                "duration": 5,
                "generate_audio": True,
                "fixed_lens": True,
            },
        ),
        (
            "seedance_video",
            {"model": "seedance-2", "image": "a.png", "last_image": "b.png", "images": ["c.png"], "web_search": True},
            "bytedance/seedance-2",
            {
                "prompt": "a door",
                "first_frame_url": A,
                "last_frame_url": B,
                "reference_image_urls": [C],
                "aspect_ratio": "16:9",
                "resolution": "720p",
                "duration": 5,
                "generate_audio": True,
                "web_search": True,
            },
        ),
        (
            "seedance_video",
            {"model": "seedance-2.5", "videos": ["d.mp4"], "audios": ["e.mp3"], "duration": -1, "format": "mov"},
            "bytedance/seedance-2-5",
            {
                "prompt": "a door",
                "reference_video_urls": [D],
                "reference_audio_urls": [E],
                "aspect_ratio": "adaptive",
                "resolution": "720p",
                "duration": -1,
                "generate_audio": True,
                "output_format": "mov",
            },
        ),
        (
            "seedance_video",
            {"model": "bytedance/v1-lite-image-to-video", "image": "a.png", "last_image": "b.png", "seed": 7},
            "bytedance/v1-lite-image-to-video",
            {
                "prompt": "a door",
                "image_url": A,
                "end_image_url": B,
                "resolution": "720p",
                "duration": "5",
                "seed": 7,
            },
        ),
    ],
)
def test_a_jobs_call_is_spelled_as_kie_documents_it(
    tool: str, arguments: dict[str, Any], id_: str, fields: dict[str, Any]
) -> None:
    assert request_body(tool, arguments, "jobs") == {"model": id_, "input": fields}


def test_runway_is_spelled_differently_by_its_two_apis() -> None:
    arguments = {"image": "a.png", "resolution": "1080p"}

    assert request_body("runway_video", arguments, "runway") == {
        "prompt": "a door",
        "imageUrl": A,
        "duration": "5",
        "quality": "1080p",
        "aspectRatio": "16:9",
        "callBackUrl": "https://kie-mcp.invalid/",
    }
    assert request_body("runway_video", arguments, "jobs:runway") == {
        "model": "runway",
        "input": {"prompt": "a door", "image_url": A, "duration": "5", "quality": "1080p", "aspect_ratio": "16:9"},
    }


def test_aleph_is_spelled_differently_by_its_two_apis() -> None:
    arguments = {"video": "d.mp4", "image": "a.png", "aspect_ratio": "21:9", "seed": 7}

    assert request_body("runway_aleph", arguments, "aleph") == {
        "prompt": "a door",
        "videoUrl": D,
        "referenceImage": A,
        "aspectRatio": "21:9",
        "seed": 7,
    }
    assert request_body("runway_aleph", arguments, "jobs:runway/gen4-aleph") == {
        "model": "runway/gen4-aleph",
        "input": {"prompt": "a door", "video_url": D, "reference_image": A, "aspect_ratio": "21:9", "seed": 7},
    }


@pytest.mark.parametrize(("tool", "arguments"), [("runway_video", {}), ("runway_aleph", {"video": "d.mp4"})])
def test_a_watermark_goes_by_the_product_api_alone(tool: str, arguments: dict[str, Any]) -> None:
    plain, marked = call(tool, arguments), call(tool, {**arguments, "watermark": "me"})

    assert plain.route_ids() == plain.routes
    assert marked.route_ids() == marked.routes[:1]
    assert request_body(tool, {**arguments, "watermark": "me"}, marked.route_ids()[0])["waterMark"] == "me"


def test_luma_is_called_by_its_product_api() -> None:
    assert request_body("luma_modify", {"video": "d.mp4", "watermark": "me"}, "luma") == {
        "prompt": "a door",
        "videoUrl": D,
        "watermark": "me",
    }


@for_each(
    "tool, arguments, cost",
    [
        ("sora_video", {"prompt": "a door"}, "unknown"),
        ("runway_video", {"duration": 10}, "30"),
        ("runway_aleph", {"video": "d.mp4"}, "110"),
        ("minimax_video", {"resolution": "768P", "duration": 4}, "32"),
        ("minimax_video", {"images": ["a.png"] * 7}, "86"),
        ("minimax_video", {"videos": ["d.mp4"]}, "104 to 273"),
        ("hailuo_video", {}, "30"),
        ("hailuo_video", {"model": "hailuo-02-pro"}, "57"),
        ("hailuo_video", {"model": "hailuo-2.3-pro", "image": "a.png", "resolution": "1080P"}, "80"),
        ("wan_video", {"duration": 10}, "120"),
        ("seedance_video", {"sound": True}, "35"),
        ("seedance_video", {"model": "seedance-2", "resolution": "4k"}, "1040"),
        ("seedance_video", {"model": "seedance-2", "videos": ["d.mp4"]}, "175 to 500"),
        ("seedance_video", {"model": "seedance-2.5", "duration": -1}, "252 to 1890"),
        ("seedance_video", {"model": "seedance-v1-lite", "duration": 10}, "45"),
    ],
)
def test_a_call_costs_what_kie_publishes(tool: str, arguments: dict[str, Any], cost: str) -> None:
    assert str(call(tool, arguments).estimate()) == cost


@pytest.mark.parametrize(("family", "instead"), [(sora.VIDEO, "veo_video"), (luma.MODIFY, "runway_aleph")])
def test_what_kie_no_longer_documents_names_what_to_use_instead(family: Family, instead: str) -> None:
    assert family.description.startswith("Legacy: ")
    assert f"Prefer {instead}." in family.description


@for_each(
    "id_, name, limit, most",
    [
        *((f"bytedance/seedance-2{tail}", "images", "ratio", 2.5) for tail in ("", "-fast", "-mini", "-5")),
        *((f"bytedance/seedance-2{tail}", "images", "side_px", 6000) for tail in ("", "-fast", "-mini", "-5")),
        ("omnihuman-1-5", "audio", "seconds", 60),
    ],
)
def test_a_bound_that_kie_excludes_is_refused(id_: str, name: str, limit: str, most: float) -> None:
    found = find_file_type(MODELS[id_].model_fields[name])
    assert found
    assert 0.999 * most < getattr(found[1], limit)[1] < most
