"""Arguments that say nothing, or say it as KIE's pages and clients do."""

import math
import re
from typing import Any

import pytest
from support.cases import for_each
from support.example_calls import ARGUMENTS, GIVEN

from kie_mcp.catalog.arguments import find_broken_text, find_endless_number, tidy
from kie_mcp.catalog.fields import RandomLeftOut
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.catalog.schema import walk_annotation

A = "https://files.example/a.png"
EMPTY: list[Any] = ["", "  ", "\n", None, [], [""], [None], ["", " "], {}, [{}], {"prompt": ""}]
LEAVE_RANDOM_OUT = [
    id_
    for id_, model in MODELS.items()
    if "seed" in model.model_fields and RandomLeftOut in walk_annotation(model.model_fields["seed"].annotation)
]


def parse(id_: str, arguments: dict[str, Any]) -> KieModel:
    (family,) = (family for family in FAMILIES if MODELS[id_] in family.models)
    return family.parse({"model": id_, **arguments})


def needed(id_: str) -> dict[str, Any]:
    required = {name: GIVEN[name] for name, field in MODELS[id_].model_fields.items() if field.is_required()}
    return required | ARGUMENTS.get(id_, {})


@for_each("id_", MODELS)
def test_an_empty_optional_argument_is_left_out(id_: str) -> None:
    given = needed(id_)
    call = parse(id_, given)
    optional = [
        name for name, field in MODELS[id_].model_fields.items() if name not in given and not field.is_required()
    ]
    for empty in EMPTY:
        assert parse(id_, given | dict.fromkeys(optional, empty)) == call, empty


@for_each("empty", [*EMPTY, '[""]', "[]", "[null]"])
def test_a_list_that_is_empty_is_left_out_in_whatever_form_it_came(empty: Any) -> None:
    given = {"prompt": "a fox"}
    assert parse("nano-banana-2", {**given, "images": empty}) == parse("nano-banana-2", given)


def test_an_empty_object_keeps_its_place_before_one_that_says_something() -> None:
    """Else the second speaker's voice would be the first one's."""
    assert tidy({"speakers": [{}, {"voice": "Puck"}, {}]}) == {"speakers": [{}, {"voice": "Puck"}]}
    assert tidy({"speakers": [{}, {}]}) == {}


def test_what_is_empty_inside_is_left_out_too() -> None:
    shot, other = {"prompt": "a door", "duration": 3}, {"prompt": "a room", "duration": 2}
    element = {"name": "tom", "description": "he", "images": [A, A]}
    full = {"shots": [shot, other], "image": A, "elements": [element]}
    padded = {
        "shots": [{**shot, "x": ""}, {**other, "x": []}, {}],
        "image": A,
        "elements": [{**element, "voices": [""]}],
    }
    assert parse("kling-3.0/video", padded) == parse("kling-3.0/video", full)


def test_an_empty_list_in_a_list_holds_its_place() -> None:
    boxes = [[], [[0, 0, 9, 9]]]
    call = parse("wan/2-7-image", {"prompt": "a hat", "images": [A, A], "boxes": boxes})
    assert call.sent(str)["bbox_list"] == boxes


def test_no_and_nought_are_no_gaps() -> None:
    said = {"a": False, "b": 0, "c": 0.0, "d": [0], "e": [False], "f": {"g": 0}}
    assert tidy(said) == said


@pytest.mark.parametrize("empty", ["", " ", [], [""]], ids=repr)
def test_an_empty_argument_does_not_choose_the_model(empty: Any) -> None:
    for family in FAMILIES:
        given = needed(family.models[0].id)
        names = {name for model in family.models for name in model.model_fields} - {"model", *given}
        with_gaps = given | dict.fromkeys(sorted(names), empty)
        assert family.parse(with_gaps) == family.parse(given), family.tool


