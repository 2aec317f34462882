"""The hand-over from the first answers to the SDK, in a process as clients start it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from mcp.server.apps import APP_MIME_TYPE, Apps
from support.commands import COMMAND
from support.effort import Effort
from support.preloaded import preloaded_command

from kie_mcp.server.handshake import shapes

INITIALIZE: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "a test", "version": "1"},
}
ENVELOPE = {"_meta": {shapes.PROTOCOL_VERSION: "2026-07-28", shapes.CAPABILITIES: {}}}
LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
CALL = {"name": "find_models", "arguments": {"query": "a fox"}}
GALLERY = {"extensions": {Apps.identifier: {"mimeTypes": [APP_MIME_TYPE]}}}
CLIENTS = [*product(("2024-11-05", "2025-11-25", "2026-07-28"), ({}, GALLERY))]
"""Each version and both capabilities are tried, and each week all of these."""
PROBES = ("server/discover",), LISTS
FROM_FILE, FROM_SDK = (tuple(product((tools,), (True, False), PROBES)) for tools in ("standard", "image"))
PROBING = [*(FROM_FILE if Effort.is_thorough else FROM_FILE[::3]), *FROM_SDK]
"""All are tried with tools from the SDK; with those from the file, each way and each probe is, and each week all."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A server on the sandbox, with folders of its own."""
    return {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_DATA_DIR": str(tmp_path / "data"),
        "KIE_MCP_OUTPUT_DIR": str(tmp_path / "out"),
    }


class Talk:
    """A client that writes messages, several at a time if it likes, and reads one answer after the other."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin
        assert process.stdout
        self.process = process
        self._input, self._output = process.stdin, process.stdout

    def send(self, *messages: tuple[str, dict[str, Any] | None, int | None]) -> None:
        """Write messages at once; each is a method, its params, and its id or None for a notification."""
        lines = (
            json.dumps(
                {"jsonrpc": "2.0", "method": method}
                | ({} if params is None else {"params": params})
                | ({} if id_ is None else {"id": id_})
            )
            for method, params, id_ in messages
        )
        self._input.write("".join(f"{line}\n" for line in lines).encode())
        self._input.flush()

    def read(self) -> dict[str, Any]:
        """The next answer."""
        return dict(json.loads(self._output.readline()))

    def end(self) -> tuple[int, bytes]:
        """Close stdin; give the exit code and what was not read."""
        rest, _ = self.process.communicate(timeout=60)
        return self.process.returncode, rest


@contextmanager
def start(environment: dict[str, str], command: Sequence[str] = COMMAND) -> Iterator[Talk]:
    """Start a server."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=os.environ | environment) as process:
        try:
            yield Talk(process)
        finally:
            process.kill()


def replace_package(folder: Path, name: str, code: str) -> dict[str, str]:
    """Write a package that is imported instead of the installed one, and give the environment for that."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def endless_import(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """An SDK whose import never ends."""
    code = "import threading\nthreading.Event().wait()\n"
    return environment | replace_package(tmp_path / "packages", "anyio", code)


def test_the_first_answers_wait_for_no_import(endless_import: dict[str, str]) -> None:
    with start(endless_import) as talk:
        talk.send(("initialize", INITIALIZE, 0))
        assert talk.read()["result"]["serverInfo"]["name"] == "kie-mcp"
        talk.send(("notifications/initialized", None, None))
        for id_, method in enumerate(("ping", *LISTS), start=1):
            talk.send((method, {}, id_))
            assert talk.read()["id"] == id_


def test_a_probe_for_the_newer_protocol_is_answered_at_once(endless_import: dict[str, str]) -> None:
    with start(endless_import) as talk:
        talk.send(("server/discover", ENVELOPE, 0))
        assert talk.read()["result"]["supportedVersions"] == ["2026-07-28"]
        for id_, method in enumerate(LISTS, start=1):
            talk.send((method, ENVELOPE, id_))
            assert talk.read()["result"]["resultType"] == "complete"


def test_a_client_that_leaves_during_the_import_is_not_waited_for(endless_import: dict[str, str]) -> None:
    with start(endless_import) as talk:
        talk.send(("initialize", INITIALIZE, 0), ("tools/list", {}, 1))
        assert [talk.read()["id"], talk.read()["id"]] == [0, 1]
        assert talk.end() == (0, b"")


def test_a_client_that_says_nothing_and_leaves_is_not_waited_for(endless_import: dict[str, str]) -> None:
    with start(endless_import) as talk:
        assert talk.end() == (0, b"")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_during_the_import_ends_the_process(endless_import: dict[str, str], number: signal.Signals) -> None:
    with start(endless_import) as talk:
        talk.send(("initialize", INITIALIZE, 0))
        talk.read()
        talk.process.send_signal(number)
        assert talk.process.wait(60) == -number


def test_messages_written_at_once_are_answered_in_order_and_no_child_process_gets_the_streams(
    environment: dict[str, str],
) -> None:
    with start(environment) as talk:
        talk.send(
            ("initialize", INITIALIZE, 0),
            ("notifications/initialized", None, None),
            ("tools/list", {}, 1),
            ("tools/call", CALL, 2),
        )
        answers = [talk.read() for _ in range(3)]
        assert [each["id"] for each in answers] == [0, 1, 2]
        assert not answers[2]["result"].get("isError")
        if (descriptors := Path(f"/proc/{talk.process.pid}/fd")).is_dir():
            # A child process inherits these, and gets neither stdin nor stdout of the server.
            assert (descriptors / "0").readlink() == Path(os.devnull)
            assert (descriptors / "1").readlink() == (descriptors / "2").readlink()
        assert talk.end() == (0, b"")


@pytest.mark.parametrize(
    ("version", "capabilities"), CLIENTS if Effort.is_thorough else [CLIENTS[0], CLIENTS[3], CLIENTS[5]]
)
def test_the_sdk_goes_on_with_the_client_that_it_did_not_meet(
    environment: dict[str, str], version: str, capabilities: dict[str, Any]
) -> None:
    """The same lists from the file and from the SDK show that the SDK knows the client's version and capabilities."""
    modern = {"_meta": {shapes.PROTOCOL_VERSION: version, shapes.CAPABILITIES: capabilities}}
    params = modern if version == "2026-07-28" else {}
    with start(environment) as talk:
        if not params:
            talk.send(("initialize", INITIALIZE | {"protocolVersion": version, "capabilities": capabilities}, 0))
            assert talk.read()["result"]["protocolVersion"] == version
            talk.send(("notifications/initialized", None, None))
        talk.send(*((method, params, id_) for id_, method in enumerate(LISTS)))
        before = [talk.read() for _ in LISTS]
        talk.send(("tools/call", CALL | params, 10))
        assert talk.read()["id"] == 10
        after = []
        for id_, method in enumerate(LISTS):
            talk.send((method, params, id_))
            after.append(talk.read())
        assert after == before
        assert talk.end() == (0, b"")


