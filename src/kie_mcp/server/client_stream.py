"""Handle what the SDK's stdio transport handles wrongly: half characters, a client's first requests, the end of stdin.

Half a character is a lone surrogate: one half of a UTF-16 pair, such as U+D83D. JSON strings can contain lone
surrogates, and some clients send them. The SDK's parser refuses the whole line, so the SDK does not know the request's
id and sends no answer. Without this module, the client would wait forever.

The SDK distinguishes two eras: protocol versions before 2026-07-28, and protocol versions from 2026-07-28 on. In the
SDK, a client's first request decides the era of the connection, even if this request only asks what the server
supports. If the client then sends `initialize`, as the client @ai-sdk/mcp does when the answer takes a second, the SDK
refuses every `initialize` until the process ends. Therefore, this module answers the requests in `ERA_NEUTRAL` without
deciding the era. The first answers, which come from answers.json, do not decide the era either.
"""

import json
from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from kie_mcp.server.app import App
from kie_mcp.server.unanswered import Unanswered
from kie_mcp.text import replace_half_characters

ANSWER_SECONDS = 1.5
"""Maximum seconds that the process runs after the client has closed stdin; many hosts kill it after 2 seconds."""

Message = SessionMessage | Exception

ERA_NEUTRAL = ("server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list")
"""Methods of requests that do not decide the era (see above): their answers do not depend on earlier requests."""


class ClientStream:
    """The stream of the client's messages; it repairs half characters, and answers the requests in `ERA_NEUTRAL`."""

    def __init__(
        self,
        incoming: Any,
        outgoing: Any,
        server: Server[App],
        app: App,
        unanswered: Unanswered,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Store the parts of the connection.

        Args:
            incoming: The stream of the client's messages from the SDK's transport.
            outgoing: The stream of messages to the client.
            server: The server of the connection.
            app: The parts that the server's handlers use.
            unanswered: Keeps the ids of the requests that the SDK has received but not answered.
            answer_seconds: Maximum seconds to wait for the SDK's last answers after the client has closed stdin.
        """
        self._incoming = incoming
        self._outgoing = outgoing
        self._server = server
        self._app = app
        self._unanswered = unanswered
        self._answer_seconds = answer_seconds
        self._era_is_open = True

    async def receive(self) -> Message:
        """Return the client's next message; if the next line is no valid message, return the parser's error.

        Raises:
            anyio.EndOfStream: When the client has closed stdin, and all requests are answered or
                `answer_seconds` have passed.
        """
        try:
            received = await self._receive()
        except anyio.EndOfStream:
            await self._unanswered.wait(self._answer_seconds)
            raise
        self._unanswered.take(received)
        return received

    async def _receive(self) -> Message:
        while True:
            received = read_again(await self._incoming.receive())
            if not (self._era_is_open and isinstance(received, SessionMessage)):
                return received
            if not isinstance(received.message, JSONRPCRequest):
                return received
            if received.message.method not in ERA_NEUTRAL:
                self._era_is_open = False
                return received
            await self._answer_apart(received)

    async def _answer_apart(self, request: SessionMessage) -> None:
        """Let the SDK answer a request on a separate connection, so that it does not decide this connection's era."""
        client, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](1)
        outgoing, answers = anyio.create_memory_object_stream[SessionMessage](1)
        async with anyio.create_task_group() as group, client, answers:
            group.start_soon(partial(serve_dual_era_loop, self._server, incoming, outgoing, lifespan_state=self._app))
            await client.send(request)
            await self._outgoing.send(await answers.receive())

    async def aclose(self) -> None:
        """Close the stream."""
        await self._incoming.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def read_again(received: Message) -> Message:
    """Parse a line again if the SDK refused it because of half a character; return all other messages unchanged.

    Half characters stay in the arguments of a tool call, so that the error can name the wrong argument. Elsewhere in
    the line, a question mark replaces each half character, because an answer that contains half a character cannot be
    sent.
    """
    if not isinstance(received, ValidationError):
        return received
    line = received.errors(include_url=False)[0]["input"]
    try:
        parsed = json.loads(line)
        whole = replace_half_characters(json.dumps(parsed, ensure_ascii=False))
        message = jsonrpc_message_adapter.validate_json(whole, by_name=False)
        if parsed.get("method") == "tools/call" and "arguments" in parsed["params"]:
            message.params["arguments"] = parsed["params"]["arguments"]  # type: ignore[union-attr, index]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return received
    return SessionMessage(message)
