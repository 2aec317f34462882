"""Whether `kie-mcp doctor` tells that a newer version is published, with the real pip and uv, and an own index."""

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.commands import run_command

from kie_mcp import __version__
from kie_mcp.doctor.updates import build_pip_command, build_uv_command, find_newest

UV = Path(sys.executable).with_name("uv")
COMMANDS = {"pip": build_pip_command(), "uv": build_uv_command(str(UV))}
NEWER = "97.1.0"


def publish(home: Path, version: str) -> None:
    """Make a package index in a folder that has one version, and let pip and uv of this home use it."""
    name = f"kie_mcp-{version}-py3-none-any.whl"
    folder = home / "index" / "kie-mcp"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / name, "w") as wheel:
        about = f"kie_mcp-{version}.dist-info"
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: kie-mcp\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    (folder / "index.html").write_text(f'<!doctype html><a href="{name}">{name}</a>', encoding="utf-8")
    point_to((home / "index").as_uri(), home)


def point_to(index: str, home: Path) -> None:
    """Let pip and uv of this home ask an index."""
    settings = {"pip/pip.conf": f"[global]\nindex-url = {index}\n", "uv/uv.toml": f'index-url = "{index}"\n'}
    for name, text in settings.items():
        file = home / ".config" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@pytest.mark.anyio
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
async def test_pip_and_uv_tell_the_newest_version(
    command: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    publish(tmp_path, NEWER)
    assert await find_newest(command) == NEWER


@pytest.mark.anyio
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
async def test_an_index_out_of_reach_is_no_news(
    command: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    point_to("http://127.0.0.1:9/simple", tmp_path)
    assert await find_newest(command) is None


def run_doctor(home: Path, *arguments: str) -> str:
    return run_command("doctor", *arguments, cwd=home, HOME=str(home), KIE_MCP_SANDBOX="1").stdout


def test_the_doctor_tells_that_a_newer_version_is_published(tmp_path: Path) -> None:
    publish(tmp_path, NEWER)
    told = " ".join(run_doctor(tmp_path).split())
    assert f"Version {NEWER} is published; this is {__version__}." in told
    assert "pip install -U kie-mcp" in told
    assert "published" not in run_doctor(tmp_path, "--no-update")


def test_the_doctor_tells_that_this_is_the_newest_version(tmp_path: Path) -> None:
    publish(tmp_path, __version__)
    assert f"No version newer than {__version__} is published." in " ".join(run_doctor(tmp_path).split())
