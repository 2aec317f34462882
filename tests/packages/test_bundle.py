"""The MCP bundle and the wheel, made by the official tools and started as clients do."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

import build
import jsonschema
import pytest
from manifests import write_all
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from project import read_constraints, read_project
from support.certificates import find_environment_of_machine
from support.paths import ROOT

from kie_mcp.server.selection import Selection

pytestmark = pytest.mark.anyio

PROJECT = read_project()
BIN = Path(sys.executable).parent
OFFLINE = re.compile(r"error sending request|dns error|network|timed out|Could not connect", re.IGNORECASE)
needs_mcpb = pytest.mark.skipif(not build.MCPB.exists(), reason="There is no mcpb; see scripts/node.")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.pack_bundle(tmp_path_factory.mktemp("bundle"), PROJECT)


@pytest.fixture
def unpacked(bundle: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "extensions" / "kie mcp"
    subprocess.run([build.MCPB, "unpack", bundle, folder], check=True, capture_output=True)
    return folder


def list_files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def fill_in(value: Any, told: dict[str, str]) -> Any:
    """Return a configuration in which the client has filled in what the user and the system told."""
    match value:
        case str():
            return re.sub(r"\$\{(.+?)\}", lambda found: told[found[1]], value)
        case list():
            return [fill_in(each, told) for each in value]
        case dict():
            return {key: fill_in(each, told) for key, each in value.items()}
        case _:
            return value


def prepare(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Let uv download what a server needs, as a client does before it starts it."""
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode and OFFLINE.search(ran.stderr):
        pytest.skip("Packages cannot be downloaded.")
    assert ran.returncode == 0, ran.stderr


