"""What a request to a chat model says, and the answer to it, in the dialects of the model vendors' APIs."""

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
WISH = re.compile(r"\[wish:(\w+)\]")
BASE64 = re.compile(r"[A-Za-z0-9+/=_-]{1000,}")


@dataclass
class Result:
    """What the model gets of one tool call."""

    text: str = ""
    pictures: int = 0
    """The number of pictures that the model gets as pictures."""

    @property
    def base64(self) -> int:
        """The number of characters of pictures that the model gets as text."""
        return sum(map(len, BASE64.findall(self.text)))


@dataclass
class Turn:
    """One request to the model."""

    wish: str = ""
    """The wish that the user's last message names."""
    tools: dict[str, Json] = field(default_factory=dict)
    """The JSON schema of each tool's arguments, by the tool's full name."""
    tools_size: int = 0
    """The number of characters of all tools, as JSON."""
    results: list[Result] = field(default_factory=list)
    """The results of the tool calls since the wish."""

    def hear(self, text: str) -> None:
        """Take a text of the user, which may name a wish."""
        if named := WISH.findall(text):
            self.wish, self.results = named[-1], []

    def show(self) -> None:
        """Take a picture that stands after a tool's result."""
        if self.results:
            self.results[-1].pictures += 1


@dataclass(frozen=True)
class Call:
    """A call of a tool."""

    name: str
    arguments: Json

    @property
    def as_text(self) -> str:
        """The arguments as JSON text."""
        return json.dumps(self.arguments)


Reply = Call | str
"""The model's answer: a call or a text."""


def parts_of(content: Any) -> list[Json]:
    """Return a content as a list of parts, whether it is one already, a text, or nothing."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part if isinstance(part, dict) else {"type": "text", "text": str(part)} for part in content or []]


class RefusedError(ValueError):
    """A request that every vendor's API refuses."""

    status = 400


class BusyError(RefusedError):
    """A request that the API refuses for now; it may be repeated at once."""

    status = 429


def read_parts(content: Any) -> Result:
    """Return what the parts of a tool's result say; a part of unknown type counts as its JSON text.

    Raises:
        RefusedError: A picture or file has an address that no vendor's API can read.
    """
    result = Result()
    for part in parts_of(content):
        kind = part.get("type", "")
        if kind not in {"text", "input_text"} and '"kie://' in json.dumps(part):
            raise RefusedError(f"The model's API cannot read a kie:// address in a part of type {kind}.")
        if "image" in kind:
            result.pictures += 1
        else:
            result.text += part["text"] if "text" in part else json.dumps(part)
    return result


def events(parts: Sequence[Json], *, named: bool) -> bytes:
    """Return the parts as server-sent events; `named` events carry their type as their name."""
    names = (f"event: {part['type']}\n" if named else "" for part in parts)
    return "".join(f"{name}data: {json.dumps(part)}\n\n" for name, part in zip(names, parts, strict=True)).encode()


class Completions:
    """OpenAI's Chat Completions."""

    path = "/chat/completions"

    @staticmethod
    def read(body: Json) -> Turn:
        """Return what a request says."""
        functions = [tool["function"] for tool in body.get("tools") or []]
        turn = Turn(tools={each["name"]: each.get("parameters") or {} for each in functions})
        for message in body["messages"]:
            if message["role"] == "tool":
                turn.results.append(read_parts(message["content"]))
            elif message["role"] == "user":
                said = read_parts(message["content"])
                turn.hear(said.text)
                for _ in range(said.pictures):
                    turn.show()
        return turn

    @staticmethod
    def answer(reply: Reply, *, streams: bool) -> bytes:
        """Return the answer, streamed or not."""
        message: Json = {"role": "assistant", "content": reply if isinstance(reply, str) else None}
        if isinstance(reply, Call):
            function = {"name": reply.name, "arguments": reply.as_text}
            message["tool_calls"] = [{"index": 0, "id": new_id("call"), "type": "function", "function": function}]
        end = {"finish_reason": "stop" if isinstance(reply, str) else "tool_calls", "index": 0, "logprobs": None}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        frame = {"id": new_id("chatcmpl"), "created": 0, "model": "scripted", "usage": usage}
        if not streams:
            whole = {**frame, "object": "chat.completion", "choices": [{"message": message, **end}]}
            return json.dumps(whole).encode()
        pieces: tuple[Json, Json] = ({"delta": message, **end, "finish_reason": None}, {"delta": {}, **end})
        chunks = [{**frame, "object": "chat.completion.chunk", "choices": [piece]} for piece in pieces]
        return events(chunks, named=False) + b"data: [DONE]\n\n"


