"""Changes of the configurations of clients: what they hold afterwards, and that nothing else changes."""

import difflib
import json
import tomllib
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.client_files import FILES, SERVER, folders_in, place_file, without_comments

from kie_mcp.errors import ConfigurationError
from kie_mcp.install.change import find_servers, make_snippet, plan_install, plan_removal
from kie_mcp.install.clients import BY_NAME, CLIENTS, Client
from kie_mcp.install.document import Document
from kie_mcp.install.entry import Server

EACH_CLIENT = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


def read(client: Client, text: str) -> Any:
    """Read a configuration with the parsers of the standard library, and of YAML."""
    if client.format == "toml":
        return tomllib.loads(text)
    if client.format == "yaml":
        return YAML(typ="safe", pure=True).load(text)
    return json.loads(without_comments(text))


def entry_of(client: Client, text: str, name: str = "kie") -> dict[str, Any]:
    servers = read(client, text)[client.servers]
    found = next(each for each in servers if each["name"] == name) if client.listed else servers[name]
    assert isinstance(found, dict)
    return found


def test_there_is_a_configuration_of_every_client() -> None:
    assert set(FILES) == set(BY_NAME)


@EACH_CLIENT
def test_the_entry_is_added_and_every_line_stays(client: Client, tmp_path: Path) -> None:
    before = place_file(client, tmp_path).read_text(encoding="utf-8")
    after = plan_install(client, folders_in(tmp_path), SERVER).after
    assert client.shape.read(entry_of(client, after)) == SERVER
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("- ")]
    # The line of the last entry gets a comma, the brackets of an empty object move apart, and one line has all.
    if client.name not in {"windsurf", "lm-studio"}:
        assert all(f"{line.removeprefix('- ')}," in after.splitlines() for line in lines), lines
        assert len(lines) <= 1
    assert {**read(client, after), client.servers: None} == {**read(client, before), client.servers: None}


@EACH_CLIENT
def test_a_second_time_changes_nothing_and_a_removal_gives_the_first_text_back(client: Client, tmp_path: Path) -> None:
    file, folders = place_file(client, tmp_path), folders_in(tmp_path)
    before = file.read_text(encoding="utf-8")
    plan_install(client, folders, SERVER).file.replace(plan_install(client, folders, SERVER).after)
    assert not plan_install(client, folders, SERVER).is_needed
    assert find_servers(client, folders) == [SERVER]
    after = plan_removal(client, folders).after
    if client.servers not in read(client, before):
        assert read(client, after) == {**read(client, before), client.servers: {}}
    else:
        assert after == before
    file.write_text(after, encoding="utf-8")
    assert not plan_removal(client, folders).is_needed


@EACH_CLIENT
def test_a_client_without_a_file_gets_one(client: Client, tmp_path: Path) -> None:
    change = plan_install(client, folders_in(tmp_path), SERVER)
    change.file.replace(change.after)
    assert client.shape.read(entry_of(client, change.file.path.read_text(encoding="utf-8"))) == SERVER
    assert change.after == make_snippet(client, SERVER)
    assert change.file.path.stat().st_mode & 0o077 == 0


@EACH_CLIENT
def test_what_the_user_has_set_in_an_earlier_entry_stays(client: Client, tmp_path: Path) -> None:
    old = Server(("uvx", "kie-mcp"), {"KIE_API_KEY": "an-old-key", "KIE_MCP_CONFIRM_ABOVE": "20"})
    entry = {**client.shape.write(old, "my-kie"), "timeout": 77}
    servers: Any = [entry] if client.listed else {"my-kie": entry}
    data = {client.servers: servers, "version": 1}
    text = json.dumps(data, indent=2)
    if client.format == "yaml":
        lines = StringIO()
        YAML().dump(data, lines)
        text = lines.getvalue()
    if client.format == "toml":
        text = 'version = 1\n[mcp_servers.my-kie]\ntimeout = 77 # long\ncommand = "uvx"\n'
        text += (
            'args = ["kie-mcp"]\n[mcp_servers.my-kie.env]\nKIE_API_KEY = "an-old-key"\nKIE_MCP_CONFIRM_ABOVE = "20"\n'
        )
    place_file(client, tmp_path, text.encode())
    change = plan_install(client, folders_in(tmp_path), SERVER)
    found = entry_of(client, change.after, "my-kie")
    assert found["timeout"] == 77
    assert client.shape.read(found) == Server(SERVER.command, {"KIE_MCP_CONFIRM_ABOVE": "20", **SERVER.env})
    assert "an-old-key" not in "\n".join(change.diff)
    assert len(read(client, change.after)[client.servers]) == 1


