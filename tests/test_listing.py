"""The tool list: what it says, how much of a context it takes, that hosts take it, that what is written is fresh."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from kie_mcp.catalog import FAMILIES
from kie_mcp.server import listing
from kie_mcp.server.app import INSTRUCTIONS
from kie_mcp.server.utilities import UTILITIES

README = Path(__file__).parents[1] / "README.md"

GENERATING = [
    "veo_video",
    "sora_video",
    "kling_video",
    "runway_video",
    "runway_aleph",
    "minimax_video",
    "hailuo_video",
    "wan_video",
    "seedance_video",
    "luma_modify",
    "gpt4o_image",
    "flux_kontext_image",
    "midjourney_image",
    "seedream_image",
    "nano_banana_image",
    "qwen_image",
    "ghibli_image",
    "recraft_upscale",
    "recraft_remove_background",
    "elevenlabs_speech",
    "elevenlabs_sound_effect",
    "suno_music",
    "suno_extend",
    "suno_lyrics",
    "suno_separate_vocals",
    "suno_midi",
    "suno_wav",
    "suno_music_video",
    "suno_cover_art",
]
UTILITY = [
    "get_task",
    "list_tasks",
    "get_credits",
    "upload_file",
    "get_download_url",
    "find_models",
    "describe_model",
]

TOOLS = {tool["name"]: tool for tool in listing.tools()}
"""As they would be written now."""

# What several hosts refuse, or drop a tool for.
NOT_PORTABLE = {"anyOf", "oneOf", "allOf", "not", "if", "$ref", "$defs", "definitions", "title", "const", "nullable"}


def schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and all that it is made of."""
    assert isinstance(schema, dict), f"{schema} is no schema object"
    yield schema
    for each in schema.get("properties", {}).values():
        yield from schemas(each)
    if "items" in schema:
        yield from schemas(schema["items"])


@pytest.mark.anyio
async def test_every_tool_is_listed_in_the_order_of_the_catalogue(client: Client) -> None:
    listed = [tool.name for tool in (await client.list_tools()).tools]
    assert listed == [*GENERATING, *UTILITY]
    assert listed == [*(family.tool for family in FAMILIES), *(utility.name for utility in UTILITIES)]
    assert [tool.name for tool in (await client.list_tools()).tools] == listed


@pytest.mark.anyio
async def test_what_clients_see_is_what_the_models_say(client: Client) -> None:
    for tool in (await client.list_tools()).tools:
        assert tool.model_dump(mode="json", by_alias=True, exclude_none=True) == TOOLS[tool.name]


def test_the_written_tool_list_is_fresh() -> None:
    assert listing.TOOLS.read_text(encoding="utf-8") == listing.written(listing.TOOLS)


def test_the_table_in_the_readme_is_fresh() -> None:
    assert README.read_text(encoding="utf-8") == listing.written(README)
    subprocess.run([sys.executable, "-m", "kie_mcp.server.listing", "--check", README], check=True)


def test_the_table_names_every_tool_and_every_model() -> None:
    table = listing.table()
    for family in FAMILIES:
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{family.tool}` |")]
        assert all(f"`{model.id}`" in row for model in family.models)
        assert ("legacy" in row) == bool(family.legacy)
    assert all(f"| `{name}` |" in table for name in UTILITY)


def test_checking_names_what_is_stale_and_writing_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_the_written_tool_list_is_fresh()
    document = tmp_path / "DOC.md"
    document.write_text(f"Before.\n{listing.START}\nold\n{listing.END}\nAfter — ü.\n", encoding="utf-8")
    assert listing.main(["--check", str(document)]) == 1
    assert "DOC.md is stale" in capsys.readouterr().err
    assert "old" in document.read_text(encoding="utf-8")
    assert listing.main([str(document)]) == 0
    written = document.read_text(encoding="utf-8")
    assert written == f"Before.\n{listing.START}\n{listing.table()}\n{listing.END}\nAfter — ü.\n"
    assert listing.main(["--check", str(document)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_fits_into_600_tokens(name: str) -> None:
    tool = TOOLS[name]
    assert listing.tokens({key: tool[key] for key in ("name", "description", "inputSchema")}) <= 600


def test_the_whole_list_fits_into_10500_tokens() -> None:
    assert sum(map(listing.tokens, TOOLS.values())) <= 10_500


def test_the_instructions_stay_under_300_tokens() -> None:
    assert len(INSTRUCTIONS.encode()) / 4 < 300


@pytest.mark.parametrize("name", TOOLS)
def test_every_host_takes_the_schema(name: str) -> None:
    root = TOOLS[name]["inputSchema"]
    assert root["type"] == "object"
    assert set(root["required"]) <= set(root["properties"])
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name)
    assert len(name) <= 40
    for schema in schemas(root):
        assert not NOT_PORTABLE & schema.keys()
        assert schema.get("type") in {"object", "array", "string", "integer", "number", "boolean"}
        assert ("items" in schema) == (schema["type"] == "array")
        assert ("properties" in schema) == (schema["type"] == "object")
        assert None not in (*schema.get("enum", ()), schema.get("default", 0))
        assert not isinstance(schema.get("additionalProperties"), dict)
        for argument in schema.get("properties", ()):
            assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", argument)
            assert len(argument) <= 40


@pytest.mark.parametrize("name", TOOLS)
def test_the_schema_is_plain_json(name: str) -> None:
    assert json.loads(json.dumps(TOOLS[name], allow_nan=False)) == TOOLS[name]


@pytest.mark.parametrize("name", GENERATING)
def test_what_spends_credits_is_not_read_only(name: str) -> None:
    hints = TOOLS[name]["annotations"]
    assert hints["readOnlyHint"] is False
    assert hints["openWorldHint"] is True
    assert not hints.get("idempotentHint")


def test_of_the_other_tools_only_the_upload_changes_anything() -> None:
    assert [name for name in UTILITY if not TOOLS[name]["annotations"]["readOnlyHint"]] == ["upload_file"]


@pytest.mark.parametrize("name", TOOLS)
def test_a_description_is_short_and_says_when_a_tool_is_legacy(name: str) -> None:
    description = TOOLS[name]["description"]
    legacy = {family.tool for family in FAMILIES if family.legacy}
    assert 0 < len(description) <= 400
    assert description.startswith("Legacy:") == (name in legacy)
    assert description.endswith(".")
