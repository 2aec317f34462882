"""`kie-mcp install` and what a person sees of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.client_files import FILES, place_all
from support.commands import run_command
from support.terminal import run_in_terminal

from kie_mcp.config import list_secret_names
from kie_mcp.install.clients import BY_NAME, CLIENTS

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def run(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `kie-mcp install` for a user with this home, and no client on PATH."""
    places = {"HOME": str(home), "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": "", "PATH": "/nowhere", "CODEX_HOME": ""}
    return run_command("install", *arguments, cwd=home, **(places | settings))


def everything(folder: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_all_clients_that_are_there_get_it_and_lose_it_again(home: Path) -> None:
    files = place_all(home)
    before = everything(home)
    ran = run(home, KIE_API_KEY=KEY)
    assert (ran.returncode, ran.stderr) == (0, "")
    key_file = home / ".local/share/kie-mcp/api-key"
    assert key_file.read_text(encoding="utf-8").strip() == KEY
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert KEY not in ran.stdout
    assert "It starts, and answers in" in ran.stdout
    for client in CLIENTS:
        assert client.title in ran.stdout
        assert str(key_file) in files[client.name].read_text(encoding="utf-8")
    written = {path: content for path, content in everything(home).items() if path not in before}
    assert [path for path, content in written.items() if KEY.encode() in content] == [key_file]

    again = run(home)
    assert again.returncode == 0
    assert again.stdout.count("nothing to change") == len(CLIENTS)
    assert {path: path.read_bytes() for path in [*before, *written]} == everything(home)

    removed = run(home, "--remove")
    assert removed.returncode == 0
    assert str(key_file) in removed.stdout.replace("\n", "")
    for name in ("claude-code", "vscode", "codex", "goose", "continue"):
        assert files[name].read_bytes() == FILES[name].read_bytes()


def test_a_dry_run_shows_everything_and_changes_nothing(home: Path) -> None:
    place_all(home)
    before = everything(home)
    ran = run(home, "--dry-run")
    assert ran.returncode == 0
    assert ran.stdout.count("+") > 100
    assert everything(home) == before


@pytest.mark.parametrize(
    ("name", "value"), [("TOOLS", "bogus"), ("PREFIX", "a b"), ("DATA_DIR", "/proc/kie"), ("OUTPUT_DIR", "/proc/kie")]
)
def test_settings_with_which_each_call_would_fail_are_refused(name: str, value: str, home: Path) -> None:
    before = everything(home)
    ran = run(home, "cursor", "--sandbox", **{f"KIE_MCP_{name}": value})
    assert (ran.returncode, value in ran.stderr) == (2, True)
    assert everything(home) == before


def test_a_cap_is_recommended_where_the_entry_has_none(home: Path) -> None:
    hint = "KIE_MCP_MAX_CREDITS_PER_DAY=1000"
    assert hint in run(home, "cursor", KIE_API_KEY=KEY).stdout
    assert hint not in run(home, "cursor", KIE_MCP_MAX_CREDITS_PER_DAY="500").stdout
    assert hint not in run(home, "cursor", KIE_MCP_CONFIRM_ABOVE="20").stdout


def test_one_client_is_set_up_for_the_sandbox_with_the_settings_of_this_shell(home: Path) -> None:
    ran = run(home, "cursor", "--sandbox", KIE_MCP_MAX_CREDITS_PER_DAY="500", KIE_MCP_HTTP_TOKEN="a-long-secret-token")
    assert (ran.returncode, ran.stderr) == (0, "")
    entry = json.loads((home / ".cursor/mcp.json").read_text(encoding="utf-8"))["mcpServers"]["kie"]
    assert entry["env"] == {"KIE_MCP_MAX_CREDITS_PER_DAY": "500", "KIE_MCP_SANDBOX": "1"}
    assert Path(entry["command"]).is_absolute()
    assert not (home / ".local").exists()


def test_folders_of_this_shell_are_copied_as_whole_paths(home: Path) -> None:
    """A client starts the server in another working folder, and without the variables of this shell."""
    folders = {"KIE_MCP_OUTPUT_DIR": "pictures", "KIE_MCP_DATA_DIR": "~/data", "KIE_MCP_READ_DIRS": "$STUDIO/in:photos"}
    printed = run(home, "--print", "cursor", "--sandbox", STUDIO="/studio", **folders).stdout
    assert json.loads(printed)["mcpServers"]["kie"]["env"] == {
        "KIE_MCP_OUTPUT_DIR": str(home / "pictures"),
        "KIE_MCP_DATA_DIR": str(home / "data"),
        "KIE_MCP_READ_DIRS": f"/studio/in:{home / 'photos'}",
        "KIE_MCP_SANDBOX": "1",
    }


def test_no_secret_of_this_shell_is_copied_or_shown(home: Path) -> None:
    values = {"KIE_MCP_DATABASE_URL": "postgresql://kie:some-password@localhost/kie"}
    secrets = {name: values.get(name, f"{n}-{KEY}") for n, name in enumerate(list_secret_names())}
    ran = run(home, "cursor", KIE_MCP_OIDC_ISSUER="https://login.example", **secrets)
    assert (ran.returncode, ran.stderr) == (0, "")
    written = (home / ".cursor/mcp.json").read_text(encoding="utf-8")
    assert [value for value in secrets.values() if value in written or value in ran.stdout] == []
    assert "Not copied" in ran.stdout
    assert all(name in ran.stdout for name in secrets if name.startswith("KIE_MCP_"))
    # Of an earlier entry that holds them, none is shown either.
    entry = {"command": "uvx", "args": ["kie-mcp"], "env": secrets}
    (home / ".cursor/mcp.json").write_text(json.dumps({"mcpServers": {"kie": entry}}), encoding="utf-8")
    for more in ((), ("--remove",)):
        shown = run(home, "cursor", "--dry-run", *more).stdout
        assert [value for value in secrets.values() if value in shown] == []


def test_an_earlier_entry_s_key_moves_into_the_file(home: Path) -> None:
    (home / ".cursor").mkdir()
    entry = {"command": "uvx", "args": ["kie-mcp"], "env": {"KIE_API_KEY": KEY}}
    (home / ".cursor/mcp.json").write_text(json.dumps({"mcpServers": {"kie": entry}}), encoding="utf-8")
    ran = run(home)
    assert ran.returncode == 0
    assert KEY not in ran.stdout
    assert KEY not in (home / ".cursor/mcp.json").read_text(encoding="utf-8")
    assert (home / ".local/share/kie-mcp/api-key").read_text(encoding="utf-8").strip() == KEY


def test_a_key_that_is_given_goes_into_our_file_and_the_client_reads_it_there(home: Path) -> None:
    """The user's own key file stays as it is, though it is set as well."""
    theirs = home / "secrets-key"
    theirs.write_text("another-key-of-the-user-0123456789", encoding="utf-8")
    ran = run(home, "cursor", KIE_API_KEY=KEY, KIE_API_KEY_FILE=str(theirs))
    assert ran.returncode == 0
    entry = json.loads((home / ".cursor/mcp.json").read_text(encoding="utf-8"))["mcpServers"]["kie"]
    assert Path(entry["env"]["KIE_API_KEY_FILE"]).read_text(encoding="utf-8").strip() == KEY
    assert theirs.read_text(encoding="utf-8") == "another-key-of-the-user-0123456789"


@pytest.mark.parametrize("client", ["claude-desktop", "codex", "goose"])
def test_a_snippet_is_printed_alone_on_stdout(client: str, home: Path) -> None:
    ran = run(home, "--print", client)
    assert ran.returncode == 0
    assert "kie" in ran.stdout
    assert str(home) in ran.stderr
    if BY_NAME[client].format == "json":
        assert BY_NAME[client].servers in json.loads(ran.stdout)
    assert everything(home) == {}


def test_a_snippet_whose_key_is_nowhere_yet_says_so(home: Path) -> None:
    hint = run(home, "--print", "cursor", KIE_API_KEY=KEY).stderr
    assert f"There is no key in {home / '.local/share/kie-mcp/api-key'} yet." in hint
    assert "install cursor` stores it there" in hint
    run(home, "cursor", KIE_API_KEY=KEY)
    assert "There is no key" not in run(home, "--print", "cursor").stderr
    assert "There is no key" not in run(home, "--print", "cursor", "--sandbox").stderr


def test_a_file_of_the_user_is_named_when_the_entry_that_reads_it_is_removed(home: Path) -> None:
    theirs = home / "secrets-key"
    theirs.write_text(KEY, encoding="utf-8")
    run(home, "cursor", KIE_API_KEY_FILE=str(theirs))
    removed = run(home, "--remove", "cursor")
    assert f"is still in {theirs}; " in removed.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("claude-dekstop",), {}, "did you mean claude-desktop?"),
        ((), {}, "No MCP client is found here"),
        (("cursor",), {}, "No KIE.ai key is given"),
        (("cursor",), {"KIE_API_KEY": "your-api-key"}, "placeholder"),
        (("--print", "emacs"), {}, "There is no client emacs"),
    ],
)
def test_what_cannot_be_done_is_told_with_the_next_step(
    arguments: tuple[str, ...], settings: dict[str, str], words: str, home: Path
) -> None:
    ran = run(home, *arguments, **settings)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert words in ran.stderr
    assert len(ran.stderr.splitlines()) >= 2
    assert "Traceback" not in ran.stderr
    assert everything(home) == {}


