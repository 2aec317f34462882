"""Ask a model with an OpenAI- or Anthropic-compatible API which tool it would call. No tool runs; nothing is paid."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx2

from evals.data import Situation, Wish

SEARCHES = frozenset({"find_models", "describe_model", "find_voices"})
"""Tools that a model may call first; they make no media and cost nothing."""
SECONDS = 120
Api = Literal["openai", "anthropic"]


@dataclass(frozen=True)
class Call:
    """A model's tool call."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The result of one wish or situation."""

    name: str
    verdict: Literal["right", "searches", "talks", "wrong tool", "wrong model", "wrong arguments"]
    said: str
    """The model's answer: a tool call or a text."""


@dataclass(frozen=True)
class Model:
    """A model with its API, and the server's instructions and tools that it gets."""

    url: str
    """URL of the API with its version, such as `http://127.0.0.1:11434/v1`."""
    name: str
    api: Api
    client: httpx2.Client
    """The HTTP client for the API; its headers contain the key, if there is one."""
    instructions: str
    """The instructions that the MCP server sends to clients."""
    tools: Sequence[dict[str, Any]]

    def ask(self, history: Sequence[str | Call]) -> Call | str:
        """Return the model's next call, or its text.

        Args:
            history: The conversation: the user's first message, a tool call, its answer, and the user's next message.

        Raises:
            httpx2.HTTPError: When the model does not answer.
        """
        build, read, path = DIALECTS[self.api]
        answer = self.client.post(f"{self.url.rstrip('/')}{path}", json={"model": self.name, **build(self, history)})
        return read(answer.raise_for_status().json())


def open_client(key: str) -> httpx2.Client:
    """Return an HTTP client for a model's API; if the key is empty, no key is sent."""
    headers = {"anthropic-version": "2023-06-01"}
    if key:
        headers |= {"Authorization": f"Bearer {key}", "x-api-key": key}
    return httpx2.Client(headers=headers, timeout=SECONDS)


def judge_wish(model: Model, wish: Wish) -> Verdict:
    """Ask the model for the first call for a wish, and judge the call."""
    call = model.ask([wish.say])
    if isinstance(call, str):
        return Verdict(wish.say, "talks", call)
    said = f"{call.tool} {json.dumps(call.arguments, ensure_ascii=False)}"
    if call.tool not in wish.tools:
        return Verdict(wish.say, "searches" if call.tool in SEARCHES else "wrong tool", said)
    if wish.models and (chosen := call.arguments.get("model")) and chosen not in wish.models:
        return Verdict(wish.say, "wrong model", said)
    # A tool that only searches does not have the arguments of the tool that makes media.
    right = call.tool in SEARCHES or _has(call.arguments, wish.arguments)
    return Verdict(wish.say, "right" if right else "wrong arguments", said)


def judge_situation(model: Model, situation: Situation) -> Verdict:
    """Ask the model for the next call in a situation, and judge the call."""
    first = Call(situation.call["tool"], situation.call["arguments"])
    call = model.ask([situation.say, first, situation.answer, *filter(None, [situation.then])])
    if isinstance(call, str):
        return Verdict(situation.name, "right" if situation.may_talk else "talks", call)
    said = f"{call.tool} {json.dumps(call.arguments, ensure_ascii=False)}"
    named = [each for each in situation.next if each["tool"] == call.tool]
    if not named:
        return Verdict(situation.name, "wrong tool", said)
    right = any(_has(call.arguments, each["arguments"]) for each in named)
    return Verdict(situation.name, "right" if right else "wrong arguments", said)


def write_report(model: Model, verdicts: Sequence[Verdict]) -> str:
    """Return a report as Markdown: the number of right answers, and a table of the other answers."""
    counts = {kind: sum(each.verdict == kind for each in verdicts) for kind in ("right", "searches")}
    lines = [
        f"# {model.name}: {counts['right']} of {len(verdicts)} right, {counts['searches']} search first",
        "",
        "| asked | verdict | said |",
        "|---|---|---|",
    ]
    wrong = [each for each in verdicts if each.verdict != "right"]
    lines += [f"| {_cell(each.name)} | {each.verdict} | {_cell(each.said)} |" for each in wrong]
    return "\n".join(lines) + "\n"


def _has(given: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Return True if a call has all wanted arguments; `"5"` counts as 5, and a list of one value as this value."""
    return all(name in given and _plain(given[name]) == _plain(value) for name, value in wanted.items())


def _plain(value: Any) -> Any:
    match value:
        case [only]:
            return _plain(only)
        case str():
            return value.strip().lower()
        case bool() | int() | float():
            return str(value).lower().removesuffix(".0")
        case _:
            return value


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:200]


def _build_completion(model: Model, history: Sequence[str | Call]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": model.instructions}]
    for before, each in zip([None, *history], history, strict=False):
        if isinstance(each, Call):
            function = {"name": each.tool, "arguments": json.dumps(each.arguments)}
            messages.append(
                {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
            )
        elif isinstance(before, Call):
            messages.append({"role": "tool", "tool_call_id": "call_1", "content": each})
        else:
            messages.append({"role": "user", "content": each})
    functions = [
        {"name": tool["name"], "description": tool["description"], "parameters": tool["inputSchema"]}
        for tool in model.tools
    ]
    return {"messages": messages, "tools": [{"type": "function", "function": each} for each in functions]}


def _read_completion(answer: dict[str, Any]) -> Call | str:
    message = answer["choices"][0]["message"]
    for call in message.get("tool_calls") or []:
        function = call["function"]
        return Call(function["name"], json.loads(function["arguments"] or "{}"))
    return message.get("content") or ""


def _build_message(model: Model, history: Sequence[str | Call]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for before, each in zip([None, *history], history, strict=False):
        if isinstance(each, Call):
            use = {"type": "tool_use", "id": "call_1", "name": each.tool, "input": each.arguments}
            messages.append({"role": "assistant", "content": [use]})
            continue
        is_result = isinstance(before, Call)
        part = (
            {"type": "tool_result", "tool_use_id": "call_1", "content": each}
            if is_result
            else {"type": "text", "text": each}
        )
        if messages and messages[-1]["role"] == "user":
            messages[-1]["content"].append(part)
        else:
            messages.append({"role": "user", "content": [part]})
    tools = [
        {"name": tool["name"], "description": tool["description"], "input_schema": tool["inputSchema"]}
        for tool in model.tools
    ]
    return {"max_tokens": 2000, "system": model.instructions, "messages": messages, "tools": tools}


def _read_message(answer: dict[str, Any]) -> Call | str:
    for part in answer["content"]:
        if part["type"] == "tool_use":
            return Call(part["name"], part["input"])
    return "".join(part["text"] for part in answer["content"] if part["type"] == "text")


Build = Callable[[Model, Sequence[str | Call]], dict[str, Any]]
DIALECTS: dict[str, tuple[Build, Callable[[dict[str, Any]], Call | str], str]] = {
    "openai": (_build_completion, _read_completion, "/chat/completions"),
    "anthropic": (_build_message, _read_message, "/messages"),
}
"""For each API, the function that builds a request, the function that reads the answer, and the URL path."""