@EACH_CLIENT
def test_a_free_and_a_paid_entry_stay_what_they_are_and_go_together(client: Client, tmp_path: Path) -> None:
    free = Server(SERVER.command, {"KIE_MCP_SANDBOX": "1"})
    paid = Server(SERVER.command, {"KIE_API_KEY_FILE": "/k", "KIE_MCP_MAX_CREDITS_PER_DAY": "5000"})
    other = Server(SERVER.command, {"KIE_API_KEY_FILE": "/k"})
    folders, document = folders_in(tmp_path), Document.read(client, folders_in(tmp_path))
    for number, (name, server) in enumerate({"kie-test": free, "kie": paid, "kie-2": other}.items()):
        document = document.put(number if client.listed else name, {}, client.shape.write(server, name))
    place_file(client, tmp_path, document.text.encode())

    changed = plan_install(client, folders, Server(SERVER.command, {**paid.env, "KIE_MCP_MAX_CREDITS_PER_DAY": "900"}))
    changed.file.replace(changed.after)
    assert [each.env.get("KIE_MCP_SANDBOX") for each in find_servers(client, folders)] == ["1", None, None]
    assert [each.env.get("KIE_MCP_MAX_CREDITS_PER_DAY") for each in find_servers(client, folders)] == [
        None,
        "900",
        "900",
    ]
    assert not plan_install(client, folders, free).is_needed

    removed = plan_removal(client, folders)
    removed.file.replace(removed.after)
    assert find_servers(client, folders) == []


def test_the_difference_shows_our_own_settings_also_if_another_server_has_the_same(tmp_path: Path) -> None:
    client, own = BY_NAME["cursor"], {"KIE_MCP_MAX_CREDITS_PER_DAY": "1000"}
    data = {client.servers: {"o": {"command": "x", "env": {"MAX": "1000"}}}}
    place_file(client, tmp_path, json.dumps(data).encode())
    assert '"1000"' in "\n".join(plan_install(client, folders_in(tmp_path), Server(SERVER.command, own)).diff)


@pytest.mark.parametrize(
    "other",
    [
        {"url": "https://mcp.other.example/api/s/{secret}/mcp"},
        {"url": "https://{secret}@other.example/"},
        {"command": "npx", "args": ["mcp-remote", "https://x", "-H", "X-Api-Key: {secret}"]},
        {"command": "docker", "args": ["run", "-e", "NOTION_PAT={secret}", "image"]},
        {"command": ["npx", "other", "--pat", "{secret}"]},
        {"command": "other", "env": {"PIN": 987654321}},
    ],
)
def test_the_difference_hides_all_that_may_be_a_secret_of_another_server(other: dict[str, Any], tmp_path: Path) -> None:
    client, secret = BY_NAME["cursor"], "s3cr3tVALUE0123456789"
    place_file(client, tmp_path, json.dumps({client.servers: {"o": other}}).replace("{secret}", secret).encode())
    shown = "\n".join(plan_install(client, folders_in(tmp_path), SERVER).diff)
    assert (secret in shown, "987654321" in shown, SERVER.command[0] in shown) == (False, False, True)


@pytest.mark.parametrize(
    ("old", "given", "kept"),
    [
        (("uvx", "kie-mcp", "--tools", "compact", "--prefix", "kie"), {}, ("--tools", "compact", "--prefix", "kie")),
        (("/opt/bin/kie-mcp", "serve", "--tools=image, video"), {}, ("--tools", "image, video")),
        (("conda", "run", "--prefix", "/envs/kie", "kie-mcp", "--tools", "all"), {}, ("--tools", "all")),
        (("sh", "-c", "exec uvx kie-mcp --prefix kie 2>log"), {}, ("--prefix", "kie")),
        (("uvx", "kie-mcp", "--tools", "compact", "--prefix", "kie"), {"KIE_MCP_TOOLS": "all"}, ("--prefix", "kie")),
        (("uvx", "kie-mcp", "--tolls", "compact"), {}, ()),
    ],
)
def test_options_in_an_earlier_entry_stay_unless_this_shell_says_otherwise(
    old: tuple[str, ...], given: dict[str, str], kept: tuple[str, ...], tmp_path: Path
) -> None:
    client, folders = BY_NAME["cursor"], folders_in(tmp_path)
    data = {client.servers: {"kie": client.shape.write(Server(old))}}
    place_file(client, tmp_path, json.dumps(data).encode())
    server = Server(SERVER.command, given)
    change = plan_install(client, folders, server)
    change.file.replace(change.after)
    assert find_servers(client, folders) == [Server((*SERVER.command, *kept), given)]
    assert not plan_install(client, folders, server).is_needed


