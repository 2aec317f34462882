"""The names by which people know models, and what the README says that things cost."""

import re

import pytest
from support.cases import for_each
from support.paths import ROOT

from kie_mcp.catalog.cost_table import EXAMPLES, format_costs
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.names import UnknownModel, find_called, find_similar, list_names, name_model
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.kie.snapshot import read_shipped_snapshot

LONGEST_NAME = 26


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("ai-music-api/generate", "Suno V5.5"),
        ("ai-music-api/add-vocals", "Suno V4.5+"),
        ("ai-music-api/validation-phrase", "Suno voice"),
        ("kling-3.0/video", "Kling 3.0"),
        ("grok-imagine-video-1-5-preview", "Grok Imagine 1.5"),
        ("mj_txt2img", "Midjourney"),
    ],
)
def test_a_model_has_the_name_that_people_know(id_: str, name: str) -> None:
    assert name_model(MODELS[id_]) == name


def test_every_model_has_a_short_name_with_a_capital_letter() -> None:
    names = {model.id: name_model(model) for model in MODELS.values()}
    assert {id_: name for id_, name in names.items() if not name[:1].isupper() or len(name) > LONGEST_NAME} == {}


def test_models_of_one_name_are_told_together() -> None:
    veo, kling = (next(each for each in FAMILIES if each.tool == tool) for tool in ("veo_video", "kling_video"))
    assert list_names(veo.models[:2]) == "Veo 3.1 Fast (`veo3_fast`); Veo 3.1 Quality (`veo3`)"
    assert "Kling 2.6 (`kling-2.6/text-to-video`, `kling-2.6/image-to-video`)" in list_names(kling.models)


def test_costs_are_told_in_credits_and_in_cents_or_dollars() -> None:
    table = format_costs()
    assert "| a picture | Nano Banana 2.1 | 4 | 2 ¢ |" in table
    assert "| Veo 3.1 Quality | 250 | $1.25 |" in table
    assert "?" not in table


@for_each("example", EXAMPLES)
def test_an_example_of_costs_is_a_call_that_its_model_takes(example: object) -> None:
    assert isinstance(example, type(EXAMPLES[0]))
    assert set(example.arguments) <= set(MODELS[example.model].model_fields)
    assert not MODELS[example.model].legacy


def find_family(tool: str) -> Family:
    family = FAMILIES.find(tool)
    assert family
    return family


@for_each(
    "tool, name, given, id_",
    [
        ("veo_video", "Veo 3.1", {}, "veo3"),
        ("veo_video", "Veo 3.1 Fast", {}, "veo3_fast"),
        ("kling_video", "Kling 3", {}, "kling-3.0/video"),
        ("kling_video", "Kling v3.0", {}, "kling-3.0/video"),
        ("kling_video", "Kling 3.0 image to video", {"image": "fox.png"}, "kling-3.0/video"),
        ("kling_video", "Kling 2.5 Turbo", {}, "kling/v2-5-turbo-text-to-video-pro"),
        ("kling_video", "Kling 2.5 Turbo", {"image": "fox.png"}, "kling/v2-5-turbo-image-to-video-pro"),
        ("kling_video", "Kling 2.5 Turbo Pro", {}, "kling/v2-5-turbo-text-to-video-pro"),
        ("kling_video", "Kling 2.5 Turbo Pro", {"image": "fox.png"}, "kling/v2-5-turbo-image-to-video-pro"),
        ("wan_video", "wan2.7-i2v", {"image": "fox.png"}, "wan/2-7-image-to-video"),
        ("wan_video", "Wan 2.7 Text to Video", {}, "wan/2-7-text-to-video"),
        ("seedance_video", "bytedance/seedance-1-pro", {}, "bytedance/v1-pro-text-to-video"),
        ("seedance_video", "Seedance 1.0 Pro", {"image": "fox.png"}, "bytedance/v1-pro-image-to-video"),
        ("hailuo_video", "Hailuo 2.3 Pro", {"image": "fox.png"}, "hailuo/2-3-image-to-video-pro"),
        ("kling_motion", "Kling 2.6", {"image": "fox.png", "video": "dance.mp4"}, "kling-2.6/motion-control"),
        ("gpt_image", "GPT Image 2", {"images": ["fox.png"]}, "gpt-image-2-image-to-image"),
        ("grok_image", "Grok Imagine", {}, "grok-imagine/text-to-image"),
        ("grok_image", "Grok Imagine", {"images": ["fox.png"]}, "grok-imagine/image-to-image"),
        ("ideogram_image", "Ideogram Character", {"character": "fox.png"}, "ideogram/character"),
    ],
)
def test_a_model_is_called_as_people_write_its_name(tool: str, name: str, given: dict[str, object], id_: str) -> None:
    family = find_family(tool)
    assert family.parse({"model": name, "prompt": "a fox", **given}).id == id_


