"""Read the wishes and situations of this folder."""

import json
import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ANSWERS = HERE.parent / "tests" / "snapshots" / "answers"
"""Folder of the snapshots of the server's present answers."""


@dataclass(frozen=True)
class Wish:
    """A user's request, and the tools and arguments that are right for it."""

    say: str
    tools: frozenset[str]
    language: str = "en"
    search: str = ""
    """The words with which a model would search for a tool; empty to search with `say`."""
    models: frozenset[str] = frozenset()
    """The models of KIE that are right; empty if every model is right."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """The arguments that a call must have."""


@dataclass(frozen=True)
class Situation:
    """A conversation up to a tool's answer, and the calls that are right after it."""

    name: str
    say: str
    """What the user asked for."""
    call: dict[str, Any]
    """The model's call, with `tool` and `arguments`."""
    answer: str
    """The tool's answer to the call."""
    next: tuple[dict[str, Any], ...]
    """The right next calls, each with `tool` and the `arguments` that it must have."""
    may_talk: bool = False
    """True if a text for the user, without a call, is right too."""
    then: str = ""
    """What the user says after the answer; empty if nothing."""


@cache
def read_wishes() -> tuple[Wish, ...]:
    """Return the wishes; a name of a group in their tools is replaced by the tools of the group."""
    data = tomllib.loads((HERE / "wishes.toml").read_text(encoding="utf-8"))
    groups: dict[str, list[str]] = data["groups"]
    return tuple(
        Wish(**{**each, "tools": _expand(each["tools"], groups), "models": frozenset(each.get("models", ()))})
        for each in data["wish"]
    )


@cache
def read_situations() -> tuple[Situation, ...]:
    """Return the situations, each with the text that the server answers today."""
    data = tomllib.loads((HERE / "situations.toml").read_text(encoding="utf-8"))
    return tuple(
        Situation(**{**each, "answer": _read_answer(each["answer"]), "next": tuple(each.get("next", ()))})
        for each in data["situation"]
    )


def _expand(names: list[str], groups: dict[str, list[str]]) -> frozenset[str]:
    return frozenset(tool for name in names for tool in groups.get(name, [name]))


def _read_answer(name: str) -> str:
    """Return the text of the snapshot with this name; if `name` contains a blank, it is the answer itself."""
    if re.search(r"\s", name):
        return name
    content = json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))["content"]
    return "".join(block["text"] for block in content if block["type"] == "text")