@pytest.mark.parametrize(
    ("id_", "arguments", "message"),
    [
        ("nano-banana-2", {"prompt": ""}, "prompt: String should have at least 1 character"),
        ("nano-banana-2", {"prompt": None}, "prompt is required by nano-banana-2"),
        ("google/nano-banana-edit", {"prompt": "x", "images": []}, "images: "),
        ("google/nano-banana-edit", {"prompt": "x", "images": [""]}, "images.0: "),
        ("kling/v2-1-pro", {"prompt": "x", "image": "  "}, "image: String should have at least 1 character"),
        ("kling-3.0/video", {"shots": [{"prompt": "", "duration": 3}]}, "shots.0.prompt is required"),
    ],
)
def test_what_is_needed_and_empty_is_refused(id_: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(id_, arguments)


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("gemini_omni_video", {"images": [A]}, "prompt is required by gemini-omni-video"),
        ("pixverse_video", {"prompt": "hi", "image": A}, "prompt: String should have at least 3 characters"),
        (
            "suno_separate_vocals",
            {"track": "task:-#abc"},
            "track: KIE wants the id of the song's task too: write task:<id>#<audio id>",
        ),
        (
            "elevenlabs_dialogue",
            {"lines": [{"prompt": "hi", "voice": "Adam", "tone": "x"}]},
            "there is no argument lines.0.tone. It takes voice, prompt",
        ),
    ],
)
def test_a_mistake_is_told_without_the_errors_that_only_follow_from_it(
    tool: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        next(family for family in FAMILIES if family.tool == tool).parse(arguments)


def test_blanks_around_a_name_do_not_count() -> None:
    assert parse("nano-banana-2", {" prompt": "x", "images ": [A], "aspect_ratio\n": "1:1"}) == parse(
        "nano-banana-2", {"prompt": "x", "images": [A], "aspect_ratio": "1:1"}
    )
    with pytest.raises(ValueError, match="does not take promt"):
        parse("nano-banana-2", {"prompt": "x", " promt ": "y"})


def test_many_models_have_no_word_for_a_random_seed() -> None:
    assert len(LEAVE_RANDOM_OUT) > 20


@for_each("random", [-1, "-1", -1.0])
@for_each("id_", LEAVE_RANDOM_OUT)
def test_a_seed_of_minus_one_is_a_random_one(id_: str, random: Any) -> None:
    assert parse(id_, {**needed(id_), "seed": random}) == parse(id_, needed(id_))


@pytest.mark.parametrize("seed", [-2, 2**31, "x", 1.5], ids=repr)
def test_any_other_seed_that_the_model_does_not_have_is_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed: "):
        parse("qwen3/text-to-image", {"prompt": "x", "seed": seed})


def test_arguments_of_any_depth_are_answered() -> None:
    deep: Any = ""
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match="images"):
        parse("nano-banana-2", {"prompt": "x", "images": deep})
    assert find_broken_text({"images": deep}) == ""


def test_half_a_character_is_found_wherever_it_is() -> None:
    assert find_broken_text({"prompt": "a 🦊", "images": ["b"], "n": 1}) == ""
    assert find_broken_text({"prompt": "x", "shots": [{"prompt": "\ud83e"}]}) == "shots.0.prompt"
    assert find_broken_text({"wor\ud83e": "x"}) == "wor?"
    assert find_broken_text({"input_json": r'{"shots": "[{\"prompt\": \"\\ud83e\"}]"}'}) == "input_json.shots.0.prompt"


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, 10**5000], ids=["inf", "-inf", "nan", "long"])
def test_a_number_that_json_does_not_have_is_found_wherever_it_is(number: float) -> None:
    assert find_endless_number({"prompt": "Infinity", "n": 10**300, "weight": -1.5e308, "anyway": True}) == ""
    assert find_endless_number({"prompt": "x", "shots": [{"at": 1}, {"at": number}]}) == "shots.1.at"
    assert find_endless_number({"shots": f'[{{"at": 1{"0" * 400}}}]'}) == "shots.0.at"