@for_each("model", MODELS.values())
def test_the_title_of_a_model_in_its_tool_leads_to_no_model_with_another_title(model: type[KieModel]) -> None:
    title = name_model(model)
    called = find_called(title, MODELS.find_family(model.id).models)
    assert title in map(name_model, called)
    assert len(called) == 1 or model in called


def test_the_names_in_the_readme_are_names_of_one_model_each() -> None:
    (told,) = re.findall(r"Name one if you like: (.+) and \[", (ROOT / "README.md").read_text(encoding="utf-8"))
    called = {name: len(find_called(name, MODELS.values())) for name in told.split(", ")}
    assert called == dict.fromkeys(called, 1)


def test_the_titles_of_kie_s_pages_are_names_of_their_models() -> None:
    offered = read_shipped_snapshot().models
    wrong = {
        id_: title
        for id_, title in ((each.id, each.title) for each in offered.values())
        if [model.id for model in find_called(title, MODELS.values())] != [id_]
    }
    # People write "Veo 3.1" for the full model of that version, which has this alias.
    assert wrong == {"veo-3-1": "Veo 3 1"}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("Kling 2.6 text to video", {"image": "fox.png"}),
        ("kling-2.6/text-to-video", {"image": "fox.png"}),
        ("Kling 2.6 i2v", {}),
    ],
)
def test_a_name_that_says_a_mode_runs_no_other_mode(name: str, given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="image"):
        find_family("kling_video").parse({"model": name, "prompt": "a fox", **given})


def test_a_name_that_several_fitting_models_share_is_refused_with_their_ids() -> None:
    given = {"model": "Wan 2.2 Animate", "image": "fox.png", "video": "dance.mp4"}
    with pytest.raises(ValueError, match=r"is the name of wan/2-2-animate-move and wan/2-2-animate-replace: give one"):
        find_family("wan_animate").parse(given)


@pytest.mark.parametrize(
    ("tool", "name", "given", "words"),
    [
        ("kling_video", "kling 2.6 pro", {"image": "fox.png"}, "Did you mean kling-2.6/image-to-video?"),
        ("kling_video", "kling 2.6 pro", {}, "Did you mean kling-2.6/text-to-video?"),
        ("wan_video", "wan 2.5 turbo", {"image": "fox.png"}, "Did you mean wan/2-5-image-to-video?"),
        ("seedance_video", "doubao-seedance-2-5-pro", {}, "Did you mean bytedance/seedance-2-5?"),
    ],
)
def test_a_wrong_name_is_answered_with_the_ids_of_that_version_that_fit_the_call(
    tool: str, name: str, given: dict[str, object], words: str
) -> None:
    with pytest.raises(UnknownModel) as refused:
        find_family(tool).parse({"model": name, "prompt": "a fox", **given})
    assert words in str(refused.value)


def test_numbers_of_another_brand_are_no_reason_to_name_it() -> None:
    similar = find_similar("Seedance 3 pro", MODELS)
    assert similar
    assert all("v1" in id_ or "seedance" in id_ for id_ in similar[:4])
