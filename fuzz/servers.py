"""The servers that are fuzzed: one in this process, with a KIE that changes its answers, and one as a process."""

import contextlib
import json
import logging
import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from random import Random
from typing import Any

import anyio
import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client
from starlette.types import Message, Receive, Scope, Send

from fuzz.inputs import ODD_NUMBERS, ODD_TEXTS, mutate_bytes, mutate_json
from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

HANG_SECONDS = 5
"""Seconds of CPU time within which the server has to answer."""
LONGEST_WAIT = 40
MAX_MEMORY = 500_000_000
SPEED = 1000
PING = {"jsonrpc": "2.0", "id": "still there?", "method": "ping"}
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "fuzz", "version": "1"},
}


class Broken(AssertionError):
    """The server behaved in a way that is never allowed."""


def wait_for(ends: Callable[[float], bool], cpu_seconds: Callable[[], float]) -> None:
    """Wait for an event; a slow answer on a machine that is busy with other programs does not count as a hang.

    Args:
        ends: Waits for at most some seconds, and returns True if the event has happened.
        cpu_seconds: Returns the CPU seconds that the server has used so far.

    Raises:
        Broken: When the server uses over `HANG_SECONDS` of CPU time, or the event does not happen in `LONGEST_WAIT`.
    """
    begun, computed = time.monotonic(), cpu_seconds()
    while not ends(HANG_SECONDS):
        if cpu_seconds() - computed > HANG_SECONDS or time.monotonic() - begun > LONGEST_WAIT:
            raise Broken(f"no answer after {time.monotonic() - begun:.0f} s")


class FastClock(Clock):
    """Clock on which time passes `SPEED` times faster, so that pauses take milliseconds."""

    def __init__(self) -> None:
        self._begun = time.time()

    def time(self) -> float:
        """Return the fast time of day."""
        return self._begun + self.monotonic()

    def monotonic(self) -> float:
        """Return the fast seconds since the start."""
        return (time.time() - self._begun) * SPEED

    async def sleep(self, seconds: float) -> None:
        """Wait for some fast seconds."""
        await anyio.sleep(seconds / SPEED)

    async def idle(self, seconds: float) -> None:
        """Wait for some fast seconds, but at least 0.05 real seconds, so that background loops do not use all CPU."""
        await anyio.sleep(max(seconds / SPEED, 0.05))


class StrangeKie:
    """A fake KIE: the sandbox, with about half of its answers changed at random while `random` is set."""

    def __init__(self, clock: Clock) -> None:
        self.sandbox = Sandbox(credits=1e9, seconds=1, window=(10**9, 1.0), legacy=True, clock=clock.time)
        self.random: Random | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the sandbox's answer, with or without a random change."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        try:
            await self.sandbox.app(scope, receive, keep)
        except Exception:  # noqa: BLE001 - the sandbox fails at some invalid URLs
            messages = [{"type": "http.response.start", "status": 404, "headers": []}]
        body = b"".join(message.get("body", b"") for message in messages)
        start = messages[0]
        if self.random and self.random.random() < 0.5:
            start, body = self._change(self.random, start, body)
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _change(self, random: Random, start: Message, body: bytes) -> tuple[Message, bytes]:
        try:
            answer = json.loads(body)
        except ValueError:
            body = mutate_bytes(body, random)
        else:
            odd: Any = random.choice(
                (*ODD_TEXTS, *ODD_NUMBERS, None, True, [], {}, [[]] * 3, {"url": 1}, "https://x.example/a")
            )
            inner = {"data": answer.get("data")} if isinstance(answer, dict) and random.random() < 0.7 else answer
            changed = mutate_json(inner, random, lambda: odd)
            answer = answer | changed if inner is not answer and isinstance(changed, dict) else changed
            body = json.dumps(answer).encode()
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        status = random.choice((200, 200, 200, 200, 302, 429, 500)) if random.random() < 0.1 else start["status"]
        return {**start, "status": status, "headers": [*headers, (b"content-length", b"%d" % len(body))]}, body


class LoggedErrors(logging.Handler):
    """Collects the errors that the server logs with a traceback, because the answer may not show them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Store a log record if it has a traceback."""
        if record.exc_info:
            self.found.append(logging.Formatter().format(record))


