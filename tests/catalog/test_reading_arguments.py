"""What clients and people write as arguments, and what is understood."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cases import for_each
from support.effort import examples
from support.example_calls import ARGUMENTS, GIVEN
from support.facts import market

from kie_mcp.catalog.argument_values import PROSE, read_value
from kie_mcp.catalog.arguments import read_arguments
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.catalog.spellings import HOST_ARGUMENTS, NEAR_NAMES
from kie_mcp.film.timeline import Clip, Sound
from kie_mcp.server.tools.edit_media import EDIT_MEDIA
from kie_mcp.server.tools.registry import TOOLS

TOOL = {family.tool: family for family in FAMILIES}
UTILITY = {tool.name: tool for tool in TOOLS}
A, B = "https://files.example/a.jpg", "https://files.example/b.jpg"
COMMAS = "https://files.example/w_100,h_100/a.jpg"
DATA = "data:image/png;base64,iVBORw0KGgo="
DATA_PLUS = "data:image/png;base64,iVBORw0KGgphYgA+"
SIGNED = "https://files.example/a?sig=abc"
WHOLE_URLS = (
    "https://e.com/k?disposition=attachment;filename=a.png;filename*=UTF-8''a.png&sig=ab",
    "https://e.com/k?disposition=attachment%3B%20filename%3Da.png%2C%20b.png&sig=ab",
    "https://e.com/a.png?list=a.png,b.png",
    "https://e.com/a.png?colors=red.png,t_x",
    "https://e.com/a/ab/Foo.jpg%2C_bar.jpg",
    "https://e.com/upload/l_logo.png,t_media/v1/dog.jpg",
    "https://e.com/hls/a.mp4,b.mp4,.urlset/master.m3u8",
)
"""URLs in which a separator behind a file's name is a part of the URL."""
WORDS = {"prompt": "a fox"}
SONG = {"prompt": "la", "style": "folk", "title": "Fox"}
SHOTS = [{"prompt": "a door", "duration": 2}, {"prompt": "a room", "duration": 3}]

SECOND = {"track": "task:t_ab#2"}