@pytest.mark.parametrize(("tools", "at_once", "probes"), PROBING)
def test_a_client_that_probes_and_then_initializes_is_connected(
    environment: dict[str, str], tools: str, at_once: bool, probes: tuple[str, ...]
) -> None:
    """@ai-sdk/mcp does so when the answer to its probe is late; the SDK would refuse it (-32022)."""
    # Without first answers from the file, nothing depends on how long the import takes.
    command = COMMAND if tools == "standard" else preloaded_command()
    with start(environment | {"KIE_MCP_TOOLS": tools}, command) as talk:
        first = [(method, ENVELOPE, id_) for id_, method in enumerate(("server/discover", *probes))]
        messages = [*first, ("initialize", INITIALIZE, 10)]
        if at_once:
            talk.send(*messages)
            answers = [talk.read() for _ in messages]
        else:
            answers = []
            for each in messages:
                talk.send(each)
                answers.append(talk.read())
        assert [each["id"] for each in answers] == [id_ for _, _, id_ in messages]
        assert answers[0]["result"]["supportedVersions"] == ["2026-07-28"]
        assert answers[-1]["result"]["protocolVersion"] == "2025-11-25"
        talk.send(("notifications/initialized", None, None), ("tools/call", CALL, 11))
        assert not talk.read()["result"].get("isError")
        # Now the era is decided.
        talk.send(("server/discover", ENVELOPE, 12))
        assert talk.read()["error"]["code"] == -32600


def test_a_cancelled_call_is_not_answered(environment: dict[str, str]) -> None:
    with start(environment) as talk:
        talk.send(
            ("initialize", INITIALIZE, 0),
            ("notifications/cancelled", {"requestId": 0}, None),
            ("tools/call", {"name": "get_task", "arguments": {"task_ids": "t_none", "wait_seconds": 60}}, 1),
            ("notifications/cancelled", {"requestId": 1}, None),
            ("ping", {}, 2),
        )
        assert [talk.read()["id"], talk.read()["id"]] == [0, 2]


def test_a_server_that_cannot_start_says_so_in_answer_to_calls(environment: dict[str, str], tmp_path: Path) -> None:
    broken = replace_package(tmp_path / "packages", "anyio", "raise ImportError('half installed')\n")
    with start(environment | broken) as talk:
        talk.send(("initialize", INITIALIZE, 0), ("notifications/initialized", None, None), ("tools/list", {}, 1))
        assert [talk.read()["id"], talk.read()["id"]] == [0, 1]
        talk.send(("tools/call", CALL, 2))
        refused = talk.read()
        assert refused["id"] == 2
        assert "half installed" in refused["error"]["message"]
        assert "Nothing was sent" in refused["error"]["message"]
        assert talk.end() == (1, b"")


def test_what_the_first_call_needs_is_loaded_before_it(environment: dict[str, str]) -> None:
    script = """
import sys
import anyio
import anyio.lowlevel
from mcp import Client
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

async def main():
    async with Client(build_server(App())) as client:
        await client.list_tools()
        with anyio.fail_after(60):
            while "kie_mcp.catalog.registry" not in sys.modules:
                await anyio.lowlevel.checkpoint()
            from kie_mcp.catalog.registry import STANDARD
            while not all("input_schema" in vars(family) for family in STANDARD):
                await anyio.lowlevel.checkpoint()
        before = set(sys.modules)
        assert not (await client.call_tool("nano_banana_image", {"prompt": "a fox", "quote": True})).is_error
        print(*(name for name in set(sys.modules) - before if name.startswith(("kie_mcp", "sqlalchemy"))))

anyio.run(main)
"""
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True, env=os.environ | environment)
    assert ran.stdout.split() == []
