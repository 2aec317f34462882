"""What the programs themselves say after `kie-mcp install`; they are installed as tests/hosts/hosts.toml says."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.commands import run_command
from support.paths import ROOT

HOSTS = tomllib.loads((ROOT / "tests" / "hosts" / "hosts.toml").read_text(encoding="utf-8"))
LISTED = {
    "claude-code": (("claude", "mcp", "list"), r"kie: .*Connected"),
    "gemini-cli": (("gemini", "mcp", "list"), r"kie: .*Connected"),
    "opencode": (("opencode", "mcp", "list"), r"kie .*connected"),
    # It does not start servers to list them, so only what it has read is shown.
    "codex": (("codex", "mcp", "get", "kie"), r"enabled: true\s+transport: stdio\s+command: \S*kie-mcp"),
}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="The paths are those of POSIX.")


@pytest.mark.parametrize("client", LISTED)
def test_the_client_itself_connects_to_what_install_wrote(client: str, tmp_path: Path) -> None:
    programs = ROOT / ".hosts" / client / "node_modules" / ".bin"
    if not programs.is_dir():
        pytest.skip(f"{HOSTS[client]['title']} is not installed: scripts/hosts --install {client}")
    # Gemini CLI starts servers only in folders that the user trusts.
    (tmp_path / ".gemini").mkdir()
    trusted = json.dumps({str(tmp_path): "TRUST_FOLDER"})
    (tmp_path / ".gemini" / "trustedFolders.json").write_text(trusted, encoding="utf-8")
    place = {"HOME": str(tmp_path), "PATH": f"{programs}:{os.environ['PATH']}"}
    unset = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_DATA_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"), "")
    installed = run_command("install", client, "--sandbox", cwd=tmp_path, **place, **unset)
    assert installed.returncode == 0, installed.stderr
    command, wanted = LISTED[client]
    said = run(command, tmp_path, place)
    assert re.search(wanted, said), said
    removed = run_command("install", client, "--remove", cwd=tmp_path, **place, **unset)
    assert removed.returncode == 0, removed.stderr
    assert not re.search(wanted, run(command, tmp_path, place))


def run(command: Sequence[str], home: Path, place: dict[str, str]) -> str:
    """Return what a program prints, without colours."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("KIE_", "XDG_"))} | place
    ran = subprocess.run(command, capture_output=True, text=True, env=env, cwd=home, timeout=120, check=False)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", ran.stdout + ran.stderr)
