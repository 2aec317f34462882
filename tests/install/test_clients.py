"""Where the clients are on each system, and the command that they get."""

from pathlib import Path

import pytest
from support.client_files import folders_in, place_all

from kie_mcp.install.clients import BY_NAME, CLIENTS, find_folders
from kie_mcp.install.command import find_command, name_command, write_command

MAC = "Library/Application Support"
FILES = {
    # name: on Linux, on macOS, on Windows
    "claude-desktop": (
        ".config/Claude/claude_desktop_config.json",
        f"{MAC}/Claude/claude_desktop_config.json",
        "AppData/Roaming/Claude/claude_desktop_config.json",
    ),
    "claude-code": (".claude.json",) * 3,
    "cursor": (".cursor/mcp.json",) * 3,
    "vscode": (".config/Code/User/mcp.json", f"{MAC}/Code/User/mcp.json", "AppData/Roaming/Code/User/mcp.json"),
    "windsurf": (".codeium/windsurf/mcp_config.json",) * 3,
    "codex": (".codex/config.toml",) * 3,
    "gemini-cli": (".gemini/settings.json",) * 3,
    "opencode": (".config/opencode/opencode.json",) * 3,
    "zed": (".config/zed/settings.json", ".config/zed/settings.json", "AppData/Roaming/Zed/settings.json"),
    "goose": (
        ".config/goose/config.yaml",
        ".config/goose/config.yaml",
        "AppData/Roaming/Block/goose/config/config.yaml",
    ),
    "cline": (".cline/data/settings/cline_mcp_settings.json",) * 3,
    "continue": (".continue/config.yaml",) * 3,
    "lm-studio": (".lmstudio/mcp.json",) * 3,
}


def test_every_client_has_its_file_where_its_documents_say(tmp_path: Path) -> None:
    for name, paths in FILES.items():
        for system, path in zip(("linux", "darwin", "win32"), paths, strict=True):
            assert BY_NAME[name].find_file(folders_in(tmp_path, system)) == tmp_path / path
    assert list(FILES) == [client.name for client in CLIENTS]


def test_settings_of_the_environment_move_the_files(tmp_path: Path) -> None:
    env = {"HOME": "/h", "XDG_CONFIG_HOME": "/x", "CODEX_HOME": "/c", "CLAUDE_CONFIG_DIR": "/d", "CLINE_DIR": "/l"}
    folders = find_folders("linux", env)
    found = {client.name: client.find_file(folders).as_posix() for client in CLIENTS}
    assert found["vscode"] == "/x/Code/User/mcp.json"
    assert found["opencode"] == "/x/opencode/opencode.json"
    assert found["codex"] == "/c/config.toml"
    assert found["claude-code"] == "/d/.claude.json"
    assert found["cline"].startswith("/l/")
    env = {"USERPROFILE": str(tmp_path), "APPDATA": "/roaming", "LOCALAPPDATA": str(tmp_path / "local")}
    assert BY_NAME["zed"].find_file(find_folders("win32", env)).as_posix() == "/roaming/Zed/settings.json"


def test_claude_desktop_from_a_package_of_windows_has_another_file(tmp_path: Path) -> None:
    """It sees other files in place of those in %APPDATA%."""
    packaged = tmp_path / "AppData" / "Local" / "Packages" / "Claude_pzs8sxrjxfjjc" / "LocalCache" / "Roaming"
    packaged.mkdir(parents=True)
    file = BY_NAME["claude-desktop"].find_file(folders_in(tmp_path, "win32"))
    assert file == packaged / "Claude" / "claude_desktop_config.json"


def test_the_file_that_is_there_counts(tmp_path: Path) -> None:
    client, folder = BY_NAME["opencode"], tmp_path / ".config" / "opencode"
    folder.mkdir(parents=True)
    (folder / "opencode.jsonc").touch()
    assert client.find_file(folders_in(tmp_path)) == folder / "opencode.jsonc"
    (folder / "opencode.json").touch()
    assert client.find_file(folders_in(tmp_path)) == folder / "opencode.json"


