"""The lineage of a task, as a small graph: the tasks whose results it used, and the tasks that used its results."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task

FURTHEST = 3
"""Maximum number of steps between the task that the graph is about and another task in the graph."""
MAX_TASKS = 24
"""Largest number of tasks in a graph."""
MAX_LATER = 8
"""Maximum number of tasks to look up that were made directly from one task."""


@dataclass
class Lineage:
    """A graph of tasks; each edge leads from a task to a task that was made from its results."""

    tasks: dict[str, Task]
    """The tasks by their ids, in the order in which they were found."""
    steps: dict[str, int]
    """For each id, the steps from the task that the graph is about: negative for sources, positive for later tasks."""
    edges: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of ids: the second task was made from the first."""


async def trace_lineage(ledger: Ledger, task: Task) -> Lineage:
    """Return a graph of the tasks whose results a task used, and of the tasks that used its results.

    The graph goes up to `FURTHEST` steps in each direction.
    """
    graph = Lineage({task.id: task}, {task.id: 0})
    for step in range(FURTHEST):
        for each in _at(graph, -step):
            for source in await ledger.sources_of(each):
                _add(graph, await ledger.find(source), each, -step - 1)
    for step in range(FURTHEST):
        for each in _at(graph, step):
            names = [name for name in (each.id, each.kie_id) if name]
            for later in await ledger.page(made_from=names, states=("succeeded",), batches=False, limit=MAX_LATER):
                _add(graph, later, each, step + 1)
    return graph


def _at(graph: Lineage, step: int) -> Iterator[Task]:
    yield from [graph.tasks[id_] for id_, at in graph.steps.items() if at == step]


def _add(graph: Lineage, found: Task | None, beside: Task, step: int) -> None:
    """Add the task `found`, if there is room, and its edge to `beside`, the task through which it was found."""
    if not found or found.id == beside.id or (found.id not in graph.tasks and len(graph.tasks) >= MAX_TASKS):
        return
    graph.tasks.setdefault(found.id, found)
    graph.steps.setdefault(found.id, step)
    edge = (found.id, beside.id) if step < graph.steps[beside.id] else (beside.id, found.id)
    if edge not in graph.edges:
        graph.edges.append(edge)