def build_environment(home: Path) -> dict[str, str]:
    """Return the environment of a client: that of this machine, without settings of ours and without a virtual one."""
    machine = find_environment_of_machine()
    own = {name: value for name, value in machine.items() if not name.startswith(("KIE_", "VIRTUAL_ENV", "PYTHON"))}
    cache = subprocess.run([BIN / "uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    path = f"{BIN}{os.pathsep}{own.get('PATH', '')}"
    # The SDK's client is answered after seconds otherwise, on a busy machine before all is saved.
    patient = {"KIE_MCP_WAIT_SECONDS": "60"}
    return {**own, **patient, "HOME": str(home), "UV_CACHE_DIR": cache, "UV_PYTHON": sys.executable, "PATH": path}


async def list_and_make(server: StdioServerParameters) -> tuple[int, str]:
    """Return how many tools a server lists, and the status of a picture that it is asked for."""
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        made = await client.call_tool("nano_banana_image", {"prompt": "a red fox"})
        id_ = (made.structured_content or {})["task_id"]
        ended = await client.call_tool("get_task", {"task_ids": [id_], "wait_seconds": 60})
        assert client.server_info is not None
        assert client.server_info.version == PROJECT.version
        return len(tools), str((ended.structured_content or {})["status"])


@needs_mcpb
async def test_the_bundle_starts_from_its_unpacked_folder(unpacked: Path, tmp_path: Path) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text(encoding="utf-8"))
    options = {name: option.get("default") for name, option in manifest["user_config"].items()}
    options |= {"api_key": "not-used-in-the-sandbox-0123456789", "sandbox": "true"}
    told = {f"user_config.{name}": str(value) for name, value in options.items()}
    told |= {"user_config.output_dir": str(tmp_path / "Downloads"), "__dirname": str(unpacked), "/": "/"}
    config = fill_in(manifest["server"]["mcp_config"], told)
    environment = build_environment(tmp_path)
    prepare([str(BIN / "uv"), "sync"], unpacked, environment)
    server = StdioServerParameters(
        command=str(BIN / config["command"]), args=config["args"], env={**environment, **config["env"]}
    )
    assert await list_and_make(server) == (len(Selection("standard").tools), "succeeded")
    assert len(list((tmp_path / "Downloads" / "kie-mcp").glob("*nano-banana*-1.*"))) == 2


@needs_mcpb
def test_the_bundle_has_the_server_and_nothing_else(unpacked: Path) -> None:
    beside = {"LICENSE", "icon.png", "manifest.json", "pyproject.toml", "src/start.py"}
    package = {Path("src") / each for each in list_files(ROOT / "src")}
    assert list_files(unpacked) == {Path(each) for each in beside} | package


def test_the_bundle_installs_the_versions_of_constraints_txt_and_no_file_of_the_checkout_repeats_them(
    tmp_path: Path,
) -> None:
    """A pull request of Dependabot changes constraints.txt alone."""
    tested = read_constraints()
    staged = build.stage_bundle(tmp_path / "bundle", PROJECT) / "pyproject.toml"
    written = tomllib.loads(staged.read_text(encoding="utf-8"))
    assert written["tool"]["uv"]["constraint-dependencies"] == tested
    assert written["project"]["dependencies"] == PROJECT.dependencies
    manifests = write_all(PROJECT)
    assert [place for place, text in manifests.items() if any(each in text for each in tested)] == []


@needs_mcpb
def test_the_official_tool_refuses_a_manifest_without_a_server(tmp_path: Path) -> None:
    folder = build.stage_bundle(tmp_path / "bundle", PROJECT)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    del manifest["server"]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert subprocess.run(
        [build.MCPB, "validate", folder / "manifest.json"], capture_output=True, check=False
    ).returncode


def test_every_option_of_the_bundle_has_a_default_or_must_be_given() -> None:
    """A client leaves the text `${user_config.…}` where nobody gave a value."""
    options = json.loads((ROOT / "packaging" / "mcpb" / "manifest.json").read_text(encoding="utf-8"))["user_config"]
    assert [name for name, option in options.items() if not option.get("required") and "default" not in option] == []
    assert [name for name, option in options.items() if option.get("sensitive")] == ["api_key"]


@needs_mcpb
def test_a_release_tells_the_registry_the_bundle_and_the_image(bundle: Path) -> None:
    schema = json.loads((Path(__file__).parent / "server.schema.json").read_text(encoding="utf-8"))
    entry = build.complete_registry_entry(PROJECT, bundle, "images.example/kie-mcp/kie-mcp")
    jsonschema.Draft7Validator(schema).validate(entry)
    kinds = {each["registryType"]: each for each in entry["packages"]}
    assert sorted(kinds) == ["mcpb", "oci", "pypi"]
    assert kinds["mcpb"]["fileSha256"] == sha256(bundle.read_bytes()).hexdigest()
    # The registry wants the letters mcp in the bundle's address.
    assert "mcp" in kinds["mcpb"]["identifier"]
    assert kinds["oci"]["identifier"].endswith(f":{PROJECT.version}")
    # The image's own command serves HTTP, and what starts it by this entry speaks over stdin.
    assert [each["value"] for each in kinds["oci"]["packageArguments"]] == ["serve"]


def test_the_registry_gives_the_image_a_place_for_all_that_it_keeps(tmp_path: Path) -> None:
    """Clients run the image with `--rm`: what is in no mount, such as the ledger with the caps, ends with it."""
    schema = json.loads((Path(__file__).parent / "server.schema.json").read_text(encoding="utf-8"))
    (bundle := tmp_path / "kie-mcp.mcpb").touch()
    entry = build.complete_registry_entry(PROJECT, bundle, "images.example/kie-mcp/kie-mcp")
    jsonschema.Draft7Validator(schema).validate(entry)
    (image,) = [each for each in entry["packages"] if each["registryType"] == "oci"]
    (volumes,) = re.findall(r"^VOLUME (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    mounted = [each["value"].rpartition("dst=")[2] for each in image["runtimeArguments"]]
    assert mounted == json.loads(volumes)
    # A path of the user's machine means nothing inside of the container.
    assert "KIE_MCP_OUTPUT_DIR" not in {each["name"] for each in image["environmentVariables"]}


async def test_uvx_starts_the_wheel_as_the_plugin_asks(tmp_path: Path) -> None:
    build.build_python_packages(ROOT, tmp_path / "dist", "wheel")
    plugin = ROOT / "packaging" / "claude-plugin" / ".claude-plugin" / "plugin.json"
    config = json.loads(plugin.read_text(encoding="utf-8"))["mcpServers"]["kie"]
    command = [str(BIN / config["command"]), *config["args"]]
    # The index may have the same version already; this one is meant.
    wheel = {"UV_FIND_LINKS": str(tmp_path / "dist"), "UV_REFRESH_PACKAGE": PROJECT.name}
    environment = {**build_environment(tmp_path), **wheel, "KIE_MCP_SANDBOX": "1"}
    prepare([*command, "--help"], tmp_path, environment)
    server = StdioServerParameters(command=command[0], args=command[1:], env=environment)
    assert await list_and_make(server) == (len(Selection("standard").tools), "succeeded")
    shutil.rmtree(tmp_path / "dist")
