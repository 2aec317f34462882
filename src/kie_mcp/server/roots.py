"""Roots: the folders that a client declares (MCP before 2026-07-28), from which this server may then read files."""

from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import ListRootsRequest, Result
from pydantic import BaseModel, ValidationError

ANSWER_SECONDS = 2
"""Maximum seconds that a call waits for the client's roots; after that, the client is treated as one without roots."""


class AnyRoot(BaseModel):
    """A root as the client wrote it; the SDK's class `Root` refuses all roots if one is no `file://` URL."""

    uri: str


class RootList(Result):
    """The client's answer to roots/list."""

    roots: list[AnyRoot]


class Roots:
    """The roots of this process's only client, which are read once and then cached."""

    def __init__(self) -> None:
        self.folders: tuple[Path, ...] = ()
        self._are_known = False
        self._asking = anyio.Lock()

    async def learn(self, context: ServerRequestContext[Any, Any]) -> None:
        """Read the roots from the client if they are not known yet and the client declared the capability `roots`."""
        capabilities = context.session.client_capabilities
        if not capabilities or not capabilities.roots or not context.session.can_send_request:
            return
        async with self._asking:
            if not self._are_known:
                # This comes before the request, because the client may report a change before its answer arrives.
                self._are_known = True
                self.folders = ()
                try:
                    self.folders = await _ask(context)
                except anyio.get_cancelled_exc_class():
                    # Only this call has ended; the next one asks again.
                    self._are_known = False
                    raise

    async def forget(self, *_: object) -> None:
        """Mark the roots as unknown after the client has reported a change, so that the next call asks again."""
        self._are_known = False


async def _ask(context: ServerRequestContext[Any, Any]) -> tuple[Path, ...]:
    """Return the client's roots; a client whose answer is an error or malformed is treated as one without roots."""
    with suppress(MCPError, ValidationError):
        result = await context.session.send_request(ListRootsRequest(), RootList, ANSWER_SECONDS)
        return tuple(Path(url2pathname(place)) for root in result.roots if (place := read_file_url(root.uri)))
    return ()


def read_file_url(url: str) -> str:
    """Return the path in a `file://` URL of this machine, still percent-encoded; empty for all other texts."""
    try:
        address = urlsplit(url)
        is_here = address.scheme == "file" and address.hostname in (None, "localhost", "127.0.0.1", "::1")
    except ValueError:
        return ""
    # VS Code writes `file:///c%3A/Users`, in which `url2pathname()` would not find the drive.
    return address.path.replace("%3A", ":").replace("%3a", ":") if is_here else ""
