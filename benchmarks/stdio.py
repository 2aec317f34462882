"""A minimal MCP client on stdio, which is so fast that it does not change the measured times."""

import itertools
import json
import os
from subprocess import Popen
from typing import Any

INHERITED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""The environment for servers; with PYTHONDONTWRITEBYTECODE, each start would compile all modules again."""
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}
_numbers = itertools.count(1)


def initialize(server: Popen[bytes]) -> None:
    """Open the session of a server that was just started."""
    ask(server, "initialize", **INITIALIZE)
    _send(server, {"method": "notifications/initialized"})


def ask(server: Popen[bytes], method: str, **params: object) -> dict[str, Any]:
    """Send a request and return its result; skip notifications that arrive before the result.

    Raises:
        AssertionError: The server answered with an error, or has ended.
    """
    number = send(server, method, **params)
    for line in server.stdout or ():
        answer = json.loads(line)
        if answer.get("id") == number and "result" in answer:
            return dict(answer["result"])
        if "error" in answer:
            raise AssertionError(answer)
    raise AssertionError("the server has ended")


def send(server: Popen[bytes], method: str, **params: object) -> int:
    """Send a request, and return its id."""
    number = next(_numbers)
    _send(server, {"id": number, "method": method, "params": params})
    return number


def close(server: Popen[bytes]) -> None:
    """Close the server's stdin, so that it ends."""
    if server.stdin:
        server.stdin.close()


def _send(server: Popen[bytes], message: dict[str, object]) -> None:
    if not server.stdin:
        raise AssertionError(server)
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    server.stdin.flush()
