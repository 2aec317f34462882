"""Start a server as a client does, and measure how soon it answers."""

import json
import re
import subprocess
import time
from contextlib import suppress

import anyio
from anyio.abc import Process

from kie_mcp.child_process import build_environment
from kie_mcp.install.entry import Server

REQUEST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "kie-mcp doctor", "version": "1"},
    },
}
ANSWER_SECONDS = 30
"""Maximum seconds to wait for the first answer; some clients stop waiting after this time."""
MAX_BYTES = 1_000_000
ERROR = re.compile(r"\w*error:", re.IGNORECASE)
"""Matches the beginning of a line such as `error: …` or `ValueError: …`."""


async def measure_start(server: Server, seconds: float = ANSWER_SECONDS) -> float:
    """Start a server, measure the seconds until it answers the first request, and stop it.

    Raises:
        OSError: When the program cannot be started.
        TimeoutError: When the server does not answer in time.
        ValueError: When the server ends without an answer, or gives a wrong answer; the message says what happened.
    """
    begin = time.monotonic()
    with anyio.fail_after(seconds):
        env = {**build_environment(), **server.env}
        async with await anyio.open_process(server.command, env=env, stderr=subprocess.PIPE) as process:
            try:
                await _ask(process)
                return time.monotonic() - begin
            finally:
                with suppress(ProcessLookupError):
                    process.kill()


async def _ask(process: Process) -> None:
    received = b""
    with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
        if process.stdin and process.stdout:
            await process.stdin.send(json.dumps(REQUEST).encode() + b"\n")
            while b"\n" not in received and len(received) < MAX_BYTES:
                received += await process.stdout.receive()
    try:
        name = json.loads(received)["result"]["serverInfo"]["name"]
    except (ValueError, LookupError, TypeError):
        raise ValueError(await _read_last_words(process) or "it answered nothing that MCP knows") from None
    if name != "kie-mcp":
        raise ValueError(f"{name} answered, not kie-mcp")


async def _read_last_words(process: Process) -> str:
    """Return the last line on stderr that matches `ERROR`, or else the last line; empty if stderr is empty."""
    said = b""
    with suppress(anyio.BrokenResourceError, anyio.EndOfStream), anyio.move_on_after(1):
        while process.stderr and len(said) < MAX_BYTES:
            said += await process.stderr.receive()
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    # The last line is not always the error: uv prints hints after its error.
    errors = [line for line in lines if ERROR.match(line)]
    return (errors or lines or [""])[-1]
