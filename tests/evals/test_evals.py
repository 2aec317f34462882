"""The wishes and situations of evals/: a search finds the right tools, and the scorer tells right calls from wrong."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dialects import BusyError, Call, RefusedError, Reply, Turn
from model import serve_model
from support.paths import ROOT

from evals.__main__ import GOAL, main
from evals.data import read_situations, read_wishes
from evals.ranking import FIRST, ToolSearch, rank
from kie_mcp.server.selection import Selection

WISHES = read_wishes()
SITUATIONS = read_situations()
TOOLS: dict[str, dict[str, Any]] = {tool["name"]: tool for tool in Selection("all").tools}
STANDARD = {tool["name"] for tool in Selection("standard").tools}


def test_there_are_sixty_wishes_twelve_of_them_in_other_languages_and_twelve_situations() -> None:
    assert len({wish.say for wish in WISHES}) == len(WISHES) == 60
    assert len({wish.language for wish in WISHES} - {"en"}) == 12
    assert all(bool(wish.search) == (wish.language != "en") for wish in WISHES)
    assert len({each.name for each in SITUATIONS}) == 12


@pytest.mark.parametrize("size", ["standard", "all"])
def test_a_search_finds_a_right_tool_among_the_first_five(size: str) -> None:
    missed = rank(WISHES, Selection(size).tools)
    assert len(WISHES) - len(missed) >= GOAL == 57, [wish.say for wish, _ in missed]


def test_a_search_tells_tools_apart() -> None:
    """A right tool is not found because five tools are shown for anything, or one for everything."""
    search = ToolSearch(Selection("standard").tools)
    assert search.find("xylophone quux") == []
    found = Counter(name for wish in WISHES for name in search.find(wish.search or wish.say))
    assert all(count <= len(WISHES) / 2 for count in found.values())
    assert len(found) > len(STANDARD) / 2
    for wish in WISHES:
        assert len(search.find(wish.say)) <= FIRST


def test_every_tool_model_and_argument_that_is_expected_exists() -> None:
    for wish in WISHES:
        assert wish.tools <= set(TOOLS), wish.say
        assert wish.tools & STANDARD, wish.say
        for tool in wish.tools & STANDARD:
            assert set(wish.arguments) <= set(TOOLS[tool]["inputSchema"]["properties"]), wish.say
        assert wish.models <= {name for tool in wish.tools for name in _list_models(tool)}, wish.say
    for situation in SITUATIONS:
        for call in (situation.call, *situation.next):
            assert set(call["arguments"]) <= set(TOOLS[call["tool"]]["inputSchema"]["properties"]), situation.name
        assert situation.next or situation.may_talk, situation.name


def test_the_refused_call_itself_is_right_only_where_it_is_safe_to_repeat() -> None:
    safe = {each.name for each in SITUATIONS if any(each.call == call for call in each.next)}
    assert safe == {"the client's time is over", "a task failed at KIE and cost nothing"}


def _list_models(tool: str) -> list[str]:
    models: list[str] = TOOLS[tool]["inputSchema"]["properties"].get("model", {}).get("enum", [])
    return models


def answer_well(number: int) -> Reply:
    """Say what a good model says to the n-th question."""
    if number < len(WISHES):
        wish = WISHES[number]
        model = {"model": min(wish.models)} if wish.models else {}
        return Call(min(wish.tools & STANDARD), {"prompt": "x", **wish.arguments, **model})
    situation = SITUATIONS[number - len(WISHES)]
    if not situation.next:
        return "May I?"
    return Call(situation.next[0]["tool"], situation.next[0]["arguments"])


def answer_with_wrong_arguments(number: int) -> Reply:
    reply = answer_well(number)
    return Call(reply.name, {"prompt": "x", "model": "another"}) if isinstance(reply, Call) else reply


@pytest.mark.parametrize(
    ("api", "script", "told"),
    [
        ("openai", answer_well, "72 of 72 right, 0 search first"),
        ("anthropic", answer_well, "72 of 72 right, 0 search first"),
        ("openai", lambda _: "I cannot draw.", "6 of 72 right, 0 search first"),
        ("anthropic", lambda _: Call("find_models", {"words": "fox"}), "4 of 72 right, 56 search first"),
        ("openai", lambda _: Call("make_coffee", {}), "0 of 72 right, 0 search first"),
        ("anthropic", answer_with_wrong_arguments, "wrong arguments"),
    ],
    ids=["good", "good too", "silent", "searching", "inventive", "careless"],
)
def test_the_report_says_how_a_model_does(api: str, script: Callable[[int], Reply], told: str, tmp_path: Path) -> None:
    asked = []

    def reply(turn: Turn) -> Reply:
        assert set(turn.tools) == STANDARD
        asked.append(len(turn.results))
        return script(len(asked) - 1)

    report = tmp_path / "report.md"
    with serve_model(reply) as model:
        address = ["--url", f"{model.url}/v1", "--name", "scripted", "--api", api]
        assert main(["model", *address, "--write", str(report)]) == 0
    # A wish is one question; a situation has one answer of a tool in it.
    assert asked == [0] * 60 + [1] * 12
    assert told in report.read_text(encoding="utf-8")


class BrokenCall(Call):
    """A call whose arguments are no JSON, as small models write them."""

    @property
    def as_text(self) -> str:
        return '{"prompt": "a fox", }'


def test_an_odd_answer_costs_no_other(tmp_path: Path) -> None:
    tool = min(WISHES[9].tools & STANDARD)
    odd: dict[int, Reply | RefusedError] = {9: BrokenCall(tool, {}), 20: BusyError(), 30: RefusedError()}
    asked: list[Turn] = []

    def reply(turn: Turn) -> Reply:
        # A question that the API was too busy for is asked again.
        number = len(asked) - (len(asked) > 20)
        asked.append(turn)
        answer = odd.pop(number, None) or answer_well(number)
        if isinstance(answer, RefusedError):
            raise answer
        return answer

    report = tmp_path / "report.md"
    with serve_model(reply) as model:
        arguments = ["--url", f"{model.url}/v1", "--name", "scripted", "--write", str(report)]
        assert main(["model", *arguments]) == 1
    assert len(asked) == 73
    text = report.read_text(encoding="utf-8")
    assert "70 of 72 right" in text
    assert f'wrong arguments | {tool} {{"prompt": "a fox", }}' in text
    assert "no answer | HTTPStatusError" in text


def test_the_ranking_ends_well_on_the_command_line() -> None:
    command = [sys.executable, "-m", "evals", "ranking"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "of 60 wishes; the goal is 57." in ran.stdout
