"""That the fuzzer notices what it is there for."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fuzz.__main__ import FILE_CALLS, USUAL_CALLS, Targets, run_kind
from fuzz.servers import Broken, StdioServer, run_in_process
from kie_mcp.ledger.sqlite import FILE_NAME


def test_a_call_that_is_answered_as_internal_is_a_failure(tmp_path: Path) -> None:
    with run_in_process(tmp_path) as server:
        server.call("nano_banana_image", {"prompt": "a fox"})
        with closing(sqlite3.connect(tmp_path / "data" / "sandbox" / FILE_NAME)) as ledger:
            ledger.execute("DROP TABLE tasks")
        with pytest.raises(Broken):
            server.call("list_tasks", {})


def test_a_server_process_that_ends_is_a_failure(tmp_path: Path) -> None:
    server = StdioServer(tmp_path)
    server.send(b"{}")
    server._process.kill()
    with pytest.raises(Broken, match="ended with -9"):
        server.send(b"{}")
    server.close()


def test_a_failure_tells_its_case_and_how_to_repeat_it(tmp_path: Path) -> None:
    class Failing(Targets):
        def call(self, case: tuple[str, dict[str, Any]]) -> None:
            raise Broken(case[0])

    with run_in_process(tmp_path) as server, pytest.raises(Broken) as caught:
        run_kind("call", Failing(tmp_path, server), 7, 1)
    told = "\n".join(caught.value.__notes__)
    assert "The case: call (" in told
    assert "To repeat it: .venv/bin/python -m fuzz --only call --seed 7" in told


def test_every_call_with_a_file_gets_as_far_as_the_file(tmp_path: Path) -> None:
    with run_in_process(tmp_path) as server:
        for build in FILE_CALLS:
            refused = server.call(*build(str(tmp_path / "none.png")))["error"]["message"]
            assert "none.png" in refused


@pytest.mark.parametrize(("tool", "arguments"), USUAL_CALLS, ids=[tool for tool, _ in USUAL_CALLS])
def test_a_usual_call_is_not_refused(tool: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    with run_in_process(tmp_path) as server:
        # The clock is so fast that KIE's answer may come late.
        assert server.call(tool, arguments).get("error", {}).get("category") != "invalid_call"