def test_a_damaged_file_stops_only_its_own_client(home: Path) -> None:
    files = place_all(home)
    files["cursor"].write_text('{"mcpServers": ', encoding="utf-8")
    ran = run(home, "cursor", "codex", "--sandbox")
    assert ran.returncode == 1
    assert "is damaged" in ran.stdout
    assert "--print cursor" in ran.stdout.replace("\n", " ")
    assert files["cursor"].read_text(encoding="utf-8") == '{"mcpServers": '
    assert "mcp_servers.kie" in files["codex"].read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="There is no terminal to make.")
def test_in_a_terminal_the_key_is_asked_for_without_showing_it_and_each_change_is_confirmed(home: Path) -> None:
    places = {"HOME": str(home), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "CODEX_HOME": ""}
    answers = [("not shown): ", KEY), ("Write this? [Y/n]: ", "n"), ("Write this? [Y/n]: ", "")]
    code, shown = run_in_terminal(places, "install", "cursor", "codex", answers=answers)
    assert code == 0
    assert KEY not in shown
    assert not (home / ".cursor").exists()
    assert "kie-mcp" in (home / ".codex/config.toml").read_text(encoding="utf-8")
    assert all(len(line) <= 80 or str(home) in line or sys.prefix in line for line in shown.splitlines())
