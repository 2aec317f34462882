"""Where KIE's key must not appear."""

import logging
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio
KEY = "0123456789abcdef-this-is-secret"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_the_key_is_in_no_answer_no_log_and_no_file(
    tmp_path: Path, clock: JumpingClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("KIE_API_KEY", KEY)
    settings = Settings(sandbox=False, data_dir=tmp_path / "data", output_dir=tmp_path / "out")
    sandbox = Sandbox(key=KEY, seconds=4, clock=clock.time)
    app = App(settings, transport=httpx2.ASGITransport(app=sandbox.app), clock=clock)
    calls: list[tuple[str, dict[str, object]]] = [
        ("nano_banana_image", {"prompt": "a heron"}),
        ("nano_banana_image", {"prompt": "a heron that is lost"}),
        ("get_credits", {}),
        ("list_tasks", {}),
        ("get_task", {"task_ids": ["0123456789abcdef"]}),
    ]
    answers = []
    async with Client(build_server(app), raise_exceptions=True) as client:
        for tool, arguments in calls:
            if "lost" in str(arguments):
                sandbox.inject_fault("create", "reset-after")
            answers.append((await client.call_tool(tool, arguments)).model_dump_json())
    assert len(sandbox.accepted) == 2
    written = files(tmp_path)
    assert ".sqlite3" in {path.suffix for path in written}
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert KEY not in caplog.text + "".join(answers)