class Responses:
    """OpenAI's Responses."""

    path = "/responses"

    @staticmethod
    def read(body: Json) -> Turn:
        """Return what a request says; a namespace's tools have the namespace before their names."""
        turn = Turn()
        for tool in body.get("tools") or []:
            for each in tool.get("tools", [tool]):
                prefix = tool["name"] + "__" if "tools" in tool else ""
                turn.tools[prefix + each.get("name", "")] = each.get("parameters") or {}
        items = body["input"]
        for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
            if item.get("type") == "function_call_output":
                turn.results.append(read_parts(item["output"]))
            elif item.get("role") == "user":
                turn.hear(read_parts(item["content"]).text)
        return turn

    @staticmethod
    def answer(reply: Reply, *, streams: bool) -> bytes:
        """Return the answer, streamed or not."""
        item: Json = {"id": new_id("item"), "status": "completed"}
        if isinstance(reply, Call):
            namespace, _, name = reply.name.rpartition("__")
            item |= {"type": "function_call", "call_id": new_id("call"), "name": name, "arguments": reply.as_text}
            item |= {"namespace": namespace} if namespace else {}
        else:
            content = [{"type": "output_text", "text": reply, "annotations": [], "logprobs": []}]
            item |= {"type": "message", "role": "assistant", "content": content}
        usage: Json = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        whole: Json = {"id": new_id("resp"), "object": "response", "created_at": 0, "model": "scripted"}
        whole |= {"status": "completed", "output": [item], "usage": usage, "parallel_tool_calls": False}
        whole |= {"tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None}
        if not streams:
            return json.dumps(whole).encode()
        steps: list[Json] = [
            {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
        return events([{**step, "sequence_number": n} for n, step in enumerate(steps)], named=True)


class Messages:
    """Anthropic's Messages."""

    path = "/messages"

    @staticmethod
    def read(body: Json) -> Turn:
        """Return what a request says."""
        turn = Turn(tools={each["name"]: each.get("input_schema") or {} for each in body.get("tools") or []})
        for message in body["messages"]:
            for part in parts_of(message["content"]) if message["role"] == "user" else []:
                if part["type"] == "tool_result" and '"tool_reference"' in json.dumps(part):
                    continue  # Claude Code has loaded a tool.
                if part["type"] == "tool_result":
                    turn.results.append(read_parts(part.get("content")))
                elif part["type"] == "image":
                    turn.show()
                else:
                    turn.hear(part.get("text", ""))
        return turn

    @staticmethod
    def answer(reply: Reply, *, streams: bool) -> bytes:
        """Return the answer, streamed or not."""
        block: Json = {"type": "text", "text": reply}
        delta: Json = {"type": "text_delta", "text": reply}
        if isinstance(reply, Call):
            block = {"type": "tool_use", "id": new_id("toolu"), "name": reply.name, "input": reply.arguments}
            delta = {"type": "input_json_delta", "partial_json": reply.as_text}
        end = {"stop_reason": "end_turn" if isinstance(reply, str) else "tool_use", "stop_sequence": None}
        frame: Json = {"id": new_id("msg"), "type": "message", "role": "assistant", "model": "scripted"}
        frame |= {"usage": {"input_tokens": 1, "output_tokens": 1}}
        if not streams:
            return json.dumps({**frame, **end, "content": [block]}).encode()
        empty: Json = {**block, "text": ""} if isinstance(reply, str) else {**block, "input": {}}
        steps: list[Json] = [
            {"type": "message_start", "message": {**frame, "content": [], "stop_reason": None, "stop_sequence": None}},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
        return events(steps, named=True)


class GenerateContent:
    """Google's generateContent."""

    path = ":generateContent"

    @staticmethod
    def read(body: Json) -> Turn:
        """Return what a request says."""
        turn = Turn()
        for each in (each for tool in body.get("tools") or [] for each in tool.get("functionDeclarations", [])):
            turn.tools[each["name"]] = each.get("parametersJsonSchema") or each.get("parameters") or {}
        for part in user_parts(body["contents"]):
            if answer := part.get("functionResponse"):
                turn.results.append(Result(json.dumps(answer["response"]), len(answer.get("parts", []))))
            elif "inlineData" in part:
                turn.show()
            else:
                turn.hear(part.get("text", ""))
        return turn

    @staticmethod
    def answer(reply: Reply, *, streams: bool) -> bytes:
        """Return the answer, streamed or not."""
        part: Json = {"text": reply}
        if isinstance(reply, Call):
            part = {"functionCall": {"id": new_id("call"), "name": reply.name, "args": reply.arguments}}
        candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        whole = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"}
        return events([whole], named=False) if streams else json.dumps(whole).encode()


def user_parts(contents: Any) -> Iterator[Json]:
    """Yield the parts that are not the model's own."""
    for content in contents:
        if content.get("role") != "model":
            yield from content["parts"]


Dialect = type[Completions | Responses | Messages | GenerateContent]
DIALECTS: tuple[Dialect, ...] = (Completions, Responses, Messages, GenerateContent)


def new_id(kind: str) -> str:
    """Return an id as the vendors make them."""
    return f"{kind}_{uuid.uuid4().hex[:24]}"
