"""The manifests of registries and clients: one source, and each as its reader wants it."""

import json
import re
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import manifests
import pytest
from mcp import Client
from project import read_project
from support.paths import ROOT

from kie_mcp import __doc__ as package_doc
from kie_mcp import __version__
from kie_mcp.config import Settings
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio

PROJECT = read_project()
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOSTS = (ROOT / "docs" / "hosts.md").read_text(encoding="utf-8")
SCHEMA = json.loads((Path(__file__).parent / "server.schema.json").read_text(encoding="utf-8"))
LINKS = re.findall(r"\]\((https://(?:cursor\.com|insiders\.vscode\.dev)/.*?)\)", README)


def read(place: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((ROOT / place).read_text(encoding="utf-8"))
    return manifest


@pytest.mark.parametrize("place", manifests.write_all(PROJECT))
def test_a_manifest_is_what_pyproject_says_today(place: str) -> None:
    assert (ROOT / place).read_text(encoding="utf-8") == manifests.write_all(PROJECT)[place], "Run scripts/packages."


def test_all_manifests_agree_on_version_and_description() -> None:
    all_ = [read(place) for place in manifests.MANIFESTS]
    versioned = [each for manifest in all_ for each in (manifest, *manifest.get("plugins", [])) if "version" in each]
    told = {(each["version"], each["description"]) for each in versioned}
    assert len(versioned) == 5
    assert told == {(__version__, PROJECT.description)}
    assert package_doc == PROJECT.description


def test_every_setting_that_a_manifest_names_exists() -> None:
    known = {alias for field in Settings.model_fields.values() if isinstance(alias := field.validation_alias, str)}
    known |= {f"KIE_MCP_{name.upper()}" for name in Settings.model_fields} | {"KIE_API_KEY"}
    named = {found for place in manifests.MANIFESTS for found in re.findall(r"KIE_[A-Z_]+", json.dumps(read(place)))}
    assert len(named) >= 5
    assert named <= known


def test_the_registry_takes_the_entry() -> None:
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(read("server.json"))


@pytest.mark.parametrize(
    "wrong",
    [{"name": "kie-mcp"}, {"description": "x" * 101}, {"packages": [{"registryType": "pypi"}]}, {"version": 1}],
    ids=str,
)
def test_the_registry_refuses_a_wrong_entry(wrong: dict[str, Any]) -> None:
    assert not jsonschema.Draft7Validator(SCHEMA).is_valid({**read("server.json"), **wrong})


def test_the_readme_says_to_whom_the_registry_entry_belongs() -> None:
    # The registry looks for this text in the package's page, with a blank or the line's end after the name.
    assert re.findall(r"mcp-name: (\S+)(?=\s)", README) == [read("server.json")["name"]]


def test_the_link_for_cursor_adds_the_server() -> None:
    (link,) = [urlsplit(each) for each in LINKS if "cursor" in each]
    query = parse_qs(link.query)
    assert query["name"] == ["kie"]
    assert (
        json.loads(b64decode(query["config"][0]))
        == json.loads((ROOT / "claude_desktop_config.example.json").read_text(encoding="utf-8"))["mcpServers"]["kie"]
    )


def test_the_link_for_vs_code_adds_the_server_of_the_document() -> None:
    (link,) = [urlsplit(each) for each in LINKS if "vscode" in each]
    query = parse_qs(link.query)
    (shown,) = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", HOSTS, re.DOTALL) if '"inputs"' in block
    ]
    assert json.loads(query["inputs"][0]) == shown["inputs"]
    assert {query["name"][0]: json.loads(query["config"][0])} == shown["servers"]


async def test_the_server_names_itself_as_the_manifests_do() -> None:
    async with Client(build_server(App())) as client:
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == (PROJECT.name, PROJECT.version)


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("claude-code", ["claude", "plugin", "validate", "packaging/claude-plugin"]),
        ("claude-code", ["claude", "plugin", "validate", "."]),
        ("gemini-cli", ["gemini", "extensions", "validate", "."]),
    ],
    ids=["plugin", "marketplace", "extension"],
)
def test_the_client_itself_takes_its_manifest(host: str, command: list[str], tmp_path: Path) -> None:
    program = ROOT / ".hosts" / host / "node_modules" / ".bin" / command[0]
    if not program.exists():
        pytest.skip(f"{host} is not installed: scripts/hosts --install {host}")
    ran = subprocess.run(
        [program, *command[1:]],
        cwd=ROOT,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
