"""What people paste from KIE's pages, read back into the arguments that make it."""

from typing import Any

import pytest
from support.cases import for_each
from support.effort import examples
from support.example_calls import EXAMPLES
from support.random_calls import draw_calls

from kie_mcp.catalog.fields import Ref, Track
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.kie import routes

A, B = "https://files.example/a.png", "https://files.example/b.png"
SHOTS = [{"prompt": "a door", "duration": 3}, {"prompt": "a room", "duration": 2}]


def resolve(ref: Ref) -> str:
    """A song as its own id, as KIE is sent it; all else in the caller's words."""
    return ref.rpartition("#")[2] if isinstance(ref, Track) else str(ref)


def parse(id_: str, arguments: dict[str, Any]) -> KieModel:
    model = MODELS[id_]
    (family,) = (family for family in FAMILIES if model in family.models)
    return family.parse({"model": id_, **arguments})


def comes_back(call: KieModel) -> None:
    fields = call.sent(resolve)
    for way in call.routes:
        pasted = {routes.wire_name(name, way): value for name, value in fields.items()}
        assert parse(call.id, call.received(pasted)).sent(resolve) == fields


@for_each("id_", MODELS)
def test_what_a_model_sends_is_read_back_in_the_spelling_of_every_way(id_: str) -> None:
    accepted = []

    for given in draw_calls(MODELS[id_], examples(15)):
        try:
            call = parse(id_, given)
        except ValueError:
            continue
        comes_back(call)
        accepted.append(call)
    for example in EXAMPLES.get(id_, ()):
        comes_back(parse(id_, example))
    assert accepted or id_ in EXAMPLES


@for_each("id_", MODELS)
def test_our_own_names_are_read_as_they_are(id_: str) -> None:
    for example in EXAMPLES.get(id_, ()):
        assert parse(id_, MODELS[id_].received(example)) == parse(id_, example)


@for_each(
    "id_, pasted, arguments",
    [
        (
            "kling-3.0/video",
            {"prompt": "rain", "multi_prompt": SHOTS, "multi_shots": False, "image_urls": [A, B], "mode": "std"},
            {"prompt": "rain", "image": A, "last_image": B, "resolution": "720p"},
        ),
        (
            "kling-3.0/video",
            {"prompt": "rain", "multiPrompt": SHOTS, "multiShots": True, "image_urls": [A], "kling_elements": []},
            {"shots": SHOTS, "image": A},
        ),
        ("kling-3.0/video", {"shots": SHOTS}, {"shots": SHOTS}),
        (
            "kling-3.0-omni/text-to-video",
            {"prompt": "rain", "customize_multi_shots": False, "multi_prompt": [], "elements": []},
            {"prompt": "rain"},
        ),
        (
            "bytedance/seedance-1.5-pro",
            {"prompt": "rain", "input_urls": [A, B]},
            {"prompt": "rain", "image": A, "last_image": B},
        ),
        ("bytedance/seedance-1.5-pro", {"prompt": "rain", "input_urls": [A]}, {"prompt": "rain", "image": A}),
        (
            "ai-music-api/generate",
            {"prompt": "rain", "customMode": False, "style": "folk", "instrumental": True, "callBackUrl": A},
            {"prompt": "rain", "instrumental": True},
        ),
        (
            "ai-music-api/generate",
            {"prompt": "rain", "custom_mode": True, "style": "folk", "title": "Rain"},
            {"prompt": "rain", "style": "folk", "title": "Rain"},
        ),
        ("ai-music-api/extend", {"defaultParamFlag": False, "audioId": "5c79-8e"}, {"track": "task:-#5c79-8e"}),
        ("ai-music-api/extend", {"audio_id": "5c79-8e", "task_id": "4a1f"}, {"track": "task:4a1f#5c79-8e"}),
        ("ai-music-api/extend", {"track": "task:t1#2"}, {"track": "task:t1#2"}),
        (
            "ai-music-api/convert-to-wav-format",
            {"taskId": "4a1f", "audioId": "5c79-8e"},
            {"track": "task:4a1f#5c79-8e"},
        ),
        ("ai-music-api/separate-vocals", {"audioUrl": A, "type": "separate_vocal"}, {"audio": A}),
    ],
)
def test_an_example_of_kies_is_read_as_kie_would(id_: str, pasted: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert parse(id_, MODELS[id_].received(pasted)) == parse(id_, arguments)


@pytest.mark.parametrize(
    ("id_", "pasted", "message"),
    [
        ("kling-3.0/video", {"prompt": "rain", "image_urls": [A, B, A]}, "image: "),
        ("ai-music-api/convert-to-wav-format", {"taskId": "4a1f"}, "track is required"),
        (
            "google/gemini-3-1-flash-tts",
            {"speakers": [{"speaker_id": "Speaker 1"}], "dialogue_turns": [{"text": "Hi."}]},
            "dialogue.0.speaker",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(id_: str, pasted: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(id_, MODELS[id_].received(pasted))
