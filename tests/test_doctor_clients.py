"""What `kie-mcp doctor` says about the clients of a machine."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.client_files import folders_in, place_file

from kie_mcp.config import Settings
from kie_mcp.doctor.account import check_spending_rules
from kie_mcp.doctor.clients import check_clients, find_day_caps
from kie_mcp.doctor.finding import Finding
from kie_mcp.install.clients import BY_NAME

CURSOR, CODEX = BY_NAME["cursor"], BY_NAME["codex"]
STARTS = {"command": sys.executable, "args": ["-m", "kie_mcp"], "env": {"KIE_MCP_SANDBOX": "1"}}


def configure(home: Path, entry: dict[str, Any]) -> None:
    place_file(CURSOR, home, json.dumps({"mcpServers": {"kie": entry}}).encode())


async def check(home: Path) -> Finding:
    (finding,) = await check_clients([CURSOR], folders_in(home))
    assert finding.status == "ok" or finding.next_step
    return finding


@pytest.mark.anyio
async def test_a_server_that_starts_is_told_with_its_seconds(tmp_path: Path) -> None:
    configure(tmp_path, STARTS)
    finding = await check(tmp_path)
    assert finding.name == "Cursor"
    assert finding.status in {"ok", "note"}
    assert "starts, and answers in" in finding.text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"command": "/nowhere/kie-mcp", "args": []}, "/nowhere/kie-mcp cannot be started: No such file"),
        ({"args": ["-m", "kie_mcp", "serve", "--prot", "1"]}, "does not start"),
        ({"args": ["-c", "print('hello')", "kie-mcp"]}, "it answered nothing that MCP knows"),
        ({"args": ["-c", "raise SystemExit('no module kie_mcp')", "kie-mcp"]}, "no module kie_mcp"),
        (
            {"args": ["-c", "exit('error: no network\\nhint: none')", "kie-mcp"]},
            "start: error: no network.",
        ),
        ({"env": {"KIE_MCP_MAX_CREDITS_PER_DAYS": "5"}}, "did you mean KIE_MCP_MAX_CREDITS_PER_DAY?"),
    ],
)
async def test_what_a_client_could_not_start_is_told_with_the_way_out(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    configure(tmp_path, {**STARTS, **change})
    finding = await check(tmp_path)
    assert finding.status == "mend"
    assert words in finding.text


@pytest.mark.anyio
async def test_a_server_of_another_program_is_not_taken_for_kie_mcp(tmp_path: Path) -> None:
    answer = {"jsonrpc": "2.0", "id": 1, "result": {"serverInfo": {"name": "other", "version": "1"}}}
    code = f"input(); print({json.dumps(json.dumps(answer))}, flush=True); input()"
    configure(tmp_path, {**STARTS, "args": ["-c", code, "kie-mcp"]})
    assert "other answered, not kie-mcp" in (await check(tmp_path)).text


@pytest.mark.anyio
async def test_damaged_files_and_clients_without_kie_mcp_are_told_too(tmp_path: Path) -> None:
    place_file(CURSOR, tmp_path, b"{")
    place_file(CODEX, tmp_path, b"")
    findings = await check_clients([CURSOR, CODEX, BY_NAME["zed"]], folders_in(tmp_path))
    assert [(each.name, each.status) for each in findings] == [("Cursor", "note"), ("clients", "ok")]
    assert "--print cursor" in findings[0].next_step
    assert findings[1].text == "Without kie-mcp: Codex."
    assert "kie-mcp install" in findings[1].next_step


@pytest.mark.anyio
async def test_a_machine_without_clients_is_told_how_to_set_one_up(tmp_path: Path) -> None:
    (finding,) = await check_clients([BY_NAME["zed"]], folders_in(tmp_path))
    assert "kie-mcp install CLIENT" in finding.next_step


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        ({"KIE_MCP_MAX_CREDITS_PER_DAY": "1000"}, "ok", "Cap for any 24 hours, in Cursor: 1,000 credits"),
        ({"KIE_MCP_MAX_CREDITS_PER_DAY": "much"}, "note", "No cap for a day is set in Cursor"),
        ({"KIE_API_KEY": "x"}, "note", "No cap for a day is set in Cursor"),
        ({"KIE_MCP_SANDBOX": "1"}, "note", "No cap for a day is set, so"),
    ],
)
def test_the_cap_in_the_configuration_of_a_client_counts(
    environment: dict[str, str], status: str, words: str, tmp_path: Path
) -> None:
    configure(tmp_path, {**STARTS, "env": environment})
    finding = check_spending_rules(Settings(), find_day_caps([CURSOR, CODEX], folders_in(tmp_path)))
    assert finding.status == status
    assert words in " ".join((finding.text, *finding.details))