# A tool, what a caller writes, and a call that means the same.
READ: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # The task of a song and its number or id at KIE are one reference, in any names.
    ("suno_wav", {"task_id": "t_ab", "audio_id": "2"}, SECOND),
    ("suno_wav", {"audio_id": 2, "task": "task:t_ab"}, SECOND),
    ("suno_wav", {"taskId": "t_ab", "audioId": "task:t_ab#2"}, SECOND),
    ("suno_wav", {"task_ids": ["t_ab"], "song_id": ["#2"]}, SECOND),
    ("suno_wav", {"task_id": "t_ab#2", "track": "t_ab"}, SECOND),
    ("suno_wav", {"task_id": "kie://tasks/t_ab/media/2", "track": "null"}, SECOND),
    ("suno_wav", {"task_id": "4a1f", "audio_id": "5c79-8e"}, {"track": "task:4a1f#5c79-8e"}),
    ("suno_wav", {"task_id": "t_ab"}, {"track": "task:t_ab"}),
    ("suno_extend", {"task_id": "t_ab", "audio_id": "2"}, SECOND),
    (
        "suno_separate_vocals",
        {"task_id": "t_ab", "audio_id": "2", "type": "split_stem"},
        SECOND | {"type": "split_stem"},
    ),
    ("suno_midi", {"task_id": "t_ab", "audio_id": "2"}, SECOND),
    ("suno_midi", {"task_id": "t_ab#2"}, SECOND),
    ("suno_midi", {"task_id": "t_ab", "audio_id": "5c79-8e"}, {"task_id": "t_ab", "stem": "5c79-8e"}),
    # The number of a result is its index, where KIE has one.
    ("midjourney_follow_up", {"task_id": "t_ab#4"}, {"task_id": "t_ab#4", "index": 3}),
    ("midjourney_follow_up", {"taskId": "t_ab#4", "imageIndex": "3"}, {"task_id": "t_ab#4", "index": 3}),
    (
        "midjourney_follow_up",
        WORDS | {"task_id": "kie://tasks/t_ab/media/2"},
        WORDS | {"task_id": "kie://tasks/t_ab/media/2", "model": "mj_video_extend_manual", "index": 1},
    ),
    ("grok_video", {"image_task": "task:t_ab#2"}, {"image_task": "task:t_ab#2", "image_index": 1}),
    # KIE's switch and the name of lyrics are understood where they agree with the rest.
    ("suno_music", {"lyrics": "la", "style": "folk", "title": "Fox"}, SONG),
    ("suno_music", SONG | {"customMode": True}, SONG),
    ("suno_music", SONG | {" custom_mode": "true"}, SONG),
    ("suno_music", WORDS | {"custom_mode": False}, WORDS),
    ("suno_extend", SECOND | {"defaultParamFlag": False}, SECOND),
    (
        "suno_extend",
        {"audio": "a.mp3", "continue_at": 3, "default_param_flag": False},
        {"audio": "a.mp3", "continue_at": 3},
    ),
    # What says no more than the default does not choose a model.
    ("seedance_video", WORDS | {"return_last_frame": False}, WORDS),
    ("seedance_video", WORDS | {"seed": 0}, WORDS),
    ("seedance_video", WORDS | {"seed": -1}, WORDS),
    ("seedance_video", WORDS | {"format": "mp4"}, WORDS),
    ("seedance_video", WORDS | {"web_search": "no"}, WORDS),
    ("wan_video", WORDS | {"watermark": False}, WORDS),
    ("wan_video", WORDS | {"multi_shots": "false", "sound": False, "acceleration": "none"}, WORDS),
    ("recraft_upscale", {"image": A, "factor": 2}, {"image": A}),
    ("recraft_upscale", {"image": A, "factor": "2x"}, {"image": A, "factor": "2x"}),
    (
        "nano_banana_image",
        WORDS | {"model": "nano-banana-2-lite", "resolution": "1K"},
        WORDS | {"model": "nano-banana-2-lite"},
    ),
    ("nano_banana_image", WORDS | {"resolution": "1K"}, WORDS),
    ("kling_video", WORDS | {"negative_prompt": ""}, WORDS),
    ("kling_video", WORDS | {"cfg_scale": 0.5}, WORDS),
    # A 0 chooses no model, and a model that has the argument gets it.
    ("kling_video", WORDS | {"cfg_scale": 0}, WORDS),
    ("midjourney_image", WORDS | {"omni_weight": 0}, WORDS),
    ("qwen_image", WORDS | {"strength": 0.0, "count": "0"}, WORDS),
    (
        "kling_video",
        WORDS | {"cfg_scale": 0, "image": A, "model": "kling-2.5-turbo"},
        WORDS | {"cfg_scale": 0, "image": A, "model": "kling/v2-5-turbo-image-to-video-pro"},
    ),
    ("kling_video", WORDS | {"cfg_scale": "0.5", "sound": False, "duration": 5}, WORDS),
    ("kling_video", WORDS | {"model": "kling-3.0", "cfg_scale": 0.5}, WORDS),
    ("kling_motion", {"image": A, "video": A, "background": "input_video"}, {"image": A, "video": A}),
    ("seedream_image", WORDS | {"format": "png", "count": 1, "guidance_scale": 2.5}, WORDS),
    ("grok_image", WORDS | {"fine": False}, WORDS),
    ("qwen_image", WORDS | {"prompt_expansion": False, "count": 1, "strength": 0.8}, WORDS),
    ("hailuo_video", WORDS | {"resolution": "768P"}, WORDS),
    ("gpt_image", WORDS | {"quality": "medium", "resolution": "1K"}, WORDS),
    ("talking_head", {"image": A, "audio": A, "loop_backwards": False, "mode": "lite"}, {"image": A, "audio": A}),
    # What stands for "not given" says nothing either.
    ("nano_banana_image", WORDS | {"images": "null", "model": "None", "aspect_ratio": "N/A"}, WORDS),
    ("nano_banana_image", WORDS | {"images": ["null"], "format": "undefined"}, WORDS),
    ("nano_banana_image", WORDS | {"images": '["null"]', "model": "none"}, WORDS),
    ("nano_banana_image", WORDS | {"images": [A, "null", ""]}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"quote": "null", "confirm": "none", "variation": "undefined"}, WORDS),
    ("kling_video", WORDS | {"image": "None", "shots": "none", "elements": "[]"}, WORDS),
    ("kling_video", {"shots": [*SHOTS, {}], "prompt": "null"}, {"shots": SHOTS}),
    (
        "wan_video",
        WORDS | {"model": "wan-2.2", "acceleration": "None"},
        WORDS | {"model": "wan-2.2", "acceleration": "none"},
    ),
    # What hosts add is not for the model.
    ("nano_banana_image", WORDS | {"wait_for_previous": True}, WORDS),
    ("suno_music", WORDS | {"toolCallId": "call_1", "__tool_use_purpose": "to make a song"}, WORDS),
    # Names of KIE's, of sister tools and of people.
    ("nano_banana_image", WORDS | {"image": A}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"image_url": A}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"imageUrls": [A, B]}, WORDS | {"images": [A, B]}),
    ("nano_banana_image", WORDS | {"image_urls": [A]}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"image_input": [A]}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"reference_images": A}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"input-image": A}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"Image URL": A}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"images": [], "image_url": A}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"images": "null", "image_url": A}, WORDS | {"images": [A]}),
    ("nano_banana_image", WORDS | {"images": [A], "image_url": "none"}, WORDS | {"images": [A]}),
    ("nano_banana_image", {"text": "a fox"}, WORDS),
    (
        "nano_banana_image",
        WORDS | {"image_size": "16:9", "output_format": "png"},
        WORDS | {"aspect_ratio": "16:9", "format": "png"},
    ),
    ("nano_banana_image", WORDS | {"aspectRatio": "16:9"}, WORDS | {"aspect_ratio": "16:9"}),
    ("nano_banana_image", WORDS | {"ratio": "16:9"}, WORDS | {"aspect_ratio": "16:9"}),
    ("veo_video", WORDS | {"image_url": A}, WORDS | {"images": [A]}),
    ("veo_video", WORDS | {"imageUrls": A, "enableTranslation": "yes"}, WORDS | {"images": [A], "translate": True}),
    ("kling_video", WORDS | {"images": [A]}, WORDS | {"image": A}),
    ("kling_video", WORDS | {"image_urls": A, "tail_image_url": B}, WORDS | {"image": A, "last_image": B}),
    ("kling_video", WORDS | {"first_frame": A, "last_frame": B}, WORDS | {"image": A, "last_image": B}),
    ("kling_video", WORDS | {"start_image": A, "end_frame_url": B}, WORDS | {"image": A, "last_image": B}),
    ("kling_video", WORDS | {"mode": "pro"}, WORDS | {"resolution": "1080p"}),
    ("kling_video", {"multi_prompt": SHOTS}, {"shots": SHOTS}),
    ("kling_video", {"scenes": SHOTS}, {"shots": SHOTS}),
    ("hailuo_video", WORDS | {"image": A, "end_image": B}, WORDS | {"image": A, "last_image": B}),
    ("runway_video", WORDS | {"first_frame_image": A}, WORDS | {"image": A}),
    ("runway_aleph", WORDS | {"video_url": A, "reference_image": B}, WORDS | {"video": A, "image": B}),
    ("seedance_video", WORDS | {"first_frame_url": A}, WORDS | {"image": A}),
    ("seedance_video", WORDS | {"reference_images": [A]}, WORDS | {"images": [A]}),
    ("seedance_video", WORDS | {"reference_image_urls": [A]}, WORDS | {"images": [A]}),
    ("seedance_video", WORDS | {"seconds": 8}, WORDS | {"duration": 8}),
    ("seedance_video", WORDS | {"generate_audio": True}, WORDS | {"sound": True}),
    ("wan_video", WORDS | {"img_url": A, "image": A}, WORDS | {"image": A}),
    ("gpt4o_image", WORDS | {"size": "1:1", "nVariants": 2}, WORDS | {"aspect_ratio": "1:1", "count": 2}),
    ("gpt4o_image", WORDS | {"n": 2, "files_url": [A]}, WORDS | {"count": 2, "images": [A]}),
    ("qwen_image", WORDS | {"image_url": A}, WORDS | {"image": A}),
    ("qwen_image", WORDS | {"image_urls": [A]}, WORDS | {"images": [A]}),
    ("topaz_upscale", {"video_url": A, "scale": 4}, {"video": A, "factor": 4}),
    ("recraft_upscale", {"images": [A]}, {"image": A}),
    ("suno_music", {"lyrics": "la", "tags": "folk", "title": "Fox"}, SONG),
    ("suno_music", SONG | {"negative_tags": "metal"}, SONG | {"negative_prompt": "metal"}),
    ("suno_music", SONG | {"negativeTags": "metal"}, SONG | {"negative_prompt": "metal"}),
    ("suno_wav", {"task_id": "t_abc"}, {"track": "task:t_abc"}),
    ("suno_wav", {"track": "t_abc#2"}, {"track": "task:t_abc#2"}),
    ("suno_wav", {"task_ids": ["task:t_abc#2"]}, {"track": "task:t_abc#2"}),
    ("suno_midi", {"task_ids": ["t_abc"]}, {"task_id": "t_abc"}),
    ("suno_midi", {"track": "t_abc"}, {"task_id": "t_abc"}),
    ("suno_midi", {"track": "t_abc#2"}, {"track": "task:t_abc#2"}),
    ("suno_cover_art", {"track": "task:t_abc#1"}, {"task_id": "task:t_abc#1"}),
    ("suno_cover_art", {"taskId": "t_abc"}, {"task_id": "t_abc"}),
    ("veo_upscale", {"id": "t_abc"}, {"task_id": "t_abc"}),
    ("elevenlabs_speech", {"text": "hi", "voice_id": "Adam"}, {"prompt": "hi", "voice": "Adam"}),
    ("elevenlabs_speech", {"script": "hi", "voice_name": "Adam"}, {"prompt": "hi", "voice": "Adam"}),
    (
        "elevenlabs_dialogue",
        {"dialogue": [{"text": "hi", "voice_id": "Adam"}]},
        {"lines": [{"prompt": "hi", "voice": "Adam"}]},
    ),
    # Many for one, one for many, and lists written as texts.
    ("nano_banana_image", WORDS | {"images": f"{A},{B}"}, WORDS | {"images": [A, B]}),
    ("nano_banana_image", WORDS | {"images": f"{A}, {B},"}, WORDS | {"images": [A, B]}),
    ("nano_banana_image", WORDS | {"images": f"{A}\n{B}\n"}, WORDS | {"images": [A, B]}),
    ("nano_banana_image", WORDS | {"images": [f"{A} {B}"]}, WORDS | {"images": [A, B]}),
    ("nano_banana_image", WORDS | {"images": f'["{A}", "{B}"]'}, WORDS | {"images": [A, B]}),
    ("nano_banana_image", WORDS | {"images": [f'["{A}", "{B}"]']}, WORDS | {"images": [A, B]}),
    ("nano_banana_image", WORDS | {"images": "in/a.jpg,in/b.png"}, WORDS | {"images": ["in/a.jpg", "in/b.png"]}),
    (
        "nano_banana_image",
        WORDS | {"images": "task:t_a#1; task:t_a#2"},
        WORDS | {"images": ["task:t_a#1", "task:t_a#2"]},
    ),
    *(
        ("nano_banana_image", WORDS | {"images": f"{A}{between}{B}"}, WORDS | {"images": [A, B]})
        for between in ("|", "、", "，", "；", "\\n", "\\r\\n", "%2C", " , ", "+")
    ),
    *(
        ("nano_banana_image", WORDS | {"images": f"{A}{between}{name}"}, WORDS | {"images": [A, name]})
        for between in (",", "; ", "\n", "|")
        for name in ("/home/me/b.jpg", "~/b.jpg", "C:\\me\\b.jpg", "t_abc#1", "u_abc", "b.jpg")
    ),
    ("nano_banana_image", WORDS | {"images": f"{DATA},{DATA}"}, WORDS | {"images": [DATA, DATA]}),
    ("nano_banana_image", WORDS | {"images": f"{DATA},{A}"}, WORDS | {"images": [DATA, A]}),
    *(
        ("nano_banana_image", WORDS | {"images": f"{each}, {each}"}, WORDS | {"images": [each, each]})
        for each in (DATA_PLUS, f"{SIGNED}+", f"{SIGNED}%2C")
    ),
    ("nano_banana_image", WORDS | {"images": f"{A}+, {B}%2C"}, WORDS | {"images": [A, B]}),
    ("nano_banana_image", WORDS | {"images": f"{A},b.jpg,c.jpg"}, WORDS | {"images": [A, "b.jpg", "c.jpg"]}),
    *(("kling_video", WORDS | {"image": url}, WORDS | {"image": url}) for url in WHOLE_URLS),
    ("nano_banana_image", WORDS | {"images": DATA}, WORDS | {"images": [DATA]}),
    ("nano_banana_image", WORDS | {"images": COMMAS}, WORDS | {"images": [COMMAS]}),
    ("nano_banana_image", WORDS | {"images": f"{COMMAS},{A}"}, WORDS | {"images": [COMMAS, A]}),
    ("nano_banana_image", WORDS | {"images": "my, picture.jpg"}, WORDS | {"images": ["my, picture.jpg"]}),
    ("nano_banana_image", {"prompt": ["a fox"]}, WORDS),
    ("kling_video", WORDS | {"image": [A], "duration": ["10"]}, WORDS | {"image": A, "duration": 10}),
    ("kling_video", {"shots": str(SHOTS).replace("'", '"')}, {"shots": SHOTS}),
    ("kling_video", {"shots": [str(shot).replace("'", '"') for shot in SHOTS]}, {"shots": SHOTS}),
    (
        "kling_video",
        {"shots": {"prompt": "a door", "duration": "5s"}},
        {"shots": [{"prompt": "a door", "duration": 5}]},
    ),
    (
        "grok_image",
        {"task_id": "t_a", "prompt": "x", "segments": "1,2"},
        {"task_id": "t_a", "prompt": "x", "segments": [1, 2]},
    ),
    # Values as people write them.
    ("veo_video", WORDS | {"duration": "8s"}, WORDS | {"duration": 8}),
    ("veo_video", WORDS | {"duration": "6 seconds"}, WORDS | {"duration": 6}),
    ("veo_video", WORDS | {"duration": 6.0}, WORDS | {"duration": 6}),
    ("veo_video", WORDS | {"duration": "6.0 sec"}, WORDS | {"duration": 6}),
    ("veo_video", WORDS | {"aspect_ratio": "16x9"}, WORDS | {"aspect_ratio": "16:9"}),
    ("veo_video", WORDS | {"aspect_ratio": "9/16"}, WORDS | {"aspect_ratio": "9:16"}),
    ("veo_video", WORDS | {"aspect_ratio": "9 : 16"}, WORDS | {"aspect_ratio": "9:16"}),
    ("veo_video", WORDS | {"aspect_ratio": "1080x1920"}, WORDS | {"aspect_ratio": "9:16"}),
    ("veo_video", WORDS | {"aspect_ratio": "Portrait"}, WORDS | {"aspect_ratio": "9:16"}),
    ("veo_video", WORDS | {"aspect_ratio": "vertical"}, WORDS | {"aspect_ratio": "9:16"}),
    ("veo_video", WORDS | {"aspect_ratio": "landscape"}, WORDS | {"aspect_ratio": "16:9"}),
    ("veo_video", WORDS | {"aspect_ratio": "AUTO"}, WORDS | {"aspect_ratio": "Auto"}),
    ("veo_video", WORDS | {"resolution": 1080}, WORDS | {"resolution": "1080p"}),
    ("veo_video", WORDS | {"resolution": "1080"}, WORDS | {"resolution": "1080p"}),
    ("veo_video", WORDS | {"resolution": "1080P"}, WORDS | {"resolution": "1080p"}),
    ("veo_video", WORDS | {"resolution": "Full HD"}, WORDS | {"resolution": "1080p"}),
    ("veo_video", WORDS | {"resolution": "4K"}, WORDS | {"resolution": "4k"}),
    ("sora_video", WORDS | {"aspect_ratio": "9:16"}, WORDS | {"aspect_ratio": "portrait"}),
    ("nano_banana_image", WORDS | {"aspect_ratio": "square"}, WORDS | {"aspect_ratio": "1:1"}),
    (
        "nano_banana_image",
        WORDS | {"aspect_ratio": "4x5", "resolution": "2k"},
        WORDS | {"aspect_ratio": "4:5", "resolution": "2K"},
    ),
    (
        "seedance_video",
        WORDS | {"model": "seedance-2", "aspect_ratio": "auto"},
        WORDS | {"model": "seedance-2", "aspect_ratio": "adaptive"},
    ),
    ("hailuo_video", WORDS | {"image": A, "resolution": "768"}, WORDS | {"image": A, "resolution": "768P"}),
    ("suno_music", SONG | {"instrumental": "no"}, SONG),
    ("suno_music", SONG | {"instrumental": "YES"}, SONG | {"instrumental": True}),
    ("suno_music", SONG | {"duration": "60 s"}, SONG | {"duration": 60}),
    # An alias means the sister model that takes the files.
    (
        "kling_video",
        WORDS | {"model": "kling-2.5-turbo", "image": A},
        WORDS | {"model": "kling/v2-5-turbo-image-to-video-pro", "image": A},
    ),
    (
        "kling_video",
        WORDS | {"model": "kling-2.5-turbo", "image": A, "aspect_ratio": "16:9"},
        WORDS | {"model": "kling/v2-5-turbo-image-to-video-pro", "image": A},
    ),
    (
        "kling_video",
        WORDS | {"model": "kling-2.6", "image_url": A},
        WORDS | {"model": "kling-2.6/image-to-video", "image": A},
    ),
    ("wan_video", WORDS | {"model": "wan-2.5", "image": A}, WORDS | {"model": "wan/2-5-image-to-video", "image": A}),
    (
        "nano_banana_image",
        WORDS | {"model": "nano-banana", "images": A},
        WORDS | {"model": "google/nano-banana-edit", "images": [A]},
    ),
    (
        "kling_video",
        WORDS | {"model": "kling-2.5-turbo", "image": ""},
        WORDS | {"model": "kling/v2-5-turbo-text-to-video-pro"},
    ),
]

