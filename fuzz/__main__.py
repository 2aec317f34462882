"""Send random input to the server: `python -m fuzz --minutes 60`; `--seed` repeats a run.

It fails on a crash, an answer that takes over 5 s, an `internal` error, an error that appears only in the log, a paid
create request from an invalid call, or over 500 MB of memory. For a failure, it prints the smallest input that causes
it, and the command that repeats it.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
from hypothesis import strategies as st

from fuzz.inputs import arguments_for, make_media, mutate_bytes, mutate_json
from fuzz.servers import HELLO, InProcess, StdioServer, run_in_process
from kie_mcp.server.selection import load_tool_list

EXAMPLES = 25
"""Number of cases of one kind that run one after the other."""
TOOLS: dict[str, Any] = {tool["name"]: tool["inputSchema"] for tool in load_tool_list()["tools"]}
MEDIA_NAMES = sorted(make_media())
FILE_CALLS: tuple[Callable[[str], tuple[str, dict[str, Any]]], ...] = (
    lambda path: ("upload_file", {"path": path}),
    lambda path: ("recraft_remove_background", {"image": path}),
    lambda path: ("nano_banana_image", {"prompt": "a fox", "images": [path]}),
    lambda path: ("topaz_upscale", {"video": path}),
    lambda path: ("suno_cover_song", {"prompt": "a fox", "audio": path}),
    lambda path: ("elevenlabs_isolate", {"audio": path}),
    lambda path: ("edit_media", {"clips": [{"source": path}]}),
)
"""Calls of tools with a file."""
STORYBOARD = {"type": "ref/prompt", "name": "storyboard"}
USUAL_CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("nano_banana_image", {"prompt": "a fox"}),
    ("suno_music", {"prompt": "rain"}),
    ("veo_video", {"prompt": "a fox"}),
    ("elevenlabs_speech", {"prompt": "Hello."}),
    ("find_models", {"query": "lip sync"}),
    ("describe_model", {"model": "nano-banana-2"}),
    ("run_model", {"model": "nano-banana-2", "input": {"prompt": "a fox"}}),
    ("list_tasks", {}),
    ("get_credits", {}),
    ("compare_models", {"prompt": "a fox", "models": ["nano-banana-2", "z-image"], "max_credits": 20}),
)


class Targets:
    """The kinds of cases: each public method is one kind, and runs one case."""

    def __init__(self, folder: Path, server: InProcess) -> None:
        self._folder = folder
        self._server = server
        self._media = make_media()
        self._process: StdioServer | None = None

    def close(self) -> None:
        """End the server process, if one runs."""
        if self._process:
            self._process.close()
            self._process = None

    def call(self, case: tuple[str, dict[str, Any]]) -> None:
        """Call a tool with some arguments."""
        self._server.kie.random = None
        self._server.call(*case)

    def line(self, case: bytes) -> None:
        """Send a line to the server process on stdio, which is started if necessary."""
        self._process = self._process or StdioServer(self._folder)
        try:
            self._process.send(case)
        except BaseException:
            self.close()
            raise

    def file(self, case: tuple[int, str, int]) -> None:
        """Give a tool a broken file."""
        self._server.kie.random = None
        number, name, seed = case
        place = self._folder / name
        place.write_bytes(mutate_bytes(self._media[name], Random(seed)))
        self._server.call(*FILE_CALLS[number](str(place)))

    def kie(self, case: tuple[int, int]) -> None:
        """Call a tool while KIE sends changed answers, and read the status of the task that it started."""
        number, seed = case
        self._server.kie.random = Random(seed)
        tool, arguments = USUAL_CALLS[number]
        answer = self._server.call(tool, arguments)
        if "task_id" in answer:
            for _ in range(2):
                self._server.call("get_task", {"task_id": answer["task_id"], "wait_seconds": 10})


def build_strategies() -> dict[str, st.SearchStrategy[Any]]:
    """Return, for each kind of case, the Hypothesis strategy that generates cases."""
    seeds = st.integers(0, 2**32)
    calls = st.sampled_from(sorted(TOOLS)).flatmap(lambda name: st.tuples(st.just(name), arguments_for(TOOLS[name])))
    return {
        "call": calls,
        "line": st.builds(_make_line, calls, seeds),
        "file": st.tuples(st.integers(0, len(FILE_CALLS) - 1), st.sampled_from(MEDIA_NAMES), seeds),
        "kie": st.tuples(st.integers(0, len(USUAL_CALLS) - 1), seeds),
    }


def _make_line(call: tuple[str, dict[str, Any]], seed: int) -> bytes:
    """Return a line with a JSON-RPC message that is valid, has a wrong part, or is damaged."""
    random = Random(seed)
    name, arguments = call
    method, params = random.choice(
        (
            ("tools/call", {"name": name, "arguments": arguments | {"quote": True}}),
            ("tools/list", {}),
            ("resources/read", {"uri": "kie://tasks/t_abcdefghjk23"}),
            ("prompts/get", {"name": STORYBOARD["name"], "arguments": {}}),
            ("completion/complete", {"ref": STORYBOARD, "argument": {"name": "model", "value": ""}}),
            ("initialize", HELLO),
            ("tasks/get", {"taskId": "x"}),
        )
    )
    message: Any = {"jsonrpc": "2.0", "id": random.choice((1, "a", seed)), "method": method, "params": params}
    if random.random() < 0.5:
        message = mutate_json(
            message, random, lambda: random.choice((None, -1, 1e308, "", [], {}, "\ud800", "a" * 9999))
        )
    line = json.dumps(message).encode()
    match random.randrange(6):
        case 0:
            return mutate_bytes(line, random)
        case 1:
            return b"[" * random.choice((10, 100_000)) + line
        case 2:
            return line.decode().encode("utf-16")
        case _:
            return line


def run_kind(kind: str, targets: Targets, seed: int, examples: int) -> None:
    """Run some cases of one kind.

    Raises:
        Exception: The failure; a note has the smallest case and the command that repeats it.
    """
    taken: Callable[[Any], None] = getattr(targets, kind)
    last: list[Any] = [None]

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        print_blob=False,
        report_multiple_bugs=False,
    )
    @hypothesis.given(build_strategies()[kind])
    def take(case: Any) -> None:
        last[0] = case
        taken(case)

    try:
        take()
    except BaseException as error:
        error.add_note(
            f"The case: {kind} {last[0]!r:.3000}\nTo repeat it: .venv/bin/python -m fuzz --only {kind} --seed {seed}"
        )
        raise


@contextmanager
def run_targets() -> Iterator[Targets]:
    """Start the servers that are fuzzed, with a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="kie-fuzz-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        targets = Targets(Path(name), stack.enter_context(run_in_process(Path(name))))
        stack.callback(targets.close)
        yield targets


def main() -> int:
    """Fuzz until the time is over; return 1 if there was a failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, help="run only this round, to repeat a failure")
    parser.add_argument("--first", type=int, default=int(time.time()), help="the seed of the first round")
    parser.add_argument("--only", choices=("call", "line", "file", "kie"))
    options = parser.parse_args()
    kinds = [options.only] if options.only else ["call", "line", "file", "kie"]
    until, done, failures = time.monotonic() + 60 * options.minutes, Counter[str](), 0
    rounds = itertools.count(options.first) if options.seed is None else [options.seed]
    for seed in rounds:
        # A new server for each round, so that a round can be repeated.
        with run_targets() as targets:
            for kind in kinds:
                try:
                    run_kind(kind, targets, seed, EXAMPLES)
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    failures += 1
                    traceback.print_exception(error)
                done[kind] += EXAMPLES
        if time.monotonic() > until:
            break
    counts = ", ".join(f"{kind} {done[kind]:,}" for kind in kinds)
    print(f"{sum(done.values()):,} cases ({counts}), {failures} failures")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