@EACH_CLIENT
def test_a_diff_shows_no_secret_of_this_or_another_server(client: Client, tmp_path: Path) -> None:
    file = place_file(client, tmp_path)
    change = plan_install(client, folders_in(tmp_path), SERVER)
    shown = "\n".join(change.diff)
    assert "kie-mcp" in shown
    assert "secretOfAnotherServer" not in shown
    # Also not where everything is shown, because all lines are new.
    file.unlink()
    whole = type(change)(client, plan_install(client, folders_in(tmp_path), SERVER).file, change.after, change.secrets)
    assert "secretOfAnotherServer" not in "\n".join(whole.diff)
    assert "/home/ann/.local/share/kie-mcp/api-key" in shown


def test_a_server_of_another_program_keeps_the_name(tmp_path: Path) -> None:
    client = BY_NAME["cursor"]
    other = {"command": "npx", "args": ["-y", "@felores/kie-ai-mcp-server"]}
    place_file(client, tmp_path, json.dumps({"mcpServers": {"kie": other}}).encode())
    after = json.loads(plan_install(client, folders_in(tmp_path), SERVER).after)
    assert set(after["mcpServers"]) == {"kie", "kie-mcp"}
    assert after["mcpServers"]["kie"] == other


@pytest.mark.parametrize("client", ["cursor", "codex", "goose", "continue"])
def test_servers_of_other_programs_keep_every_name(client: str, tmp_path: Path) -> None:
    one, folders = BY_NAME[client], folders_in(tmp_path)
    other = ""
    place_file(one, tmp_path, b"")
    # Each of these is put there by another program, after which the entry of kie-mcp is a new one again.
    for _ in range(3):
        change = plan_install(one, folders, SERVER)
        other = change.after.replace(SERVER.command[0], "/usr/bin/npx")
        place_file(one, tmp_path, other.encode())
    before, after = (read(one, text)[one.servers] for text in (other, plan_install(one, folders, SERVER).after))
    names = [each["name"] for each in after] if one.listed else [*after]
    assert names == ["kie", "kie-mcp", "kie-mcp-2", "kie-mcp-3"]
    assert after[:3] == before if one.listed else before.items() <= after.items()


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        (("uvx", "kie-mcp"), True),
        (("/home/ann/.local/bin/uvx", "--from", "kie-mcp[ffmpeg]", "kie-mcp"), True),
        (("uvx", "kie-mcp@0.4.0"), True),
        (("pipx", "run", "kie-mcp==0.4.0"), True),
        ((r"C:\Users\Ann\AppData\Roaming\uv\tools\kie-mcp\Scripts\kie-mcp.exe",), True),
        (("python3", "-m", "kie_mcp"), True),
        (("uvx", "--from", "/home/ann/src/kie-mcp", "kie-mcp", "--tools", "all"), True),
        (("uvx", "git+https://github.com/kie-mcp/kie-mcp"), True),
        (("pipx", "run", "--spec", "git+ssh://git@example.org/ann/kie-mcp.git@main", "start"), True),
        (("uvx", "kie-mcp @ git+https://github.com/kie-mcp/kie-mcp"), True),
        (("python3", "/opt/venv/bin/kie-mcp"), True),
        (("cmd", "/c", r"C:\Users\Ann\venv\Scripts\kie-mcp.exe"), True),
        (("cmd", "/c", "uvx", "kie-mcp"), True),
        (("bash", "-lc", "exec '/home/ann/.local/bin/uvx' 'kie-mcp'"), True),
        (("npx", "-y", "@felores/kie-ai-mcp-server"), False),
        (("npx", "kie-mcp-server"), False),
        (("node", "/home/ann/kie-mcp/server/index.js"), False),
        (("npx", "-y", "@modelcontextprotocol/server-filesystem", "/Users/ann/Downloads/kie-mcp"), False),
        (("npx", "-y", "@modelcontextprotocol/server-filesystem", r"C:\Users\Ann\Downloads\kie-mcp"), False),
        (("npx", "-y", "@modelcontextprotocol/server-filesystem", "/Users/ann/My kie-mcp"), False),
        (("uvx", "mcp-server-git", "--repository", "https://github.com/kie-mcp/kie-mcp"), False),
        (("uvx", "mcp-server-sqlite", "--db-path", "kie-mcp.db"), False),
        ((), False),
    ],
)
def test_an_entry_is_known_as_kie_mcp_by_what_it_starts(command: tuple[str, ...], ours: bool) -> None:
    assert Server(command).is_ours == ours