READ_BY_UTILITIES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("get_task", {"task_id": "t_a"}, {"task_ids": ["t_a"]}),
    ("get_task", {"taskId": "t_a", "wait": "30s"}, {"task_ids": ["t_a"], "wait_seconds": 30}),
    ("get_task", {"task_ids": "t_a,t_b"}, {"task_ids": ["t_a", "t_b"]}),
    ("get_task", {"task_ids": "t_a\nt_b", "wait_for_previous": False}, {"task_ids": ["t_a", "t_b"]}),
    ("get_task", {"ids": ["t_a", "null"], "wait_seconds": "null"}, {"task_ids": ["t_a"]}),
    ("view_media", {"task_ids": ["t_a"], "number": "2"}, {"task_id": "t_a", "n": 2}),
    ("view_media", {"id": "t_a", "n": "none"}, {"task_id": "t_a"}),
    ("resolve_task", {"id": "t_a", "outcome": "x"}, {"task_id": "t_a", "outcome": "x"}),
    ("get_download_url", {"task_id": "t_a"}, {"file": "t_a"}),
    ("get_download_url", {"url": A}, {"file": A}),
    ("upload_file", {"file_path": "a.jpg", "url": "", "base64": None}, {"path": "a.jpg"}),
    ("find_models", {"query": "kling", "kind": "Video", "max_credits": "null"}, {"words": "kling", "kind": "video"}),
    ("list_tasks", {"state": "succeeded", "q": "fox"}, {"status": "succeeded", "words": "fox"}),
    ("library", {"search": "fox", "since": "2026-09-30", "kind": "none"}, {"words": "fox", "after": "2026-09-30"}),
    ("describe_model", {"model_id": "veo3"}, {"model": "veo3"}),
    ("run_model", {"model": "veo3", "input": '{"prompt": "x"}'}, {"model": "veo3", "input": {"prompt": "x"}}),
    ("run_model", {"model": "veo3", "parameters": {"prompt": "x"}}, {"model": "veo3", "input": {"prompt": "x"}}),
    (
        "run_model",
        {"model": "veo3", "input": {"prompt": "x"}, "quote": "yes"},
        {"model": "veo3", "input": {"prompt": "x"}, "quote": True},
    ),
    (
        "compare_models",
        {"prompt": "x", "models": "veo3, kling-3.0", "max_credits": "100", "input": {}},
        {"prompt": "x", "models": ["veo3", "kling-3.0"], "max_credits": 100},
    ),
]

SHAPE_LEFT_OPEN = [
    ("seedream_image", WORDS, "auto"),
    ("kling_video", WORDS, "original"),
    ("kling_video", WORDS | {"model": "kling-3.0"}, "Adaptive"),
    ("veo_video", WORDS | {"model": "veo3_fast"}, "auto "),
    ("nano_banana_image", WORDS | {"model": "nano-banana-2-lite"}, "automatic"),
]

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("nano_banana_image", {"prompt": "  \n"}, "prompt: String should have at least 1 character"),
    ("wan_video", WORDS | {"image": A, "nonsense": 1}, r"^wan_video does not take nonsense\. It takes [^.]*$"),
    ("kling_video", {"prompt": " "}, "give either prompt or shots"),
    ("kling_video", WORDS | {"images": [A, B]}, "image: takes one value, not a list of 2"),
    ("kling_video", WORDS | {"image": f"{A},{B}"}, "image: one file is wanted here, and the text names several"),
    *(
        ("kling_video", WORDS | {"image": f"{A}{rest}"}, "image: one file is wanted here, and the text names several")
        for rest in (
            f"|{B}",
            "、https://e.com",
            ",/home/me/b.jpg",
            "\n/home/me/b.jpg",
            "; ~/b.jpg",
            ", t_abc",
            ", b.jpg",
            "?sig=1,/home/me/b.jpg",
            "?file=a.jpg,/me/b.jpg",
            "?sig=1;~/b.jpg",
            "?sig=1|/me/b.jpg",
            "?sig=1, /me/b.jpg",
            "?sig=1 C:\\me\\b.jpg",
        )
    ),
    ("nano_banana_image", WORDS | {"pictur": A}, r"nano_banana_image does not take pictur\. It takes "),
    ("nano_banana_image", WORDS | {"imagez": A}, r"nano_banana_image does not take imagez\. It takes images, "),
    # A name that may mean an argument, though not surely, brings this argument to the front.
    ("veo_video", WORDS | {"first_frame": A, "last_frame": B}, r"not take first_frame\. It takes images, .*last_frame"),
    ("veo_video", WORDS | {"end_image": A}, r"not take end_image\. It takes images, "),
    ("gemini_speech", WORDS | {"voice": "Kore"}, r"not take voice\. It takes speakers, "),
    ("kling_video", WORDS | {"audio": True}, r"not take audio\. It takes sound, "),
    ("kling_video", WORDS | {"images": [A, B]}, "not a list of 2; last_image takes the last frame"),
    ("kling_video", WORDS | {"cfgscale": 1}, r"kling_video does not take cfgscale\. It takes cfg_scale, "),
    ("suno_music", SONG | {"lyrics": "lo"}, "lyrics means prompt, which is given as well"),
    # Lyrics without these details would only be an idea, of which Suno writes other words.
    ("suno_music", {"lyrics": "la"}, "lyrics needs style, title as well: else Suno writes words of its own"),
    ("suno_music", {"lyrics": "la", "style": "folk"}, "lyrics needs title as well"),
    ("suno_music", WORDS | {"customMode": True}, "custom_mode needs style, title as well"),
    ("suno_music", {"prompt": "[Verse 1]\nla"}, "lyrics are sung only with style and title"),
    ("suno_cover_song", {"audio": "a.mp3", "prompt": "\n[Pre-Chorus: soft] la"}, "lyrics are sung only with style"),
    ("suno_music", SONG | {"custom_mode": False}, "with custom_mode false, Suno decides: leave out style, title"),
    ("suno_extend", SECOND | {"default_param_flag": "true"}, "default_param_flag needs continue_at, style, title"),
    ("suno_extend", SECOND | {"defaultParamFlag": False, "continue_at": 3}, "Suno decides: leave out continue_at"),
    # One song is meant, and one index.
    ("suno_wav", {"task_id": "t_cd", "audio_id": "task:t_ab#2"}, "the call names several: t_cd, task:t_ab#2"),
    ("suno_wav", {"task_id": "t_ab#1", "audio_id": "2"}, "the call names several: t_ab#1, 2"),
    ("suno_wav", {"task_id": "t_ab", "task": "t_cd"}, "the call names several: t_ab, t_cd"),
    ("suno_wav", {"task_ids": ["t_ab", "t_cd"]}, "track: takes one value, not a list of 2"),
    ("suno_wav", {"audioId": "5c79-8e", "song": "4a1f"}, "song means track, which is given as well"),
    ("suno_separate_vocals", {"task_id": "t_ab", "audio": "a.mp3"}, "give either track or audio"),
    (
        "midjourney_follow_up",
        {"task_id": "t_ab#4", "index": 0},
        "index 0 is not result 4 .index 3., which task_id names",
    ),
    ("grok_video", {"image_task": "t_ab#2", "image_index": 0}, "image_index 0 is not result 2"),
    ("kling_video", WORDS | {"model": "kling-3.0", "cfg_scale": 0.7}, "kling-3.0/video does not take cfg_scale"),
    (
        "kling_video",
        WORDS | {"model": "kling/v2-5-turbo-text-to-video-pro", "image": A},
        "The same with image is kling/v2-5-turbo-image-to-video-pro",
    ),
    # An alias that names the mode means this model alone.
    (
        "qwen_image",
        WORDS | {"model": "qwen-image-edit", "image": A, "strength": 0.6},
        r"^qwen/image-edit does not take strength\. .* The same with strength is qwen/image-to-image\. It takes ",
    ),
    (
        "ideogram_image",
        WORDS | {"model": "Ideogram-V3-Edit", "image": A, "mask": A, "strength": 0.6},
        "ideogram/v3-edit does not take strength",
    ),
    ("hailuo_video", WORDS | {"model": "hailuo-02-pro", "duration": 10}, "does not take duration"),
    ("happyhorse_video", WORDS | {"video": "a.mp4", "duration": 5}, "happyhorse/video-edit does not take duration"),
    (
        "happyhorse_video",
        WORDS | {"model": "happyhorse/video-edit", "video": "a.mp4", "duration": 5},
        "happyhorse/video-edit does not take duration",
    ),
    ("grok_video", {"task_id": "t_1", "duration": 6}, "grok-imagine/upscale does not take duration"),
    # Another model's default is a wish if the call names a model that lacks the argument.
    (
        "hailuo_video",
        WORDS | {"model": "hailuo/02-image-to-video-pro", "image": A, "last_image": A, "duration": 10},
        "02-image-to-video-pro does not take duration",
    ),
    (
        "hailuo_video",
        WORDS | {"model": "hailuo-02-pro", "image": A, "last_image": A, "duration": 10},
        "does not take duration",
    ),
    ("sora_video", WORDS | {"model": "sora-2-text-to-video", "size": "high"}, "does not take size"),
    ("kling_video", WORDS | {"model": "kling-2.1-pro", "image": A, "resolution": "1080p"}, "does not take resolution"),
    ("veo_video", WORDS | {"duration": "long"}, "duration: "),
    # A text that is no address never leaves this machine.
    *(
        ("wan3_video", WORDS | {name: value}, f"{name}: .*an address that anybody can open")
        for name in ("document", "link")
        for value in ("/home/me/plan.pdf", "file:///plan.pdf", "plan.pdf", "data:application/pdf;base64,AAAA")
    ),
    ("veo_video", WORDS | {"aspect_ratio": "1024x1024"}, "aspect_ratio: Input should be"),
]


