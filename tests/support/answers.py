"""Read the answer of a tool as a client does, and check the rules for all answers."""

import json
import re
from collections.abc import Iterator
from typing import Any

from mcp import Client
from mcp_types import CallToolResult

from kie_mcp.sandbox.app import Sandbox


def answer(result: CallToolResult) -> dict[str, Any]:
    """Return structuredContent."""
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def text(result: CallToolResult) -> str:
    """Return the text of a result's only text block; all other blocks must be links."""
    content, *links = result.content
    assert content.type == "text"
    assert {link.type for link in links} <= {"resource_link"}
    return content.text


def count_tokens(result: CallToolResult) -> float:
    """Estimate the tokens of the answer's larger form: bytes divided by 4."""
    structured = json.dumps(result.structured_content, separators=(",", ":"), ensure_ascii=False)
    return max(len(structured.encode()), len(text(result).encode())) / 4


def assert_both_forms_agree(result: CallToolResult) -> None:
    """Check that every fact of either form is in the other, because a host shows only one of the two."""
    (words,) = [block.text for block in result.content if block.type == "text"]
    line = " ".join(re.sub(r"(?m)^ *> ?", "", words).split())
    for name, value in stated_values(answer(result)):
        assert any(each in line for each in spellings(value)), f"{name}: {value!r} is not in {words}"
    stated = f" {' '.join(' '.join(str(value).split()) for _, value in all_values(answer(result)))} ".replace(",", "")
    numbers = {float(value) for _, value in all_values(answer(result)) if isinstance(value, int | float)}
    for fact in facts_of(words):
        number = float(fact) if re.fullmatch(r"\d+(\.\d+)?", fact) else None
        assert number in numbers or fact in stated, f"{fact} is not in {answer(result)}"


def facts_of(words: str) -> Iterator[str]:
    """Yield the words of a text that are facts: numbers, ids, paths and URLs."""
    # Numbers at the beginning of a line are left out: they are positions in a list of files or texts.
    for word in re.sub(r"(?m)^\d+\.( |$)", " ", words).split():
        fact = word.strip("(),.:;'?|>").removeprefix("$").replace(",", "")
        if re.search(r"[\d_/]", fact):
            yield fact


def all_values(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value in an object with its field's name."""
    match value:
        case dict():
            for key, each in value.items():
                yield from ((key, key), *all_values(each, key))
        case list():
            for each in value:
                yield from all_values(each, name)
        case _:
            yield name, value


def stated_values(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that the text has to state, with its field's name."""
    match value:
        case dict() if name == "input_schema":
            yield from ((name, each) for each in value["properties"])
        case dict():
            for key, each in value.items():
                yield from stated_values(each, key)
        case list():
            for each in value:
                yield from stated_values(each, name)
        case _ if name not in NOT_IN_TEXT:
            yield name, value


NOT_IN_TEXT = {"mime_type", "by", "days", "page", "pages", "more", "minutes", "max_seconds"}
"""Fields that the text need not state: the caller knows them from its own arguments or from a file's path."""


def spellings(value: Any) -> set[str]:
    """Return the forms in which the text may state a value."""
    match value:
        case bool() | None:
            # The only fields with these values are `retryable` and `charged`, and the text has sentences for them.
            return {"retryable", "charged"}
        case int() | float():
            return {f"{value:g}", f"{value:,.10g}", str(value)}
        case "quoted":
            return {"Nothing was sent"}
        case str():
            return {" ".join(value.split())}
    raise TypeError(type(value))


async def wait_for_end(client: Client, result: CallToolResult) -> CallToolResult:
    """Wait until the task of an answer has ended, and return the answer of get_task."""
    return await client.call_tool("get_task", {"task_ids": [answer(result)["task_id"]], "wait_seconds": 600})


def assert_refused(result: CallToolResult, sandbox: Sandbox) -> None:
    """Check the answer to a call with wrong arguments: it says what to do, and KIE accepted nothing."""
    assert result.is_error
    error = answer(result)["error"]
    assert error["category"] == "invalid_call"
    assert error["retryable"] is False
    assert error["billed"] is False
    assert error["message"] in text(result)
    assert error["next_step"] in text(result)
    assert "Nothing was charged." in text(result)
    assert sandbox.accepted == []
