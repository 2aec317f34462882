"""Which room of the package may import which, how large modules are, and whether the documents name every room."""

import ast
import os
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from support.imports import MODULES, PACKAGE, draw, imported_names, module_graph, reduce_graph, room_graph
from support.paths import ROOT

# The rooms that each room may import, besides itself.
MAY_IMPORT = {
    "child_process": set[str](),
    "clock": set[str](),
    "errors": set[str](),
    "deadline": {"clock", "errors"},
    "background": {"deadline"},
    "text": set[str](),
    "page_parts": set[str](),
    "disk": set[str](),
    "setting_types": set(),
    "api_key": {"errors"},
    "config": {"api_key", "errors", "setting_types"},
    "catalog": {"text"},
    "media": {"catalog", "child_process", "disk", "errors"},
    "film": {"media", "catalog", "child_process", "disk", "errors", "text"},
    "kie": {"catalog", "clock", "deadline", "disk", "errors", "text"},
    "ledger": {"catalog", "disk", "errors"},
    "tasks": {"ledger", "kie", "film", "media", "catalog", "background", "clock", "disk", "errors", "text"},
    "sandbox": {"kie", "catalog", "child_process", "disk"},
    "install": {"api_key", "config", "child_process", "disk", "errors"},
    "doctor": {
        "install",
        "server",
        "tasks",
        "ledger",
        "kie",
        "media",
        "catalog",
        "config",
        "child_process",
        "errors",
        "text",
    },
    "library_page": {"server", "tasks", "ledger", "media", "catalog", "clock", "config", "disk", "errors", "text"},
    "server": {
        "tasks",
        "ledger",
        "kie",
        "film",
        "media",
        "catalog",
        "sandbox",
        "api_key",
        "config",
        "background",
        "clock",
        "deadline",
        "disk",
        "errors",
        "text",
        "library_page",
    },
}
SPEAK_MCP = {"server", "cli", "demo", "__main__"}

NOT_AT_START = (
    "sqlalchemy",
    "aiosqlite",
    "alembic",
    "psycopg",
    "obstore",
    "PIL",
    "rich",
    "typer",
    "mutagen",
    "pi_heif",
    "stamina",
    "jsonschema_rs",
    "platformdirs",
    "ruamel",
    "tomlkit",
    "textual_image",
    "pydantic_settings",
    "prometheus_client",
    "pythonjsonlogger",
    "opentelemetry.sdk",
    "authlib",
    "kie_mcp.server.http",
    "kie_mcp.server.operation",
    "kie_mcp.catalog",
    "kie_mcp.config",
    "kie_mcp.film",
    "kie_mcp.kie",
    "kie_mcp.ledger",
    "kie_mcp.media",
    "kie_mcp.sandbox",
    "kie_mcp.tasks",
)


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def packages_of(module: Path) -> set[str]:
    """Return the packages that a module imports."""
    return {name.partition(".")[0] for name in imported_names(module)}


def test_no_modules_import_one_another_in_a_circle() -> None:
    """Imports inside functions and for type checking count too, because a reader has to follow them as well."""
    sorter = TopologicalSorter(module_graph())
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' <- '.join(error.args[1])}")


def test_no_rooms_import_one_another_in_a_circle() -> None:
    reduce_graph(room_graph(module_graph()))


def test_the_picture_of_the_rooms_is_fresh() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert draw(reduce_graph(room_graph(module_graph()))) in page, "Run scripts/architecture."


def test_the_picture_leaves_out_what_follows_from_other_imports() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}
    assert reduce_graph(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}
    with pytest.raises(CycleError):
        reduce_graph({"a": {"b"}, "b": {"a"}})


