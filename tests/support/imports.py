"""The import graph of the package, and the picture of its rooms (folders) in docs/architecture.md.

`scripts/architecture` writes the picture; with --check it only checks whether the picture is up to date.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "kie_mcp"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOCUMENT = ROOT / "docs" / "architecture.md"
COMMAND = "scripts/architecture"
BLOCK = re.compile(rf"(?<=<!-- rooms: {COMMAND} -->\n).*?(?=<!-- /rooms -->)", re.DOTALL)

Graph = Mapping[str, set[str]]
"""For each module or room, the modules or rooms that it imports."""


@cache
def imported_names(module: Path) -> frozenset[str]:
    """Return the dotted names that a module imports, also inside functions and for type checking."""
    return frozenset(_find_imported_names(module))


def _find_imported_names(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            # The imported name may be a module, as in `from kie_mcp import config`.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted_name(module: Path) -> str:
    """Return the name by which a module is imported."""
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_graph() -> Graph:
    """Return which modules of the package each module imports; a name inside a module counts as that module."""
    ours = {dotted_name(module) for module in MODULES}
    return {
        dotted_name(module): {
            name if name in ours else name.rpartition(".")[0]
            for name in imported_names(module)
            if name in ours or name.rpartition(".")[0] in ours
        }
        for module in MODULES
    }


def room_of(name: str) -> str:
    """Return the room of a module: its folder or file in the package, and inside server/ its folder or file there."""
    _, *parts = name.split(".")
    return "/".join(parts[: 2 if parts[:1] == ["server"] else 1])


def room_graph(modules: Graph) -> Graph:
    """Return which rooms each room imports."""
    rooms: dict[str, set[str]] = {}
    for name, imported in modules.items():
        if room := room_of(name):
            rooms.setdefault(room, set()).update({room_of(each) for each in imported} - {room, "", "server"})
    rooms.pop("server", None)
    return rooms


def reduce_graph(graph: Graph) -> Graph:
    """Return a graph without the imports that follow from others: with a -> b -> c, a -> c is left out.

    Raises:
        CycleError: When rooms import each other in a circle.
    """
    reached: dict[str, set[str]] = {}
    for room in TopologicalSorter(graph).static_order():
        reached[room] = graph[room].union(*(reached[each] for each in graph[room]))
    return {
        room: {each for each in imported if not any(each in reached[other] for other in imported)}
        for room, imported in graph.items()
    }


def draw(graph: Graph) -> str:
    """Return a Mermaid flowchart of the rooms; the rooms in server/ are inside a box."""
    server = sorted(room for room in graph if room.startswith("server/"))
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"    {box(room)}" for room in sorted(set(graph) - set(server))]
    lines += ['    subgraph server["server/"]', *(f"        {box(room)}" for room in server), "    end"]
    lines += [f"    {node(room)} --> {node(each)}" for room in sorted(graph) for each in sorted(graph[room])]
    return "\n".join([*lines, "```", ""])


def box(room: str) -> str:
    """Return the Mermaid declaration of a room; the label of a folder ends with a slash."""
    name = room.removeprefix("server/")
    return f'{node(room)}["{name}/"]' if (PACKAGE / room).is_dir() else f'{node(room)}["{name}.py"]'


def node(room: str) -> str:
    """Return the id of a room in the Mermaid flowchart."""
    return room.replace("/", "_")


def main(*options: str) -> int:
    """Write the picture into the document, or compare it with --check."""
    text = DOCUMENT.read_text(encoding="utf-8")
    fresh = BLOCK.sub(lambda _: draw(reduce_graph(room_graph(module_graph()))), text)
    if "--check" not in options:
        DOCUMENT.write_text(fresh, encoding="utf-8")
    elif fresh != text:
        sys.stderr.write(f"docs/{DOCUMENT.name} is stale: run {COMMAND}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
