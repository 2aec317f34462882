"""The callers of the cluster benchmark: each starts tasks and polls them to the end, even if servers are killed."""

import itertools
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2

from benchmarks.cluster_servers import TOKEN, Process

PROTOCOL = "2025-11-25"
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": PROTOCOL}
TRY_AGAIN_SECONDS = 0.3
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 600
ENDED = ("succeeded", "failed", "expired", "unknown")

Answer = dict[str, Any]


@dataclass
class Record:
    """The results of all callers."""

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """For each kind of call, the seconds of each call that was answered."""
    ended: dict[str, str] = field(default_factory=dict)
    """For each prompt, the state in which its task ended."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """For each prompt, the last answer about its task."""
    repeated: Counter[str] = field(default_factory=Counter)
    """For each reason, such as a killed server, how often a call was repeated."""
    broken: Counter[str] = field(default_factory=Counter)
    """For each kind of fault, how often it happened."""
    foreign: int = 0
    """Number of reads of another caller's task that wrongly succeeded."""


class Caller:
    """One caller, with its own KIE key."""

    def __init__(self, name: str, replicas: Sequence[Process], record: Record) -> None:
        key = f"key-of-the-benchmark-{name}"
        self._headers = {**HEADERS, "Authorization": f"Bearer {TOKEN}", "X-KIE-Key": key}
        self._turns = itertools.cycle(random.sample(replicas, len(replicas)))
        self._name, self._record = name, record
        self.made: list[str] = []

    async def make_all(self, count: int, others: Sequence["Caller"]) -> None:
        """Start tasks one after the other, and poll each to its end.

        Args:
            count: Number of tasks.
            others: Other callers, whose tasks this caller must not be able to read.
        """
        async with httpx2.AsyncClient(headers=self._headers, timeout=30) as http:
            for number in range(count):
                prompt = f"heron {number} of caller {self._name}"
                self._record.ended[prompt] = await self._make(http, prompt)
                await self._call(http, "credits", "get_credits")
                for other in others:
                    if other is not self and other.made:
                        seen = await self._call(http, "foreign", "get_task", task_ids=other.made[-1], wait_seconds=0)
                        self._record.foreign += "model" in seen

    async def _make(self, http: httpx2.AsyncClient, prompt: str) -> str:
        """Start a task and poll it to its end; start it again if the answer says that this cannot cost twice."""
        until, ended = time.monotonic() + PATIENCE_SECONDS, Answer()
        while time.monotonic() < until:
            made = await self._call(http, "create", "nano_banana_image", prompt=prompt)
            self.made.append(str(made.get("task_id", "")))
            ended = await self._follow(http, made, until)
            error = ended.get("error", {})
            if not (error.get("retryable") and error.get("billed") is False):
                self._record.answers[prompt] = ended
                return str(ended.get("status"))
            self._record.repeated["made anew"] += 1
            await anyio.sleep(TRY_AGAIN_SECONDS)
        self._record.answers[prompt] = ended
        return "not ended"

    async def _follow(self, http: httpx2.AsyncClient, made: Answer, until: float) -> Answer:
        found = made
        while found.get("status") not in ENDED and time.monotonic() < until:
            await anyio.sleep(LOOK_SECONDS)
            found = await self._call(http, "get_task", "get_task", task_ids=made.get("task_id"), wait_seconds=0)
        return found

    async def _call(self, http: httpx2.AsyncClient, kind: str, tool: str, **arguments: Any) -> Answer:
        """Call a tool at one replica after the other, until one gives a useful answer."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            began = time.perf_counter()
            try:
                answer = await call_tool(http, next(self._turns).url, tool, **arguments)
            except httpx2.HTTPError as error:
                self._record.repeated[type(error).__name__] += 1
            else:
                error_of = answer.get("error", {})
                cannot_work = error_of.get("retryable") or error_of.get("category") in ("internal", "configuration")
                # An answer about a task is always useful, even if that task failed.
                if cannot_work and "model" not in answer and error_of.get("billed") is False:
                    self._record.repeated[error_of.get("category", "")] += 1
                else:
                    self._record.seconds[kind].append(time.perf_counter() - began)
                    return answer
            await anyio.sleep(TRY_AGAIN_SECONDS)
        return {}


async def call_tool(http: httpx2.AsyncClient, url: str, tool: str, **arguments: Any) -> Answer:
    """Call a tool with one HTTP request, without a session, and return the structured answer.

    Raises:
        httpx2.HTTPError: When the server does not answer, or answers with an HTTP error.
    """
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    response = await http.post(url, json=body)
    response.raise_for_status()
    lines = response.text.splitlines()
    text = next((line[5:] for line in reversed(lines) if line.startswith("data:") and len(line) > 6), response.text)
    found: Answer = json.loads(text).get("result", {})
    return found.get("structuredContent") or {"content": found.get("content")}
