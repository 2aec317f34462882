"""The lineage of a task for the page: what it was made from, what was made from it, and so on, as a small graph."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task

FURTHEST = 3
"""Largest number of steps from the task to others that are in the graph."""
MOST_TASKS = 24
"""Largest number of tasks in a graph."""
MOST_LATER = 8
"""Largest number of tasks made from one task that are in a graph."""


@dataclass
class Lineage:
    """A graph of tasks."""

    tasks: dict[str, Task]
    """The tasks by their ids, in the order in which they were found."""
    steps: dict[str, int]
    """For the id of each task, its steps from the first task: below 0 before it, above 0 after it."""
    edges: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of ids: the second task was made from the first."""


async def trace_lineage(ledger: Ledger, task: Task) -> Lineage:
    """Follow what a task was made from, and what was made from it, as far as a small graph has room."""
    graph = Lineage({task.id: task}, {task.id: 0})
    for step in range(FURTHEST):
        for each in _at(graph, -step):
            for source in await ledger.sources_of(each):
                _add(graph, await ledger.find(source), each, -step - 1)
    for step in range(FURTHEST):
        for each in _at(graph, step):
            names = [name for name in (each.id, each.kie_id) if name]
            for later in await ledger.page(made_from=names, states=("succeeded",), batches=False, limit=MOST_LATER):
                _add(graph, later, each, step + 1)
    return graph


def _at(graph: Lineage, step: int) -> Iterator[Task]:
    yield from [graph.tasks[id_] for id_, at in graph.steps.items() if at == step]


def _add(graph: Lineage, found: Task | None, beside: Task, step: int) -> None:
    """Add a task to the graph, if there is room, and the edge between it and the one that it was found by."""
    if not found or found.id == beside.id or (found.id not in graph.tasks and len(graph.tasks) >= MOST_TASKS):
        return
    graph.tasks.setdefault(found.id, found)
    graph.steps.setdefault(found.id, step)
    edge = (found.id, beside.id) if step < graph.steps[beside.id] else (beside.id, found.id)
    if edge not in graph.edges:
        graph.edges.append(edge)