@for_each("tool, written, meant", READ)
def test_a_call_is_understood_as_it_is_meant(tool: str, written: dict[str, Any], meant: dict[str, Any]) -> None:
    call, well_formed = TOOL[tool].parse(written), TOOL[tool].parse(meant)
    assert type(call) is type(well_formed)
    assert call.sent(str) == well_formed.sent(str)


@for_each("tool, given, word", SHAPE_LEFT_OPEN)
@for_each("pasted", [False, True])
def test_an_aspect_ratio_that_the_model_shall_choose_is_its_own_or_left_out(
    tool: str, given: dict[str, Any], word: str, pasted: bool
) -> None:
    call, plain = TOOL[tool].parse(given | {"aspect_ratio": word}, pasted=pasted), TOOL[tool].parse(given)
    assert type(call) is type(plain)
    choices = type(call).field_schemas()["aspect_ratio"]["enum"]
    own = next((each for each in ("auto", "Auto", "adaptive") if each in choices), None)
    assert call == (TOOL[tool].parse(given | {"aspect_ratio": own}) if own else plain)
    assert own or "aspect_ratio" not in call.model_fields_set


def test_a_zero_is_sent_to_a_model_that_has_the_argument() -> None:
    assert TOOL["seedream_image"].parse(WORDS | {"seed": 0}).sent(str)["seed"] == 0
    assert TOOL["elevenlabs_speech"].parse(WORDS | {"stability": 0}).sent(str)["stability"] == 0
    named = TOOL["kling_video"].parse(WORDS | {"model": "kling-2.5-turbo", "cfg_scale": 0})
    assert named.sent(str)["cfg_scale"] == 0
    with pytest.raises(ValueError, match="does not take cfg_scale"):
        TOOL["kling_video"].parse(WORDS | {"model": "kling-3.0", "cfg_scale": 0})


