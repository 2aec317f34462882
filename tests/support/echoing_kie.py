"""A fake KIE that puts a given text into every string of its answers."""

import json
import re
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STRUCTURE = frozenset(
    {"taskId", "recordId", "state", "status", "successFlag", "type", "model", "slug", "taskType", "$ref", "format"}
)
"""Names of fields whose strings stay unchanged, because an answer would not work without them."""


class EchoingKie:
    """A fake KIE that sends the answers of another fake KIE, with a text in every string that may be changed."""

    def __init__(self, app: ASGIApp, echo: str, *, raw: bool = False) -> None:
        r"""Store the arguments.

        Args:
            app: The fake KIE whose answers are changed.
            echo: The text to put into the strings.
            raw: True if the text already has the escapes of a JSON string, such as `\u0041`.
        """
        self._app = app
        self._written = echo if raw else json.dumps(echo)[1:-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        start: Message = {}

        async def change(message: Message) -> None:
            nonlocal body, start
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            changed = self._change_body(body)
            headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
            await send({**start, "headers": [*headers, (b"content-length", str(len(changed)).encode())]})
            await send({"type": "http.response.body", "body": changed})

        await self._app(scope, receive, change)

    def _change_body(self, body: bytes) -> bytes:
        if not body.startswith((b"{", b"[")):
            return body
        marked = json.dumps(mark(json.loads(body)), ensure_ascii=False)
        # A text in a JSON string that contains JSON needs more backslashes; the number in the mark is this depth.
        return re.sub(r"@@(\d)@@", lambda found: write_nested(self._written, int(found[1])), marked).encode(
            "utf-8", "surrogatepass"
        )


def write_nested(written: str, depth: int) -> str:
    """Escape the content of a JSON string again, `depth` times, for JSON texts inside JSON strings."""
    for _ in range(depth):
        written = json.dumps(written)[1:-1]
    return written


def mark(value: Any, name: str = "", depth: int = 0) -> Any:
    """Return a copy of a JSON value with a mark in each string that may be changed; the mark contains the depth."""
    match value:
        case dict() if name == "openapi":
            # A schema in which other strings are changed would not be valid any more.
            return json.loads(json.dumps(value).replace('"description": "', f'"description": "@@{depth}@@ '))
        case dict():
            return {key: mark(each, key, depth) for key, each in value.items()} | {f"@@{depth}@@": f"@@{depth}@@"}
        case list():
            return [mark(each, name, depth) for each in value]
        case str() if name in STRUCTURE:
            return value
        case str() if value.startswith("http"):
            return f"{value}?k=@@{depth}@@"
        case str() if value.startswith("{"):
            return json.dumps(mark(json.loads(value), name, depth + 1), ensure_ascii=False)
        case str():
            return f"@@{depth}@@ {value} @@{depth}@@"
        case _:
            return value