DAMAGED = {
    "json": ['{"mcpServers": {', '{"a": 1} {"b": 2}', "[]", '{"a" 1}', '{"a": 1, "a": 2}', "{'a': 1}", "\x00", "null"],
    "toml": ["[mcp_servers", "a = ", 'mcp_servers = "x"', "a = 1\na = 2"],
    "yaml": ["a: [", "a: b: c", "- 1", "text", "a: 1\na: 2", "extensions: 5\nmcpServers: 5", "\ta: 1"],
}


@EACH_CLIENT
def test_a_damaged_file_is_refused_with_what_to_do(client: Client, tmp_path: Path) -> None:
    for text in (each.replace("mcpServers", client.servers) for each in DAMAGED[client.format]):
        file = place_file(client, tmp_path, text.encode())
        plans = (partial(plan_install, client, server=SERVER), partial(plan_removal, client))
        for plan in plans:
            with pytest.raises(ConfigurationError, match="Nothing was changed") as caught:
                plan(folders=folders_in(tmp_path))
            assert str(file) in str(caught.value)
            assert f"--print {client.name}" in caught.value.next_step
        assert file.read_bytes() == text.encode()


@EACH_CLIENT
@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf"], ids=["empty", "blank", "mark"])
def test_an_empty_file_is_filled(client: Client, content: bytes, tmp_path: Path) -> None:
    file = place_file(client, tmp_path, content)
    change = plan_install(client, folders_in(tmp_path), SERVER)
    change.file.replace(change.after)
    assert client.shape.read(entry_of(client, file.read_text(encoding="utf-8-sig"))) == SERVER
    assert file.read_bytes().startswith(b"\xef\xbb\xbf") == content.startswith(b"\xef\xbb\xbf")


@EACH_CLIENT
def test_a_byte_order_mark_and_ends_of_lines_as_on_windows_stay(client: Client, tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + FILES[client.name].read_bytes().replace(b"\n", b"\r\n")
    file = place_file(client, tmp_path, content)
    change = plan_install(client, folders_in(tmp_path), SERVER)
    change.file.replace(change.after)
    written = file.read_bytes()
    assert written.startswith(b"\xef\xbb\xbf")
    assert written.count(b"\n") == written.count(b"\r\n")
    assert client.shape.read(entry_of(client, written.decode("utf-8-sig"))) == SERVER
    removal = plan_removal(client, folders_in(tmp_path))
    removal.file.replace(removal.after)
    if client.servers in read(client, content.decode("utf-8-sig")):
        assert file.read_bytes() == content


def test_toml_of_other_styles_is_kept(tmp_path: Path) -> None:
    client = BY_NAME["codex"]
    for text in (
        'mcp_servers.docs.command = "npx"\n',
        'mcp_servers = { docs = { command = "npx" } } # all\n',
        '[mcp_servers]\ndocs = { command = "npx" }\n\n[tui]\ntheme = "x"\n',
        "[[profiles]]\nname = \"a\"\n\n[mcp_servers.\"docs\"]\ncommand = '''npx'''\n# the end",
    ):
        place_file(client, tmp_path, text.encode())
        after = plan_install(client, folders_in(tmp_path), SERVER).after
        assert client.shape.read(entry_of(client, after)) == SERVER, text
        assert tomllib.loads(after)["mcp_servers"]["docs"]["command"] == "npx"


def test_yaml_of_other_styles_is_kept(tmp_path: Path) -> None:
    client = BY_NAME["goose"]
    for text in (
        "extensions: {}\n",
        "extensions:\n",
        "# only a comment\n",
        "extensions: {a: {type: builtin, name: a}}\nb:   1  # wide\n",
        "---\nb: &x\n    c:   'd'\nextensions:\n    a:\n        name: a\n        more: *x\n",
        "long: " + "word " * 60 + "\nextensions:\n    a: {name:   a}\n",
        "extensions:\n  a:\n    cmd: x",
        "GOOSE_MODEL: x\nextensions:",
        "extensions:\n    a:\n        cmd: x\n        args:\n            - y\n# end",
        "x:\n    - y\nextensions:\n  a:\n    cmd: x\n",
        "x:\n  - y\nextensions:\n    a:\n        cmd: x\n",
    ):
        place_file(client, tmp_path, text.encode())
        after = plan_install(client, folders_in(tmp_path), SERVER).after
        assert client.shape.read(entry_of(client, after)) == SERVER, text
        for line in text.splitlines():
            assert line in after.splitlines() or line.startswith("extensions")