class InProcess:
    """A server in this process; its tools are called and its behaviour is checked."""

    def __init__(
        self, portal: BlockingPortal, client: Client, kie: StrangeKie, log: LoggedErrors, ledger: Path
    ) -> None:
        self.kie = kie
        self._ledger = ledger
        self._portal = portal
        self._client = client
        self._log = log
        # The peak of this process may be higher already, because a test runner used more memory before.
        self._most_memory = max(MAX_MEMORY, _read_peak_memory() + MAX_MEMORY // 2)

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool, and check the rules that apply to every call.

        Raises:
            Broken: When a rule is broken: an internal error, a paid invalid call, too much memory, or a hang.
        """
        before = self._read_sent()
        call = self._portal.start_task_soon(self._client.call_tool, tool, arguments)

        def has_ended(seconds: float) -> bool:
            return bool(wait([call], seconds).done)

        wait_for(has_ended, time.process_time)
        result = call.result()
        answer = dict(result.structured_content or {})
        category = (answer.get("error") or {}).get("category")
        if self._log.found:
            raise Broken(self._log.found.pop())
        if result.is_error and category == "internal":
            raise Broken(f"an internal error: {answer}")
        if category == "invalid_call" and self._read_sent() - before:
            raise Broken(f"an invalid call was paid: {answer}")
        if (used := _read_peak_memory()) > self._most_memory:
            raise Broken(f"{used / 1e6:.0f} MB of memory")
        return answer

    def _read_sent(self) -> set[str]:
        """Return the ids of the tasks whose create request was sent to KIE, or will be sent."""
        query = "SELECT id FROM tasks WHERE state != 'failed' OR kie_id IS NOT NULL"
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(self._ledger)) as ledger:
            return {id_ for (id_,) in ledger.execute(query)}
        return set()


@contextmanager
def run_in_process(folder: Path) -> Iterator[InProcess]:
    """Run a server in this process; `folder` is for the server's files."""
    settings = Settings(
        sandbox=True,
        repeat_window=0,
        wait_seconds=0,
        confirm_above=1e9,
        data_dir=folder / "data",
        output_dir=folder / "out",
        read_dirs=(folder,),
    )
    clock, log = FastClock(), LoggedErrors()
    kie = StrangeKie(clock)
    server = build_server(App(settings, transport=httpx2.ASGITransport(kie), clock=clock))
    logging.getLogger("kie_mcp").addHandler(log)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Client(server)) as client:
        yield InProcess(portal, client, kie, log, settings.state_dir / FILE_NAME)


def _read_peak_memory() -> int:
    """Return the peak memory of this process, in bytes."""
    # macOS tells bytes, and Linux kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class StdioServer:
    """A server process, to which lines are sent over stdio."""

    def __init__(self, folder: Path) -> None:
        folders = {"KIE_MCP_DATA_DIR": str(folder), "KIE_MCP_OUTPUT_DIR": str(folder / "out")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kie_mcp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | folders | {"KIE_MCP_SANDBOX": "1"},
        )
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._write(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}).encode())
        self._write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        self.send(b"")

    def send(self, line: bytes) -> None:
        """Send a line, and check that the server still answers afterwards.

        Raises:
            Broken: When the server does not answer, has ended, or uses too much memory.
        """
        try:
            self._write(line)
            self._write(json.dumps(PING).encode())
        except OSError:
            raise Broken(f"the server ended with {self._process.wait()}") from None
        wait_for(self._has_answered, self._read_cpu_seconds)
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists():
            (peak,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            if int(peak) * 1024 > MAX_MEMORY:
                raise Broken(f"{peak} kB of memory")

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def _has_answered(self, seconds: float) -> bool:
        """Read lines up to the answer to the ping; return False if a line takes longer than `seconds`."""
        with contextlib.suppress(Empty):
            while json.loads(self._lines.get(timeout=seconds)).get("id") != PING["id"]:
                pass
            return True
        if (code := self._process.poll()) is not None:
            raise Broken(f"the server ended with {code}")
        return False

    def _read_cpu_seconds(self) -> float:
        """Return the CPU seconds that the server has used so far; 0 on systems without /proc."""
        place = Path(f"/proc/{self._process.pid}/stat")
        # The 14th and 15th fields are the ticks in user and system mode.
        fields = place.read_text().rpartition(")")[2].split() if place.exists() else []
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") if fields else 0

    def _write(self, line: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(line.replace(b"\n", b" ") + b"\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
