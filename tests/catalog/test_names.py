"""The names by which people know models, and what the README says that things cost."""

import pytest

from kie_mcp.catalog.cost_table import EXAMPLES, format_costs
from kie_mcp.catalog.names import list_names, name_model
from kie_mcp.catalog.registry import FAMILIES, MODELS

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


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.model)
def test_an_example_of_costs_is_a_call_that_its_model_takes(example: object) -> None:
    assert isinstance(example, type(EXAMPLES[0]))
    assert set(example.arguments) <= set(MODELS[example.model].model_fields)
    assert not MODELS[example.model].legacy
