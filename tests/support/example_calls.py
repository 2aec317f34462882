"""Arguments of at least one valid call for each model."""

from typing import Any

WAN_PICTURES: list[dict[str, Any]] = [
    {"prompt": "a hat", "images": ["a.png", "b.png"], "boxes": [[[0, 0, 9, 9]], []], "count": 4, "seed": 7},
    {
        "prompt": "a cat",
        "aspect_ratio": "21:9",
        "colors": [{"hex": f"#00000{n}", "percent": share} for n, share in enumerate((50, 33.3, 16.7))],
    },
]
WAN_3: list[dict[str, Any]] = [
    {"prompt": "a door opens", "image": "a.png", "last_image": "b.png", "duration": -1},
    {"prompt": "Video1 as Image1", "images": ["a.png"], "videos": ["b.mp4"], "audios": ["c.mp3"], "resolution": "480p"},
    {"document": "https://files.example/a.pdf", "aspect_ratio": "16:9"},
    {"link": "https://pages.example/a", "sound": False, "seed": 7},
]
TALK: list[dict[str, Any]] = [
    {
        "dialogue": [{"speaker": 1, "prompt": "Hello.", "style": "tired"}, {"speaker": 2, "prompt": "Oh!"}],
        "speakers": [{"voice": "kore"}, {"voice": "Bodi"}],
        "filler_words": True,
    },
]
SECTION = {"prompt": "it rains", "lyrics": "all of it", "style": "folk", "title": "Rain", "start": 10, "end": 20.5}
GIVEN: dict[str, Any] = {
    "prompt": "rain",
    "negative_prompt": "sun",
    "image": "a.png",
    "images": ["a.png"],
    "last_image": "b.png",
    "mask": "m.png",
    "character": "c.png",
    "video": "a.mp4",
    "videos": ["a.mp4"],
    "audio": "a.mp3",
    "audios": ["a.mp3", "b.mp3"],
    "track": "task:t1#1",
    "task_id": "t1",
    "index": 1,
    "shots": [{"prompt": "rain", "duration": 5}],
    "elements": [{"image": "a.png"}],
    "lines": [{"prompt": "rain", "voice": "Adam"}],
    "voice": "Kore",
    "name": "Tom",
    "description": "hoarse",
    "title": "Rain",
    "style": "folk",
    "lyrics": "rain",
    "start": 0,
    "end": 10,
}
# For each model, arguments that a valid call needs in addition to its required fields.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "kling-3.0/video": {"prompt": "rain"},
    "kling-3.0-omni/reference-to-video": {"images": ["a.png"]},
    "wan/2-7-image-to-video": {"image": "a.png"},
    "wan/2-7-r2v": {"images": ["a.png"]},
    "grok-imagine/image-to-video": {"images": ["a.png"]},
    "grok-imagine-video-1-5-preview": {"prompt": "rain"},
    "grok-imagine-image-2-0/segment-map": {"image": "a.png"},
    "pixverse-v6/extend": {"video": "a.mp4"},
    "minimax-h3/image-to-video": {"image": "a.png"},
    "minimax-h3/reference-to-video": {"images": ["a.png"]},
    "wan/3-0-video": {"prompt": "rain"},
    "wan/3-0-video-prime": {"prompt": "rain"},
    "google/gemini-3-1-flash-tts": {"prompt": "rain"},
    "google/gemini-3-8-flash-tts": {"prompt": "rain"},
    "google/gemini-3-8-flash-lite-tts": {"prompt": "rain"},
    "google/gemini-2-5-pro-tts": {"prompt": "rain"},
    "4o-image-api": {"prompt": "rain"},
    "ai-music-api/generate": {"prompt": "rain"},
    "ai-music-api/generate-midi-from-audio": {"task_id": "t1"},
    "ai-music-api/upload-and-extend-audio": {"continue_at": 30},
    "ai-music-api/upload-and-cover-audio": {"prompt": "rain"},
    "ai-music-api/mashup": {"prompt": "rain"},
    "ai-music-api/replace-section": {"track": "task:t1#1"},
    "ai-music-api/separate-vocals": {"track": "task:t1#1"},
}
DETAILS = {
    "prompt": "it rains",
    "style": "folk",
    "title": "Rain",
    "voice_gender": "f",
    "style_weight": 0.5,
    "weirdness": 0.25,
    "audio_weight": 0.5,
}
PERSONA = {"negative_prompt": "metal", "persona_id": "p1", "persona_model": "voice_persona"}
# For models whose fields depend on one another, valid calls; random arguments would hardly ever be valid.
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "kling-3.0/video": [
        {"shots": [{"prompt": "a door", "duration": 2}, {"prompt": "a room", "duration": 3}]},
        {"prompt": "a door opens", "image": "a.png", "last_image": "b.png"},
        {
            "prompt": "@tom waves",
            "image": "a.png",
            "elements": [{"name": "tom", "description": "a man", "images": ["b.png", "c.png"], "voices": ["d.mp3"]}],
        },
    ],
    "kling-3.0-omni/image-to-video": [
        {"prompt": "a door", "image": "a.png", "last_image": "b.png", "multi_shots": True},
        {
            "prompt": "@tom waves",
            "image": "a.png",
            "aspect_ratio": "9:16",
            "shots": [{"prompt": "@tom comes", "duration": 2}],
            "elements": [
                {"name": "tom", "description": "a man", "images": ["b.mp4"], "start_time": 1000, "end_time": 9000}
            ],
        },
    ],
    "kling-3.0-omni/text-to-video": [
        {"prompt": "a door", "multi_shots": True},
        {"prompt": "a door", "elements": [{"name": "tom", "description": "he", "images": ["b.png", "c.png"]}]},
    ],
    "kling-3.0-omni/reference-to-video": [
        {"prompt": "a door", "images": ["a.png"], "multi_shots": True},
        {"prompt": "a door", "video": "a.mp4", "elements": [{"name": "tom", "description": "he", "images": ["b.mp4"]}]},
        {
            "prompt": "a door",
            "images": ["a.png"],
            "video": "b.mp4",
            "shots": [{"prompt": "@tom comes", "duration": 2}],
            "elements": [{"name": "tom", "description": "he", "images": ["c.png", "d.png"], "voices": ["e.mp3"]}],
        },
    ],
    "kling-3.0-omni/transformation": [
        {"prompt": "a door", "video": "a.mp4", "elements": [{"name": "tom", "description": "he", "images": ["b.mp4"]}]},
        {"prompt": "a door", "video": "a.mp4", "images": ["b.png"], "duration": 7},
    ],
    "wan/2-7-image-to-video": [
        {"prompt": "a door", "video": "a.mp4"},
        {"prompt": "a door", "image": "a.png", "last_image": "b.png"},
        {"prompt": "a door", "image": "a.png", "audio": "b.mp3"},
    ],
    "wan/3-0-video": WAN_3,
    "wan/3-0-video-prime": WAN_3,
    "google/gemini-2-5-pro-tts": [{"prompt": "Hello.", "scene": "a shop"}],
    "google/gemini-3-8-flash-tts": TALK,
    "google/gemini-3-8-flash-lite-tts": TALK,
    "4o-image-api": [
        {"prompt": "a hat", "images": ["a.png"], "mask": "m.png", "count": 4},
        {"prompt": "a hat", "images": ["a.png", "b.png"], "aspect_ratio": "3:2"},
    ],
    "qwen2-1/image-to-image": [
        {"prompt": "a hat", "images": ["a.png"], "mask": "m.png", "seed": 7},
        {"prompt": "a hat", "images": ["a.png", "b.png"], "background": "transparent", "format": "webp"},
    ],
    "ai-music-api/generate-midi-from-audio": [
        {"task_id": "task:t_0001", "stem": "8551-stem"},
        {"track": "task:t_0001#2"},
    ],
    "wan/2-7-image": WAN_PICTURES,
    "wan/2-7-image-pro": WAN_PICTURES,
    "sora-2-pro-storyboard": [{"shots": [{"prompt": "a door", "duration": 5}], "image": "a.png"}],
    "volcengine/video-to-video-lip-sync": [
        {"video": "a.mp4", "audio": "b.mp3", "mode": "basic", "find_speakers": True},
    ],
    "elevenlabs/text-to-speech-turbo-2-5": [{"prompt": "hello", "next_text": "world", "language": "en"}],
    "elevenlabs/text-to-dialogue-v3": [{"lines": [{"prompt": "hello", "voice": "Adam"}], "language": "en"}],
    "ai-music-api/extend": [{"track": "task:t_0001#1", "continue_at": 30, **DETAILS, **PERSONA}],
    "ai-music-api/upload-and-extend-audio": [{"audio": "a.mp3", "continue_at": 30, **DETAILS, **PERSONA}],
    "ai-music-api/upload-and-cover-audio": [{"audio": "a.mp3", "duration": 60, **DETAILS, **PERSONA}],
    "ai-music-api/mashup": [{"audios": ["a.mp3", "b.mp3"], "duration": 60, **DETAILS}],
    "ai-music-api/replace-section": [
        {"track": "task:t_0001#1", **SECTION, "negative_prompt": "metal"},
        {"audio": "a.mp3", **SECTION},
    ],
    "ai-music-api/separate-vocals": [{"track": "task:t_0001#1", "stem": "drum kit"}, {"audio": "a.mp3"}],
    "bytedance/seedance-2-mini": [
        {"prompt": "a door opens", "image": "a.png", "last_image": "b.png"},
        {"prompt": "a door opens", "web_search": True},
    ],
    "bytedance/seedance-2-5": [
        {"prompt": "a door opens", "image": "a.png", "last_image": "b.png"},
        {"prompt": "a door opens", "images": ["a.png"], "videos": ["b.mp4"], "audios": ["c.mp3"]},
    ],
    "grok-imagine/image-to-video": [
        {"prompt": "a door opens", "images": ["a.png", "b.png"], "aspect_ratio": "1:1"},
        {"image_task": "task:t_0001", "image_index": 1, "mode": "spicy"},
    ],
    "pixverse-v6/image-to-video": [
        {"prompt": "a door opens", "image": "a.png", "second_image": "b.png", "template": "412736208886848"},
    ],
    "pixverse-v6/extend": [{"prompt": "it opens", "video": "a.mp4"}, {"prompt": "it opens", "task_id": "task:t_0001"}],
    "gemini-omni-video": [
        {"prompt": "a door opens", "video": "a.mp4", "video_start": 1, "video_end": 5.5},
        {"prompt": "tom waves", "images": ["a.png"], "characters": ["c1"], "voices": ["v1"], "seed": 7},
        {"prompt": "a door opens", "aspect_ratio": "9:16"},
    ],
    "google/gemini-omni-flash-1-1": [
        {"prompt": "a door opens", "image": "a.png", "last_image": "b.png", "resolution": "360p"},
        {"prompt": "a door opens", "video": "a.mp4", "video_start": 1, "video_end": 5.5},
        {"prompt": "tom waves", "images": ["a.png"], "characters": ["c1"], "voices": ["v1"], "seed": 7},
        {"prompt": "a door opens", "aspect_ratio": "9:16"},
    ],
}
