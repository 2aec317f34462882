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
"""What the server answers today, word for word."""


@dataclass(frozen=True)
class Wish:
    """What somebody asks for, and what may answer it."""

    say: str
    tools: frozenset[str]
    language: str = "en"
    search: str = ""
    """The words that a model writes to search for a tool; empty if these are the wish's own."""
    models: frozenset[str] = frozenset()
    """The models that may run; empty if any may, or the default."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """The arguments that a call must have."""


@dataclass(frozen=True)
class Situation:
    """A conversation that has come to an answer, and what a model may do then."""

    name: str
    say: str
    """What the user asked for."""
    call: dict[str, Any]
    """The model's call, with `tool` and `arguments`."""
    answer: str
    """What the call came back with."""
    next: tuple[dict[str, Any], ...]
    """The calls that are right now, each with `tool` and the `arguments` that it must have."""
    may_talk: bool = False
    """True if telling or asking the user is right too."""
    then: str = ""
    """What the user says after the answer; empty if nothing."""


@cache
def read_wishes() -> tuple[Wish, ...]:
    """Return the wishes, with each group replaced by its tools."""
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
    """Return the text of a golden answer; a text with a blank stands for itself."""
    if re.search(r"\s", name):
        return name
    content = json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))["content"]
    return "".join(block["text"] for block in content if block["type"] == "text")
