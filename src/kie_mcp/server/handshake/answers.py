"""The answers to a client's first requests, from the generated file answers.json.

Importing the SDK takes most of a second, and a person who opens a chat would have to wait. The first requests of a
client (`initialize` or `server/discover`, and the lists) always have the same answers, so a generated file can contain
these answers. The SDK answers every message that is not clearly one of these requests.
"""

import json
import os
import sys
from contextlib import suppress
from typing import Any, NamedTuple

from kie_mcp import __version__
from kie_mcp.server.handshake import shapes

ANSWERS_PATH = os.path.join(os.path.dirname(__file__), "answers.json")
SIZES = ("standard", "compact", "all")
"""The values of KIE_MCP_TOOLS for which answers.json contains answers."""
WITH_GALLERY = " with gallery"
"""Suffix of a method's name in answers.json, if the answer is only for clients that show the gallery."""


class Reply(NamedTuple):
    """The answer from answers.json to a message."""

    text: str
    """The answer; empty for a notification."""
    changes_connection: bool
    """Whether the SDK has to get the message as well, because the message changes the state of the connection."""


class Client(NamedTuple):
    """The facts about a client that determine which answers it gets."""

    version: str
    """The protocol version."""
    shows_gallery: bool
    """Whether the client shows the gallery; see `client_shows_gallery`."""


class Handshake:
    """Answers the first requests of one connection, and remembers the client's `initialize`."""

    def __init__(self, content: Any, size: str) -> None:
        """Store the answers.

        Args:
            content: The content of answers.json.
            size: The value of KIE_MCP_TOOLS, one of `SIZES`; it determines the tools in tools/list.
        """
        self._content = content
        self._answers = content["answers"][size]
        self._client: Client | None = None
        self.listed = False
        """Whether tools/list was answered."""

    def answer(self, line: str) -> Reply | None:
        """Answer one message of the client; return None if only the SDK can answer it."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if shapes.is_notification(message):
            return Reply("", changes_connection=True)
        if not shapes.is_request(message):
            return None
        method, params = message["method"], message.get("params", {})
        if method == "initialize":
            result = self._initialize(params)
        elif self._client:
            result = self._find(self._client, method) if shapes.is_handshake_params(params) else ""
        else:
            result = self._answer_modern(method, params)
        if not result:
            return None
        self.listed |= method == "tools/list"
        text = f'{{"jsonrpc":"2.0","id":{json.dumps(message["id"])},"result":{result}}}'
        return Reply(text, changes_connection=method == "initialize")

    def _initialize(self, params: Any) -> str:
        if self._client or not shapes.is_initialize_params(params):
            return ""
        version = params["protocolVersion"]
        if "initialize" not in self._answers.get(version, {}):
            version = self._content["latest"]
        self._client = Client(version, self._shows_gallery(params["capabilities"]))
        return self._find(self._client, "initialize")

    def _answer_modern(self, method: str, params: Any) -> str:
        """Return the result of a request with a protocol version in `_meta`; empty if the SDK has to answer."""
        if not shapes.is_modern_params(params):
            return ""
        meta = params["_meta"]
        version = meta[shapes.PROTOCOL_VERSION]
        if "server/discover" not in self._answers.get(version, {}):
            return ""
        return self._find(Client(version, self._shows_gallery(meta[shapes.CAPABILITIES])), method)

    def _shows_gallery(self, capabilities: Any) -> bool:
        gallery = self._content["gallery"]
        types = capabilities.get("extensions", {}).get(gallery["extension"], {}).get("mimeTypes")
        return isinstance(types, list) and gallery["mime_type"] in types

    def _find(self, client: Client, method: str) -> str:
        """Return a method's result for a client; empty if answers.json has no result for this method."""
        answers = self._answers[client.version]
        numbers = answers.get(method, ())
        if client.shows_gallery:
            numbers = answers.get(method + WITH_GALLERY, numbers)
        return "".join(self._content["parts"][number] for number in numbers)


def load_handshake(tools: str, prefix: str) -> Handshake | None:
    """Return the answers from answers.json for these settings; None if the SDK has to give all answers.

    Args:
        tools: The value of KIE_MCP_TOOLS.
        prefix: The value of KIE_MCP_PREFIX.
    """
    size = tools.strip().casefold() or SIZES[0]
    if prefix or size not in SIZES:
        return None
    with suppress(OSError), open(ANSWERS_PATH, encoding="utf-8") as file:
        content = json.load(file)
        own, packages = content["kie_mcp"], content["packages"]
        if own == __version__ and all(is_installed(name, version) for name, version in packages.items()):
            return Handshake(content, size)
    return None


def is_installed(package: str, version: str) -> bool:
    """Return whether Python would import this version of a package.

    The standard library's `importlib.metadata` is not used, because importing it takes longer than sending all answers.
    """
    for folder in sys.path:
        if os.path.isfile(os.path.join(folder, package, "__init__.py")):
            return os.path.isdir(os.path.join(folder, f"{package}-{version}.dist-info"))
    return False


def read_id(line: str) -> Any:
    """Return the id of the request in a line; None if the line contains no request."""
    with suppress(ValueError, RecursionError):
        message = json.loads(line)
        if isinstance(message, dict) and "method" in message:
            return message.get("id")
    return None