def test_cline_of_vs_code_is_found_where_it_was_before_it_had_a_folder_of_its_own(tmp_path: Path) -> None:
    old = tmp_path / ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings"
    old.mkdir(parents=True)
    assert BY_NAME["cline"].find_file(folders_in(tmp_path)).parent == old
    (tmp_path / ".cline/data/settings").mkdir(parents=True)
    assert BY_NAME["cline"].find_file(folders_in(tmp_path)).parent == tmp_path / ".cline/data/settings"


def test_a_client_is_there_if_it_has_a_file_a_folder_or_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def found() -> set[str]:
        return {client.name for client in CLIENTS if client.is_there(folders_in(tmp_path))}

    assert found() == set()
    (tmp_path / ".gemini").mkdir()
    (programs / "claude").touch(mode=0o755)
    assert found() == {"gemini-cli", "claude-code"}
    place_all(tmp_path)
    assert found() == set(BY_NAME)


def make_program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def test_the_command_is_the_program_of_this_environment(tmp_path: Path) -> None:
    program = make_program(tmp_path / "venv" / "bin" / "kie-mcp")
    assert find_command(str(tmp_path / "venv"), {"PATH": ""}) == (str(program),)


def test_an_environment_without_the_program_starts_the_module(tmp_path: Path) -> None:
    program, *arguments = find_command(str(tmp_path), {"PATH": ""})
    assert Path(program).is_absolute()
    assert arguments == ["-m", "kie_mcp"]


@pytest.mark.parametrize("cache", ["archive-v0/Xy_9", "environments-v2/kie-mcp-1a2b"])
def test_from_the_cache_of_uv_the_command_is_uvx_itself(cache: str, tmp_path: Path) -> None:
    """The cache is cleaned some day."""
    make_program(tmp_path / "cache" / cache / "bin" / "kie-mcp")
    uvx = make_program(tmp_path / "uv" / "uvx")
    for env in ({"UV": str(tmp_path / "uv" / "uv"), "PATH": ""}, {"PATH": str(tmp_path / "uv")}):
        command = find_command(str(tmp_path / "cache" / cache), env)
        assert (command[0], command[-1]) == (str(uvx), "kie-mcp")


def test_a_tool_that_uv_or_pipx_has_installed_is_its_own_program(tmp_path: Path) -> None:
    for folder in ("uv/tools/kie-mcp", "pipx/venvs/kie-mcp"):
        program = make_program(tmp_path / folder / "bin" / "kie-mcp")
        make_program(tmp_path / "bin" / "uvx")
        make_program(tmp_path / "bin" / "pipx")
        assert find_command(str(tmp_path / folder), {"PATH": str(tmp_path / "bin")}) == (str(program),)


@pytest.mark.parametrize(
    "cache", [".cache/pipx/1a2b", "Library/Caches/pipx/1a2b", "pipx/Cache/1a2b", "pipx/.cache/1a2b"]
)
def test_from_the_cache_of_pipx_the_command_is_pipx_itself(cache: str, tmp_path: Path) -> None:
    pipx = make_program(tmp_path / "bin" / "pipx")
    command = find_command(str(tmp_path / cache / "1a2b"), {"PATH": str(tmp_path / "bin")})
    assert command[:2] == (str(pipx), "run")
    assert command[-1] == "kie-mcp"


@pytest.mark.parametrize(
    ("program", "more", "typed"),
    [
        ("bin/uvx", ("kie-mcp",), "uvx kie-mcp"),
        ("bin/uvx", ("--from", "kie-mcp[ffmpeg]", "kie-mcp"), "uvx --from 'kie-mcp[ffmpeg]' kie-mcp"),
        ("my tools/kie-mcp", (), "'{folder}/my tools/kie-mcp'"),
    ],
)
def test_a_person_is_told_a_command_that_the_shell_runs(
    program: str, more: tuple[str, ...], typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    command = (str(make_program(tmp_path / program)), *more)
    assert name_command(command, "install", A="1") == f"A=1 {typed.format(folder=tmp_path)} install"


def test_on_windows_a_command_is_told_for_powershell() -> None:
    program = r"C:\Users\Ann Lee\kie-mcp.exe"
    assert write_command([program, "install"], {"A": "1"}, "win32") == f"$env:A='1'; & \"{program}\" install"
    assert write_command(["uvx", "kie-mcp"], {}, "win32") == "uvx kie-mcp"