@for_each("tool, written, meant", READ_BY_UTILITIES)
def test_a_call_of_a_utility_is_understood_as_it_is_meant(
    tool: str, written: dict[str, Any], meant: dict[str, Any]
) -> None:
    read = read_arguments(written, UTILITY[tool].input_schema)
    assert read == meant
    UTILITY[tool].arguments.model_validate(read)


@pytest.mark.parametrize(
    "clip",
    [
        dict.fromkeys(Clip.model_fields) | {"source": "a.mp4"},
        {"source": "a.mp4", "title": "", "start": "", "voice": "null"},
        "a.mp4",
        *({name: "a.mp4"} for name in ("file", "path", "url", "video")),
    ],
    ids=str,
)
def test_a_clip_or_sound_is_understood_as_it_is_meant(clip: Any) -> None:
    for written in ([clip], json.dumps([clip]), clip):
        assert EDIT_MEDIA.check({"clips": written}) == EDIT_MEDIA.check({"clips": [{"source": "a.mp4"}]})
    sound = {"source": "a.mp3", **dict.fromkeys(set(Sound.model_fields) - {"source"})}
    assert EDIT_MEDIA.check({"sounds": [sound]}) == EDIT_MEDIA.check({"sounds": "a.mp3"})


@for_each("tool, written, words", REFUSED)
def test_what_is_not_understood_is_refused_with_what_to_change(tool: str, written: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TOOL[tool].parse(written)


@for_each(
    "value, schema, meant",
    [
        ("yes", {"type": "boolean"}, True),
        ("Off", {"type": "boolean"}, False),
        (0, {"type": "boolean"}, False),
        ("maybe", {"type": "boolean"}, "maybe"),
        ("1.5 s", {"type": "number"}, 1.5),
        ("2", {"type": "number"}, 2),
        ("5m", {"type": "integer"}, "5m"),
        (2.5, {"type": "integer"}, 2.5),
        (5, {"type": "string", "enum": ["5", "10"]}, "5"),
        (["a", "b"], {"type": "string"}, ["a", "b"]),
        ([["a"]], {"type": "array", "items": {"type": "array"}}, [["a"]]),
        ("a b", {"type": "array", "items": {"type": "string"}}, ["a b"]),
        ("a, b", {"type": "array", "items": {"type": "string"}}, ["a", "b"]),
        ("1;2", {"type": "array", "items": {"type": "integer"}}, [1, 2]),
        *(
            (given, {"type": "array", "items": PROSE}, [text])
            for text in (
                "masterpiece, 1girl, sunset",
                "Your task: draw a fox",
                "data: 40 % yes, 60 % no",
                "狐狸,雪,夜",
                "a.png, b.png",
                "a\nb",
                f"like {A}, {B}",
                '{"scene": "a, b"}',
                '[{"shot": "a"}, {"shot": "b"}]',
            )
            for given in (text, [text])
        ),
        ('["a, b", "c"]', {"type": "array", "items": PROSE}, ["a, b", "c"]),
        (['["a, b", "c"]'], {"type": "array", "items": PROSE}, ["a, b", "c"]),
        ("{}x", {"type": "object", "properties": {}}, "{}x"),
        (
            {"a": None, "b": "", "c": [], "d": "null", "e": None, "f": 0},
            {"type": "object", "properties": {"a": {}, "e": {}}, "required": ["e"]},
            {"e": None, "f": 0},
        ),
    ],
)
def test_a_value_is_read_as_its_schema_wants_it(value: Any, schema: dict[str, Any], meant: Any) -> None:
    read = read_value(value, schema)
    assert read == meant
    assert type(read) is type(meant)


@for_each("between", [" ", "\n", "\\n", ",", "%2C", ".png,", ".png ", "|/"])
def test_a_very_long_list_is_split_at_once(between: str) -> None:
    """Regular expressions that try every way to match would take minutes."""
    text = f"{A}{between * 100_000}x {A}"
    assert read_value(text, {"type": "array", "items": {"type": "string"}})[-1] == A


NOTHING: list[Any] = ["", "  ", None, [], [""], [None], {}, "null", "None", "none", "N/A", "undefined", ["null"], "[]"]


def needed(model: type[KieModel]) -> dict[str, Any]:
    required = {name: GIVEN[name] for name, field in model.model_fields.items() if field.is_required()}
    return required | ARGUMENTS.get(model.id, {})


def idle_values(family: Family, model: type[KieModel], name: str) -> Iterator[Any]:
    """Values that say no more than a call without the argument: nothing, a default, and a switch that is off."""
    field = family.input_schema["properties"][name]
    yield from (value for value in NOTHING if value not in field.get("enum", ()))
    if "default" in field:
        yield field["default"]
    own = model.model_fields.get(name)
    if own is not None:
        if own.default is not None and not own.is_required() and own.default_factory is None:
            yield own.default
        if own.default is None and field["type"] == "boolean" and model.kie_defaults.get(name) is not True:
            yield False
        return
    holders = [each for each in family.models if name in each.model_fields]
    defaults = {str(each.model_fields[name].default): each.model_fields[name].default for each in holders}
    if len(defaults) == 1 and not any(each.model_fields[name].is_required() for each in holders):
        yield from (default for default in defaults.values() if default is not None)
    if field["type"] == "boolean":
        yield False
    if name == "seed":
        yield from (0, -1)


@for_each("family", FAMILIES)
def test_what_says_nothing_changes_neither_model_nor_body_nor_price(family: Family) -> None:
    plain = needed(family.models[0]) | ({"prompt": "rain"} if family.tool == "ghibli_image" else {})
    call = family.parse(plain)
    names = [name for name in family.input_schema["properties"] if name not in plain]
    values = {name: st.sampled_from(list(idle_values(family, type(call), name))) for name in names if name != "model"}

    @given(st.fixed_dictionaries({"model": st.sampled_from(NOTHING)}, optional=values))
    @settings(max_examples=examples(15), database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def it_is_the_same_call(filled: dict[str, Any]) -> None:
        same = family.parse(plain | filled)
        assert type(same) is type(call)
        assert same.sent(str) == call.sent(str)
        assert str(same.estimate()) == str(call.estimate())

    it_is_the_same_call()


@for_each("family", FAMILIES)
def test_all_that_says_nothing_at_once_changes_nothing_either(family: Family) -> None:
    plain = needed(family.models[0]) | ({"prompt": "rain"} if family.tool == "ghibli_image" else {})
    call = family.parse(plain)
    names = [name for name in family.input_schema["properties"] if name not in plain and name != "model"]
    for place in (0, 2, -1):
        filled = {name: list(idle_values(family, type(call), name))[place] for name in names}
        assert family.parse(plain | filled) == family.parse(plain) == call


@for_each("id_", sorted(MODELS.keys() & market().keys()))
def test_the_defaults_that_kie_documents_are_known(id_: str) -> None:
    model, fields = MODELS[id_], market()[id_]["input"].get("properties", {})
    for name, field in model.model_fields.items():
        documented = fields.get(field.serialization_alias or name, {}).get("default")
        if documented not in (None, False, "", []) and field.default is None and not field.default_factory:
            assert model.kie_defaults[name] == documented


def test_no_tool_has_an_argument_that_hosts_add() -> None:
    names = {name for family in FAMILIES for name in family.input_schema["properties"]}
    names |= {name for tool in TOOLS for name in tool.input_schema["properties"]}
    assert not names & HOST_ARGUMENTS.keys()
    schemas = [field.get("items", {}) for tool in TOOLS for field in tool.input_schema["properties"].values()]
    assert NEAR_NAMES.keys() <= names | {name for schema in schemas for name in schema.get("properties", ())}


def test_a_default_in_the_schema_of_a_tool_holds_for_all_of_its_models() -> None:
    for family in FAMILIES:
        for name, field in family.input_schema["properties"].items():
            if "default" in field:
                assert {each.model_fields[name].default for each in family.models} == {field["default"]}


@pytest.mark.parametrize("nothing", [0, "0", False])
def test_a_duration_of_nothing_is_left_out_where_a_clip_has_its_own(nothing: object) -> None:
    (family,) = (each for each in FAMILIES if each.tool == "happyhorse_video")
    assert family.parse(WORDS | {"video": "a.mp4", "duration": nothing}).id == "happyhorse/video-edit"


@pytest.mark.parametrize(
    ("tool", "given", "meant"),
    [
        ("seedream_image", {"model": "seedream-4.5", "size": "1024x1024"}, {"aspect_ratio": "1:1"}),
        ("seedream_image", {"model": "seedream-4.5", "size": "4K"}, {"resolution": "4K"}),
        ("seedream_image", {"size": "landscape"}, {"aspect_ratio": "16:9"}),
        (
            "nano_banana_image",
            {"image_size": "2K", "aspect_ratio": "16:9"},
            {"resolution": "2K", "aspect_ratio": "16:9"},
        ),
        ("wan_video", {"size": "720p"}, {"resolution": "720p"}),
    ],
)
def test_a_size_is_a_resolution_or_a_shape_by_its_value(
    tool: str, given: dict[str, Any], meant: dict[str, str]
) -> None:
    family = FAMILIES.find(tool)
    assert family
    call = family.parse({"prompt": "a fox", **given})
    assert {name: getattr(call, name) for name in meant} == meant


@pytest.mark.parametrize(
    ("tool", "given", "id_"),
    [
        ("grok_image", {"prompt": "add snow"}, "grok-imagine/image-to-image"),
        ("qwen_image", {"prompt": "add snow", "model": "Qwen Image 3"}, "qwen3/image-to-image"),
        ("grok_image", {}, "grok-imagine-image-2-0/segment-map"),
    ],
)
def test_a_picture_to_edit_is_taken_as_one_of_several_where_no_model_takes_one(
    tool: str, given: dict[str, Any], id_: str
) -> None:
    family = FAMILIES.find(tool)
    assert family
    assert family.parse({"image": "fox.png", **given}).id == id_
