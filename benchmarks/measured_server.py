"""Run a kie-mcp server in its own process with a sandbox as KIE, and measure the memory of calls; only on Linux."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.file_store import MEDIA_PATH, UPLOADS_PATH

SAMPLE_SECONDS = 0.005
"""Seconds between two measurements of the memory."""
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
COMMAND = (sys.executable, "-m", "kie_mcp")
Call = tuple[str, dict[str, Any]]
"""A tool's name and its arguments."""


class ScriptedKie:
    """A sandbox; a benchmark can replace its result files by one file, and its other answers by one answer."""

    def __init__(self) -> None:
        self.result: Path | None = None
        """The file that is sent as every result of every model; None for the sandbox's own results."""
        self.answer: Response | None = None
        """The answer to every other request; None for the sandbox's own answers."""
        self._sandbox = Sandbox(credits=1e9, seconds=0.1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope["path"]
        if self.result and path.startswith(MEDIA_PATH) and not path.startswith(UPLOADS_PATH):
            await FileResponse(self.result)(scope, receive, send)
        elif self.answer:
            await self.answer(scope, receive, send)
        else:
            await self._sandbox.app(scope, receive, send)


@dataclass(frozen=True)
class Measured:
    """The answers to some calls, and the time and memory that the calls needed."""

    answers: list[dict[str, Any]]
    seconds: float
    memory: float
    """Largest memory of the server and its child processes during the calls, in megabytes above the idle server."""

    @property
    def is_refused(self) -> bool:
        """Whether any of the calls ended with an error."""
        return any(answer.get("isError") for answer in self.answers)

    @property
    def text(self) -> str:
        """The texts of all answers."""
        return " ".join(part.get("text", "") for answer in self.answers for part in answer["content"])


class MeasuredServer:
    """A running server to which calls are sent over stdio."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._number = 0
        self._request("initialize", INITIALIZE)
        self._receive(1)
        self._send(method="notifications/initialized")
        # The ledger is opened by the first call.
        self.call("list_tasks")
        self.idle = _resident_megabytes(process.pid)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its result."""
        self._request("tools/call", {"name": tool, "arguments": arguments})
        return next(iter(self._receive(1)))

    def measure(self, *calls: Call) -> Measured:
        """Make these calls at once, and return their answers and the memory that they took."""
        peak, done = [_resident_megabytes(self._process.pid)], threading.Event()

        def watch() -> None:
            while not done.wait(SAMPLE_SECONDS):
                peak[0] = max(peak[0], _resident_megabytes(self._process.pid))

        watcher, began = threading.Thread(target=watch), time.perf_counter()
        watcher.start()
        try:
            for tool, arguments in calls:
                self._request("tools/call", {"name": tool, "arguments": arguments})
            answers = self._receive(len(calls))
        finally:
            done.set()
            watcher.join()
            peak.append(_resident_megabytes(self._process.pid))
        return Measured(answers, time.perf_counter() - began, max(max(peak) - self.idle, 0))

    def _request(self, method: str, params: dict[str, Any]) -> None:
        self._number += 1
        self._send(id=self._number, method=method, params=params)

    def _send(self, **message: object) -> None:
        if not self._process.stdin:
            raise AssertionError(self._process)
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._process.stdin.flush()

    def _receive(self, count: int) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        while len(answers) < count:
            if not (self._process.stdout and (line := self._process.stdout.readline())):
                raise AssertionError("The server has ended.")
            if "id" in (message := json.loads(line)) and "method" not in message:
                answers.append(message["result"])
        return answers


@contextmanager
def measured_server(
    folder: Path, kie: ScriptedKie, command: Sequence[str] = COMMAND, *, files: Path | None = None
) -> Iterator[MeasuredServer]:
    """Run a server process that uses `kie`, which is served in this process, as KIE.

    Args:
        folder: A folder for the files that the server saves.
        kie: The fake KIE.
        command: The server's program and its arguments.
        files: The folder from which the server may read files; None for `folder`.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        served = uvicorn.Server(uvicorn.Config(kie, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=served.run, args=[[listener]])
        thread.start()
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("KIE_")}
        settings = {
            "KIE_API_KEY": "sandbox",
            "KIE_MCP_BASE_URL": url,
            "KIE_MCP_UPLOAD_URL": url,
            "KIE_MCP_READ_DIRS": str(files or folder),
            "KIE_MCP_DATA_DIR": str(folder / "data"),
            "KIE_MCP_OUTPUT_DIR": str(folder / "out"),
            "KIE_MCP_CONFIRM_ABOVE": "100000",
            "KIE_MCP_CONFIRM_HOURLY": "0",
            "KIE_MCP_WAIT_SECONDS": "55",
        }
        pipe = subprocess.PIPE
        try:
            with subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=kept | settings, cwd=folder
            ) as process:
                try:
                    yield MeasuredServer(process)
                finally:
                    process.kill()
        finally:
            served.should_exit = True
            thread.join()


def _resident_megabytes(pid: int, parent: bytes = b"") -> float:
    """Return the resident memory of a process and of the processes that it started, in megabytes.

    Args:
        pid: The process.
        parent: The command line of the parent process. A child that has not started its own program yet has the same
            command line and shares the parent's memory, so it is not counted.
    """
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = [
            int(child)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        # The process has just ended.
        return 0
    if command == parent:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 + sum(_resident_megabytes(child, command) for child in children)