def test_the_layout_names_every_room_and_no_other() -> None:
    """A room is a folder or module of the package, a folder of server/ or catalog/, or a folder of tests/."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (layout,) = re.findall(r"^## Layout\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    cells = re.findall(r"^\| (`.*?) \|", layout, re.MULTILINE)
    named = re.findall(r"`(.+?)`", " ".join(cells))
    rooms = [
        f"{path.relative_to(root)}/"
        for root, folder in (
            (PACKAGE, PACKAGE),
            (PACKAGE, PACKAGE / "server"),
            (PACKAGE, PACKAGE / "catalog"),
            (ROOT, ROOT / "tests"),
        )
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__"))
    ]
    rooms += [path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    assert sorted(named) == sorted(rooms)


def test_every_stage_of_a_create_is_where_the_page_says() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    stages = re.findall(r"^\| (\d+) \| `(.+?)` \| `(.+?)` \|", page, re.MULTILINE)
    assert [int(number) for number, _, _ in stages] == list(range(1, len(stages) + 1))
    missing = []
    for _, path, name in stages:
        body = ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body
        *owner, function = name.split(".")
        if owner:
            (body,) = (each.body for each in body if isinstance(each, ast.ClassDef) and each.name == owner[0])
        if function not in {each.name for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}:
            missing.append(f"{path}: {name}")
    assert missing == []


def test_every_file_that_the_documents_name_exists() -> None:
    places = [ROOT, ROOT / "docs", PACKAGE, PACKAGE / "server" / "tools"]
    for page in (ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        names = re.findall(r"`([\w/-]+\.(?:py|toml|md|sh|json))`", page.read_text(encoding="utf-8"))
        missing = [name for name in names if not any((place / name).exists() for place in places)]
        assert missing == [], page.name


def test_the_vocabulary_has_no_more_than_25_terms() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^## Vocabulary\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert 15 <= len(re.findall(r"^\| (?!term|---)", table, re.MULTILINE)) <= 25


def test_only_the_ledger_speaks_sql() -> None:
    speak = {"sqlalchemy", "aiosqlite", "sqlite3", "alembic", "psycopg"}
    found = {room(module) for module in MODULES if speak & packages_of(module)}
    assert found == {"ledger"}


def test_a_module_imports_only_from_the_rooms_before_it() -> None:
    for module in (each for each in MODULES if room(each) in MAY_IMPORT):
        ours = {name.split(".")[1] for name in imported_names(module) if name.startswith("kie_mcp.")}
        assert ours - {"__version__", room(module)} <= MAY_IMPORT[room(module)], module


def test_only_the_server_and_the_commands_know_mcp() -> None:
    for module in (each for each in MODULES if room(each) not in SPEAK_MCP):
        assert not {"mcp", "mcp_types"} & packages_of(module), module


def test_the_catalogue_needs_nothing_but_pydantic_and_a_check_of_schemas() -> None:
    for module in (each for each in MODULES if room(each) == "catalog"):
        outside = packages_of(module) - sys.stdlib_module_names
        assert outside <= {"kie_mcp", "pydantic", "pydantic_core", "jsonschema_rs"}, module


def test_nothing_imports_asyncio_where_anyio_does() -> None:
    for module in MODULES:
        assert not {"asyncio", "httpx", "requests"} & packages_of(module), module


def test_no_module_is_longer_than_400_lines() -> None:
    for module in (each for each in MODULES if room(each) != "catalog"):
        assert len(module.read_text(encoding="utf-8").splitlines()) <= 400, module


def test_the_first_answers_wait_for_no_heavy_import() -> None:
    """Importing the ledger, the catalogue and the settings takes as long as the handshake."""
    script = f'''
import sys
import anyio
from mcp import Client
from kie_mcp import __main__
from kie_mcp.clock import Clock
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.selection import Selection

class StoppedClock(Clock):
    """What the server opens beside the first answers, it opens after a time that never passes here."""

    async def sleep(self, seconds):
        await anyio.sleep_forever()

async def main():
    app = App(selection=Selection("compact,image"), clock=StoppedClock())
    async with Client(build_server(app), mode="legacy") as client:
        assert (await client.list_tools()).tools
        await client.list_resources()
        await client.list_resource_templates()
        assert (await client.list_prompts()).prompts
        assert client.server_capabilities.completions is not None
        print(*(name for name in {NOT_AT_START!r} if name in sys.modules))

anyio.run(main)
'''
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == []


def test_a_paid_call_without_files_imports_only_its_vendor_and_nothing_for_files(tmp_path: Path) -> None:
    script = """
import sys
import anyio
from kie_mcp.catalog.registry import FAMILIES
from kie_mcp.server.app import App
from kie_mcp.server.generate import build_family_order

async def main():
    app = App()
    async with app.run():
        order, _ = await build_family_order(app, FAMILIES.find("nano_banana_image"), {"prompt": "a fox"})
        runner = await app.runner()
        assert await runner.find_repeated(order) is None
        assert (await runner.quote(order)).reserve

anyio.run(main)
needless = ("PIL", "mutagen", "kie_mcp.film.editing", "kie_mcp.catalog.price_text", "kie_mcp.sandbox")
print(*(name for name in sys.modules if name.startswith("kie_mcp.catalog.vendors.") or name in needless))
"""
    settings = {"KIE_API_KEY": "no-key", "KIE_MCP_DATA_DIR": str(tmp_path), "KIE_MCP_OUTPUT_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.split() == ["kie_mcp.catalog.vendors.nano_banana"]


def test_a_ledger_on_sqlite_imports_neither_postgresql_nor_an_object_relational_mapper() -> None:
    script = """
import sys, tempfile
from pathlib import Path

import anyio

from kie_mcp.ledger.ledger import Ledger

async def main():
    with tempfile.TemporaryDirectory() as folder:
        ledger = await Ledger.open(Path(folder))
        assert await ledger.find("t_1") is None
        await ledger.close()

anyio.run(main)
print(*(name for name in ("sqlalchemy.orm", "sqlalchemy.dialects.postgresql", "psycopg") if name in sys.modules))

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from kie_mcp.ledger.async_engine import AsyncEngine as ours

assert ours is AsyncEngine
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == []
