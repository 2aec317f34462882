"""Ask a model with an OpenAI- or Anthropic-compatible API which tool it would call. No tool runs; nothing is paid."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import stamina

from evals.data import Situation, Wish

SEARCHES = frozenset({"find_models", "describe_model", "find_voices"})
"""Tools that a model may call first; they make no media and cost nothing."""
SECONDS = 120
BUSY = frozenset({429, 503, 529})
"""HTTP statuses with which an API asks for a pause."""
ATTEMPTS = 5
"""How often a question is asked that the API refuses because it is busy."""
Api = Literal["openai", "anthropic"]


@dataclass(frozen=True)
class Call:
    """A model's tool call."""

    tool: str
    arguments: dict[str, Any]
    unreadable: str = ""
    """The arguments as the model wrote them, if they are no JSON object."""

    @property
    def said(self) -> str:
        """The call as a report shows it."""
        return f"{self.tool} {self.unreadable or json.dumps(self.arguments, ensure_ascii=False)}"


class NoAnswerError(Exception):
    """The model's API gave no answer, or one that is not of its form."""


@dataclass(frozen=True)
class Verdict:
    """The result of one wish or situation."""

    name: str
    verdict: Literal["right", "searches", "talks", "wrong tool", "wrong model", "wrong arguments", "no answer"]
    said: str
    """The model's answer: a tool call or a text."""


def _find_wait(error: Exception) -> float | bool:
    """Tell the library stamina whether to ask again; a number is the seconds to wait before."""
    if not isinstance(error, httpx2.HTTPStatusError) or error.response.status_code not in BUSY:
        return False
    seconds = error.response.headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else True


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
            NoAnswerError: When the model does not answer.
        """
        build, read, path = DIALECTS[self.api]
        try:
            answer = self._post(f"{self.url.rstrip('/')}{path}", {"model": self.name, **build(self, history)})
            return read(answer.json())
        except (httpx2.HTTPError, LookupError, TypeError, ValueError) as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error

    @stamina.retry(on=_find_wait, attempts=ATTEMPTS, timeout=None)
    def _post(self, url: str, body: dict[str, Any]) -> httpx2.Response:
        return self.client.post(url, json=body).raise_for_status()


def open_client(key: str) -> httpx2.Client:
    """Return an HTTP client for a model's API; if the key is empty, no key is sent."""
    headers = {"anthropic-version": "2023-06-01"}
    if key:
        headers |= {"Authorization": f"Bearer {key}", "x-api-key": key}
    return httpx2.Client(headers=headers, timeout=SECONDS)


def judge_wish(model: Model, wish: Wish) -> Verdict:
    """Ask the model for the first call for a wish, and judge the call."""
    try:
        call = model.ask([wish.say])
    except NoAnswerError as error:
        return Verdict(wish.say, "no answer", str(error))
    if isinstance(call, str):
        return Verdict(wish.say, "talks", call)
    said = call.said
    if call.tool not in wish.tools:
        return Verdict(wish.say, "searches" if call.tool in SEARCHES else "wrong tool", said)
    if wish.models and (chosen := call.arguments.get("model")) and chosen not in wish.models:
        return Verdict(wish.say, "wrong model", said)
    # A tool that only searches does not have the arguments of the tool that makes media.
    right = not call.unreadable and (call.tool in SEARCHES or _has(call.arguments, wish.arguments))
    return Verdict(wish.say, "right" if right else "wrong arguments", said)


def judge_situation(model: Model, situation: Situation) -> Verdict:
    """Ask the model for the next call in a situation, and judge the call."""
    first = Call(situation.call["tool"], situation.call["arguments"])
    try:
        call = model.ask([situation.say, first, situation.answer, *filter(None, [situation.then])])
    except NoAnswerError as error:
        return Verdict(situation.name, "no answer", str(error))
    if isinstance(call, str):
        return Verdict(situation.name, "right" if situation.may_talk else "talks", call)
    said = call.said
    named = [each for each in situation.next if each["tool"] == call.tool]
    if not named:
        return Verdict(situation.name, "wrong tool", said)
    right = not call.unreadable and any(_has(call.arguments, each["arguments"]) for each in named)
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
        return _read_call(function["name"], function["arguments"] or {})
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
            return _read_call(part["name"], part["input"])
    return "".join(part["text"] for part in answer["content"] if part["type"] == "text")


def _read_call(tool: str, written: Any) -> Call:
    """Return a tool call with the arguments that a model wrote, as an object or as its JSON text."""
    try:
        arguments = json.loads(written) if isinstance(written, str) else written
    except ValueError:
        arguments = None
    if isinstance(arguments, dict):
        return Call(tool, arguments)
    return Call(tool, {}, written if isinstance(written, str) else json.dumps(written))


Build = Callable[[Model, Sequence[str | Call]], dict[str, Any]]
DIALECTS: dict[str, tuple[Build, Callable[[dict[str, Any]], Call | str], str]] = {
    "openai": (_build_completion, _read_completion, "/chat/completions"),
    "anthropic": (_build_message, _read_message, "/messages"),
}
"""For each API, the function that builds a request, the function that reads the answer, and the URL path."""
