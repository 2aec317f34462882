"""What holds for every model and every family of them."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cases import for_each
from support.listed import LISTED

from kie_mcp.catalog import search
from kie_mcp.catalog.arguments import coerce_arguments
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES, MODELS, STANDARD
from kie_mcp.catalog.schema_text import describe_constraint, name_models
from kie_mcp.server.generate import QUICK_SECONDS

TOOLS = {family.tool: family for family in FAMILIES}
ARGUMENTS = {name for family in FAMILIES for name in family.input_schema["properties"]}
EVERY = [(family, model) for family in FAMILIES for model in family.models]

# Sounds that take as long as a video; speech, noises and conversions do not.
MUSIC = {
    *("text-to-music", "extend-music", "cover-music", "mashup-music", "edit-music"),
    *("add-vocals", "add-instrumental", "separate-vocals"),
}

every_model = for_each("model", MODELS.values())
every_family = for_each("family", FAMILIES)


def leaves(model: type[KieModel]) -> Iterator[type[KieModel]]:
    """The classes below that nothing is derived from."""
    below = model.__subclasses__()
    if not below:
        yield model
    for each in below:
        yield from leaves(each)


def tokens(text: str) -> float:
    return len(text.encode()) / 4


def test_every_model_is_behind_a_tool() -> None:
    listed = {model for family in FAMILIES for model in family.models}
    forgotten = {
        model for model in leaves(KieModel) if model.__module__.startswith("kie_mcp.catalog.vendors.")
    } - listed
    assert not forgotten
    assert listed == {model for _, model in EVERY}
    assert set(MODELS.values()) <= listed


def test_each_family_is_found_by_the_name_of_its_tool() -> None:
    assert list(TOOLS) == list(FAMILIES.places)
    assert all(FAMILIES.find(tool) is family for tool, family in TOOLS.items())
    assert FAMILIES.find("get_task") is None


@every_family
def test_a_tool_says_what_it_is_for_in_one_line(family: Family) -> None:
    assert 0 < len(family.about) <= 120
    assert family.about.endswith(".")
    assert family.about not in [other.about for other in FAMILIES if other is not family]


@every_family
def test_a_tool_names_only_tools_that_its_reader_sees(family: Family) -> None:
    named = {word for word in re.findall(r"[a-z0-9]+(?:_[a-z0-9]+)+", family.about) if word not in ARGUMENTS}
    assert named <= set(TOOLS) - {family.tool}
    # Whoever sees the usual tools only must not be sent to another.
    assert family not in STANDARD or named <= {other.tool for other in STANDARD}


@every_family
def test_a_name_means_one_model_of_its_family(family: Family) -> None:
    names = Counter(name.casefold() for model in family.models for name in {model.id, *model.aliases})
    assert names.most_common(1)[0][1] == 1


def test_a_name_means_one_model_of_all_when_it_is_described() -> None:
    names = Counter(name.casefold() for model in MODELS.values() for name in {model.id, *model.aliases})
    assert [name for name, times in names.items() if times > 1] == []


def test_only_the_ghibli_style_and_topaz_s_own_tool_share_ids_with_another_tool() -> None:
    times = Counter(model.id for _, model in EVERY)
    shared = {id_ for id_, number in times.items() if number > 1}
    assert shared == {*(model.id for model in TOOLS["ghibli_image"].models), "topaz/image-upscale"}
    tools = {entry.family.tool for entry in search.list_entries() if entry.model.id in shared}
    assert tools == {"flux_kontext_image", "gpt4o_image", "recraft_upscale"}


@for_each("family, model", EVERY)
def test_a_model_says_what_it_is(family: Family, model: type[KieModel]) -> None:
    assert model.__doc__ is not None
    assert 0 < len(model.__doc__) < 100
    assert "\n" not in model.__doc__
    assert model.__doc__.endswith(".")
    assert model.kind in ("video", "image", "audio", "text")
    assert model.task_type
    assert model.routes
    assert model.service
    assert not model.service.startswith("/")
    assert model.usual_seconds > 0
    assert model.usual_seconds == int(model.usual_seconds)
    assert not model.legacy or model.legacy in TOOLS
    assert family.legacy != family.tool


@every_model
def test_a_model_has_a_price_or_a_reason_why_not(model: type[KieModel]) -> None:
    assert model.price.rates or model.price.note or model.legacy
    estimate = model.default_estimate()
    if estimate.low is not None and estimate.high is not None:
        assert 0 <= estimate.low <= estimate.high


@every_model
def test_what_is_quick_is_waited_for_and_what_is_slow_is_not(model: type[KieModel]) -> None:
    slow = model.kind == "video" or model.task_type in MUSIC
    assert (model.usual_seconds > QUICK_SECONDS) == slow


@pytest.mark.parametrize(
    ("tool", "name", "id_"),
    [
        ("veo_video", "veo3.1-fast", "veo3_fast"),
        ("kling_video", "kling-2.1-pro", "kling/v2-1-pro"),
        ("kling_video", "KLING-2.1-PRO", "kling/v2-1-pro"),
        ("kling_video", " kling-2.5-turbo ", "kling/v2-5-turbo-text-to-video-pro"),
        ("nano_banana_image", "google/nano-banana-pro", "nano-banana-pro"),
        ("nano_banana_image", "google/nano-banana", "google/nano-banana"),
    ],
)
def test_the_names_of_the_model_list_are_understood(tool: str, name: str, id_: str) -> None:
    family = TOOLS[tool]
    (model,) = [each for each in family.models if each.id == id_]
    minimal: dict[str, Any] = {"prompt": "a fox"} | ({"image": "fox.png"} if "image" in required(model) else {})
    assert family.parse({"model": name, **minimal}).id == id_
    entry = search.find_by_name(name)
    assert entry
    assert entry.model.id == id_


@pytest.mark.parametrize(
    ("tool", "field", "said", "meant"),
    [
        ("midjourney_image", "version", "v7", "7"),
        ("midjourney_image", "version", "Niji6", "niji6"),
        ("midjourney_image", "speed", "Relax", "relaxed"),
        ("suno_music", "version", "V4.5", "V4_5"),
        ("suno_music", "version", "v5.5", "V5_5"),
    ],
)
def test_the_values_of_the_model_list_are_understood(tool: str, field: str, said: str, meant: str) -> None:
    assert getattr(TOOLS[tool].parse({"prompt": "a fox", field: said}), field) == meant


def required(model: type[KieModel]) -> set[str]:
    return {name for name, field in model.model_fields.items() if field.is_required()}


@every_family
def test_every_name_of_a_model_leads_to_it_in_any_case(family: Family) -> None:
    for model in family.models:
        for name in (model.id, *model.aliases):
            assert family._choose(f" {name.upper()} ", ()) is model


@every_family
def test_a_tool_s_schema_admits_whatever_one_of_its_models_admits(family: Family) -> None:
    joint = family.input_schema
    for model in family.models:
        schema = model.plain_schema()
        assert set(joint["required"]) <= set(schema.get("required", ()))
        for name, field in schema["properties"].items():
            wide = joint["properties"][name]
            assert wide["type"] == field["type"] or {wide["type"], field["type"]} == {"integer", "number"}
            if field["type"] != "string" and "enum" in field:
                # Choices of numbers are told in words, as not every host takes them.
                choices = field["enum"]
                assert wide.get("minimum", min(choices)) <= min(choices) <= max(choices) <= wide.get("maximum", 10**6)
                continue
            assert set(field.get("enum", ())) <= set(wide.get("enum", field.get("enum", ())))
            assert field.get("minimum", float("-inf")) >= wide.get("minimum", float("-inf"))
            for limit in ("maximum", "maxLength", "maxItems"):
                assert field.get(limit, float("inf")) <= wide.get(limit, float("inf"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_whatever_a_caller_sends_is_a_call_or_a_reason_why_not(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(FAMILIES))
    names = st.sampled_from(list(family.input_schema["properties"])) | st.text(max_size=8)
    arguments = data.draw(st.dictionaries(names, anything, max_size=4))
    with contextlib.suppress(ValueError):
        assert isinstance(family.parse(arguments), family.models)


@for_each(
    "given, schema, meant",
    [
        ("5", {"type": "integer"}, 5),
        ("true", {"type": "boolean"}, True),
        ("five", {"type": "integer"}, "five"),
        ("5", {"type": "string"}, "5"),
        ("5", {}, "5"),
        (" PNG", {"type": "string", "enum": ["png", "jpg"]}, "png"),
        ("4K", {"type": "string", "enum": ["2K"]}, "4K"),
        ('["a", "b"]', {"type": "array"}, ["a", "b"]),
        ("a.png", {"type": "array"}, ["a.png"]),
        ("123", {"type": "array"}, ["123"]),
        ("[1].png", {"type": "array"}, ["[1].png"]),
        ('{"a": 1}', {"type": "array"}, [{"a": 1}]),
        ("[" * 200_000, {"type": "array"}, ["[" * 200_000]),
        (["a"], {"type": "array"}, ["a"]),
    ],
)
def test_what_clients_do_to_arguments_is_undone(given: Any, schema: dict[str, Any], meant: Any) -> None:
    assert coerce_arguments({"it": given}, {"properties": {"it": schema}}) == {"it": meant}


@every_family
def test_an_unknown_model_is_answered_with_the_nearest(family: Family) -> None:
    wanted = [model.id for model in family.models if not model.unlisted][-1]
    with pytest.raises(ValueError, match="Did you mean") as refused:
        family.parse({"model": wanted[:-1] + "zz"})
    assert wanted in str(refused.value)
    with pytest.raises(ValueError, match=f"{family.tool} has no model '€€€'. It has "):
        family.parse({"model": "€€€"})


@every_family
def test_an_unknown_argument_is_answered_with_those_there_are(family: Family) -> None:
    with pytest.raises(ValueError, match=r"does not take nonsense\. It takes "):
        family.parse({"prompt": "x", "nonsense": 1})


def test_an_argument_of_another_model_is_answered_with_where_it_works() -> None:
    with pytest.raises(ValueError, match=r"does not take \w+\. \w+ works with .*kling-3\.0/video"):
        TOOLS["kling_video"].parse({"model": "kling-2.6", "prompt": "x", "elements": [{"name": "tom"}]})


WORDS = st.sampled_from(["kling", "v2", "pro", "text", "to", "video", "image", "3.0"])
# No id has a word twice, and no two ids differ only in their signs.
IDS = st.lists(WORDS, min_size=1, max_size=4, unique=True).flatmap(
    lambda words: st.lists(st.sampled_from("-/"), min_size=len(words), max_size=len(words)).map(
        lambda signs: "".join(sign + word for sign, word in zip(signs, words, strict=True))[1:]
    )
)


@given(everyone=st.lists(IDS, min_size=1, max_size=7, unique_by=lambda id_: id_.replace("/", "-")), data=st.data())
def test_the_words_for_some_models_name_these_and_no_others(everyone: list[str], data: st.DataObject) -> None:
    some = data.draw(st.lists(st.sampled_from(everyone), min_size=1, unique=True))
    assert list_meant(name_models(some, everyone), everyone) == set(some)


@given(data=st.data())
def test_the_words_for_some_models_of_a_tool_name_these_and_no_others(data: st.DataObject) -> None:
    everyone = data.draw(st.sampled_from([list(family.names) for family in FAMILIES]))
    some = data.draw(st.lists(st.sampled_from(everyone), min_size=1, unique=True))
    assert list_meant(name_models(some, everyone), everyone) == set(some)


def list_meant(text: str, everyone: list[str]) -> set[str]:
    """The names that a reader takes the words for: a word before `models` means all that contain it."""
    *exact, last = text.split(", ")
    words = last.removesuffix(" models").split(" and ") if last.endswith(" models") else []
    exact += [] if words else [last]
    named = {
        min((each for each in everyone if re.search(rf"(^|[-/]){re.escape(name)}$", each)), key=len) for name in exact
    }
    parts = [re.compile(rf"(^|[-/]){re.escape(word)}($|[-/])") for word in words]
    return named | {each for each in everyone for part in parts if part.search(each)}


@every_family
def test_clients_see_short_names_of_models_and_each_leads_to_the_mode_that_fits(family: Family) -> None:
    assert sorted(id_ for ids in family.names.values() for id_ in ids) == sorted(
        model.id for model in family.models if not model.unlisted
    )
    models = {model.id: model for model in family.models}
    for name, ids in family.names.items():
        for id_ in ids:
            given = models[id_].model_fields.keys()
            chosen = family._choose(name, given)
            assert chosen.id in ids
            assert given <= chosen.model_fields.keys()


@every_family
def test_notes_about_models_are_words(family: Family) -> None:
    for field in family.input_schema["properties"].values():
        assert "*" not in field.get("description", "")


@pytest.mark.parametrize(
    ("schema", "shown", "words"),
    [
        ({"enum": [5, 10]}, (), "5, 10"),
        ({"enum": ["a", "b"]}, ("a", "b"), "all"),
        ({"enum": ["720p", "1080p"]}, ("720p", "1080p", "4k"), "not 4k"),
        ({"enum": ["4k"]}, ("720p", "1080p", "4k"), "4k"),
        ({"minimum": 0.5, "maximum": 2}, (), "0.5 to 2"),
        ({"maxItems": 3}, (), "up to 3"),
        ({}, (), "any"),
    ],
)
def test_what_a_field_admits_is_spelled_in_few_words(schema: dict[str, Any], shown: Any, words: str) -> None:
    assert describe_constraint(schema, shown) == words


@every_model
def test_a_description_of_a_model_fits_into_600_tokens_and_lists_all_it_takes(model: type[KieModel]) -> None:
    entry = search.find_by_name(model.id.upper())
    assert entry
    assert entry.model is model
    text = search.format_description(search.describe_model(model, entry.family.tool))
    for name, field in model.plain_schema()["properties"].items():
        star = "*" if name in required(model) else ""
        assert f"\n{name}{star}: " in text
        assert all(str(value) in text for value in field.get("enum", ()))
    assert all(alias in text for alias in model.aliases)
    assert str(model.price) in text
    assert tokens(text) <= 600


def test_a_name_that_is_nearly_right_is_near_the_models_it_may_mean() -> None:
    assert search.find_by_name("veo3_fas") is None
    assert search.suggest_ids("veo3_fas")[0] == "veo3_fast"
    assert search.suggest_ids("veo4_fast", ["veo4-fast"])[0] == "veo4-fast"
    assert search.suggest_ids("€") == []


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        ({"query": "kling IMAGE-to"}, lambda m: "kling" in m.id and m.task_type.startswith("image-to-")),
        ({"kind": "audio"}, lambda m: m.kind == "audio"),
        ({"mode": "text-to-speech"}, lambda m: m.task_type == "text-to-speech"),
        ({"max_credits": 5}, lambda m: (m.default_estimate().low or 0) <= 5),
    ],
    ids=["words", "kind", "mode", "price"],
)
def test_a_search_finds_what_was_asked_for(wanted: dict[str, Any], holds: Any) -> None:
    found = [entry.model for entry in search.find_models(**wanted).entries]
    assert found
    assert len(found) < len(search.list_entries())
    assert all(holds(model) for model in found)


def test_a_search_for_nothing_finds_all_with_what_is_legacy_last() -> None:
    legacy = [bool(entry.model.legacy) for entry in search.find_models().entries]
    assert len(search.list_entries()) == len(MODELS)
    assert len(legacy) == len(LISTED)
    assert legacy == sorted(legacy)


def test_a_model_without_a_price_is_never_below_a_limit() -> None:
    unknown = {id_ for id_, model in MODELS.items() if model.default_estimate().low is None}
    assert unknown
    assert not unknown & {entry.model.id for entry in search.find_models(max_credits=1e9).entries}


def test_an_id_that_no_model_has_is_no_key() -> None:
    assert "no-such-model" not in MODELS
    with pytest.raises(KeyError):
        MODELS["no-such-model"]
