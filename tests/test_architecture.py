"""How the rooms of the package lie to one another."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import kie_mcp

ROOT = Path(kie_mcp.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# What each room may import of ours, besides itself.
MAY_IMPORT = {
    "clock": set[str](),
    "errors": set[str](),
    "config": {"errors"},
    "catalog": set[str](),
    "media": {"catalog", "errors"},
    "kie": {"catalog", "clock", "errors"},
    "ledger": {"catalog", "errors"},
    "tasks": {"ledger", "kie", "media", "catalog", "clock", "errors"},
    "sandbox": {"kie", "catalog"},
    "server": {"tasks", "ledger", "kie", "media", "catalog", "sandbox", "config", "clock", "errors"},
}
SPEAK_MCP = {"server", "cli", "demo", "__main__"}

NOT_AT_START = (
    "sqlalchemy",
    "aiosqlite",
    "PIL",
    "rich",
    "typer",
    "mutagen",
    "stamina",
    "platformdirs",
    "pydantic_settings",
    "kie_mcp.catalog",
    "kie_mcp.config",
    "kie_mcp.kie",
    "kie_mcp.ledger",
    "kie_mcp.media",
    "kie_mcp.sandbox",
    "kie_mcp.tasks",
)


def named(module: Path) -> str:
    return str(module.relative_to(ROOT))


def room(module: Path) -> str:
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it and for whatever purpose."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            # `from kie_mcp import config` names a module as well.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(module: Path) -> str:
    """The name that a module is imported by."""
    parts = module.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def graph() -> dict[str, set[str]]:
    """The modules of ours that each module imports; a name inside a module counts as that module."""
    ours = {dotted(module) for module in MODULES}
    return {
        dotted(module): {
            name if name in ours else name.rpartition(".")[0]
            for name in imports(module)
            if name in ours or name.rpartition(".")[0] in ours
        }
        for module in MODULES
    }


def test_no_modules_import_one_another_in_a_circle() -> None:
    """Imports inside functions and for type checking count too: who reads one module would have to read them all."""
    sorter = TopologicalSorter(graph())
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' <- '.join(error.args[1])}")


def test_only_the_ledger_speaks_sql() -> None:
    speak = {"sqlalchemy", "aiosqlite", "sqlite3"}
    found = {room(module) for module in MODULES if speak & {name.partition(".")[0] for name in imports(module)}}
    assert found == {"ledger"}


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) in MAY_IMPORT], ids=named)
def test_a_module_imports_only_from_the_rooms_before_it(module: Path) -> None:
    ours = {name.split(".")[1] for name in imports(module) if name.startswith("kie_mcp.")}
    assert ours - {"__version__", room(module)} <= MAY_IMPORT[room(module)]


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) not in SPEAK_MCP], ids=named)
def test_only_the_server_and_the_commands_know_mcp(module: Path) -> None:
    assert not {"mcp", "mcp_types"} & {name.partition(".")[0] for name in imports(module)}


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) == "catalog"], ids=named)
def test_the_catalogue_needs_nothing_but_pydantic(module: Path) -> None:
    outside = {name.partition(".")[0] for name in imports(module)} - sys.stdlib_module_names
    assert outside <= {"kie_mcp", "pydantic", "pydantic_core"}


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_nothing_imports_asyncio_where_anyio_does(module: Path) -> None:
    assert not {"asyncio", "httpx", "requests"} & {name.partition(".")[0] for name in imports(module)}


@pytest.mark.parametrize("module", [each for each in MODULES if room(each) != "catalog"], ids=named)
def test_no_module_is_longer_than_400_lines(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_first_answers_wait_for_no_heavy_import() -> None:
    """Importing the ledger, the catalogue and the settings takes as long as the handshake itself."""
    script = f"""
import sys
import anyio
from mcp import Client
from kie_mcp import __main__
from kie_mcp.server.app import App
from kie_mcp.server.build import build
from kie_mcp.server.selection import Selection

async def main():
    async with Client(build(App(selection=Selection("compact,image"))), mode="legacy") as client:
        assert (await client.list_tools()).tools
        await client.list_resources()
        await client.list_resource_templates()
        assert (await client.list_prompts()).prompts
        assert client.server_capabilities.completions is not None
        print(*(name for name in {NOT_AT_START!r} if name in sys.modules))

anyio.run(main)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == []
