"""The key in the keyring of the system; here it is a keyring of the tests, in a file."""

import json
import subprocess
from pathlib import Path

import pytest
from support.commands import run_command

KEY = "0123456789abcdef0123456789abcdef"
BACKEND = """
import json, pathlib
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

FILE = pathlib.Path(__file__).with_name("keys.json")

class Keyring(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        if FILE.with_name("locked").exists():
            raise KeyringLocked("it is locked")
        return json.loads(FILE.read_text()).get(f"{service}/{username}") if FILE.exists() else None

    def set_password(self, service, username, password):
        FILE.write_text(json.dumps({f"{service}/{username}": password}))
"""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "keyring_of_tests.py").write_text(BACKEND, encoding="utf-8")
    places = {"HOME": str(tmp_path), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "PATH": "/nowhere"}
    return places | {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "keyring_of_tests.Keyring"}


def run(settings: dict[str, str], *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, cwd=Path(settings["HOME"]), **(settings | more))


def test_the_key_goes_into_the_keyring_and_the_server_takes_it_from_there(
    settings: dict[str, str], tmp_path: Path
) -> None:
    ran = run(settings, "install", "cursor", "--keyring", KIE_API_KEY=KEY)
    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "keys.json").read_text(encoding="utf-8")) == {"kie-mcp/api-key": KEY}
    entry = json.loads((tmp_path / ".cursor/mcp.json").read_text(encoding="utf-8"))["mcpServers"]["kie"]
    assert entry["env"] == {"KIE_MCP_KEYRING": "1"}
    assert not (tmp_path / ".local").exists()
    found = json.loads(
        run(settings, "doctor", "--json", "--no-update", **entry["env"], KIE_MCP_BASE_URL="http://127.0.0.1:9").stdout
    )
    (key,) = (each for each in found["findings"] if each["name"] == "key")
    assert (key["status"], key["text"]) == ("ok", "It is in the keyring and has 32 characters.")


def test_who_removes_an_entry_is_told_that_the_key_stays_in_the_keyring(settings: dict[str, str]) -> None:
    run(settings, "install", "cursor", "--keyring", KIE_API_KEY=KEY)
    removed = run(settings, "install", "--remove")
    assert "The key is still in the system's keyring (kie-mcp, api-key)" in removed.stdout


def test_a_key_that_is_in_the_keyring_is_not_asked_for(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"kie-mcp/api-key": KEY}), encoding="utf-8")
    ran = run(settings, "install", "cursor", "--keyring")
    assert ran.returncode == 0, ran.stderr
    assert "already" in ran.stdout


def test_a_locked_keyring_is_told_with_another_way(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "locked").touch()
    ran = run(settings, "install", "cursor", "--keyring", KIE_API_KEY=KEY)
    assert ran.returncode == 2
    assert "it is locked" in ran.stderr
    assert KEY not in ran.stderr
    assert not (tmp_path / ".cursor").exists()
