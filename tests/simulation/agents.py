"""Agents: they make single calls, batches and edits, make them again after errors, and ask what became of them."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio
import sqlalchemy as sa
from reconciliation import order, tasks
from world import Lost, T, World

from kie_mcp.errors import KieMcpError
from kie_mcp.film.timeline import EDIT_TOOL, Timeline
from kie_mcp.ledger.task import BATCH, WITHOUT_CREDITS, Task
from kie_mcp.tasks.batch import Batch
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

TOOLS = "nano_banana_image", "suno_music"
"""A picture whose cost KIE tells, and two songs whose cost only the balance tells."""
SUBJECTS = range(1, 5)
BATCHES = (
    ((TOOLS[0], 1), (TOOLS[0], 2), (TOOLS[0], 5)),
    ((TOOLS[0], 5), (TOOLS[0], 6), (TOOLS[0], 7), (TOOLS[0], 8)),
    ((TOOLS[1], 1), (TOOLS[0], 6)),
)
"""Batches that several agents make: by tool and subject, of which some are in two batches, or are single calls too."""
BUDGETS = 8, 16, 40
"""The most credits of a batch: too few for all, for most, or enough."""


Errors = tuple[type[Exception], ...]
WHILE_READING: Errors = (KieMcpError, sa.exc.SQLAlchemyError)
"""Errors of a call that reads the ledger first; other calls explain what is wrong with the ledger."""


class Agent:
    """Makes single calls, the same one again after an error or a hang-up, and asks after tasks, at any process."""

    def __init__(self, world: World, name: int) -> None:
        self._world = world
        self._name = name

    async def work(self) -> None:
        """Make a few calls, one after the other; some of them are those of other agents."""
        choices = self._world.choices
        for _ in range(choices.randint(1, 3)):
            await anyio.sleep(choices.choice((0, 0, 1, 10)))
            called = build_order(choices.choice(TOOLS), choices.randint(SUBJECTS[0], SUBJECTS[-1]))
            for _ in range(choices.randint(1, 3)):
                if (task := await self._submit(called)) and await self._look(task):
                    break

    async def _submit(self, called: Order) -> Task | None:
        seconds = self._world.choices.choice((None, 0.5, 5))
        # A repeated call has an id of its own.
        again = Order(called.tool, called.call, variation=called.variation)
        task = await self._ask(lambda runner: runner.submit(again, seconds=seconds))
        if task and task.state == "running" and not task.note and task.route not in WITHOUT_CREDITS:
            (row,) = (row for row in tasks(self._world.folder) if row["id"] == task.id)
            if not row["kie_id"]:
                raise Lost(f"{task.id} was told as running before KIE's id was written down")
        return task

    async def _ask(self, function: Callable[[Runner], Awaitable[T]], errors: Errors = (KieMcpError,)) -> T | None:
        """Call any of the processes; None when it is gone, or answers with one of these errors."""
        try:
            return await self._world.choices.choice(self._world.processes).call(function)
        except errors as error:
            self._world.note(f"agent {self._name}: {error}")
            return None

    async def _look(self, task: Task) -> bool:
        """Ask what has become of a task a few times; tell whether it has ended."""
        for _ in range(self._world.choices.randint(1, 4)):
            await anyio.sleep(self._world.choices.choice((0.5, 3, 8)))
            found = await self._ask(lambda runner: runner.get(task.id), WHILE_READING)
            if found and found.final:
                return found.state in ("succeeded", "unknown")
        return False


class BatchAgent(Agent):
    """Makes batches with too small, or large, a budget, and what is missing in them once more."""

    async def work(self) -> None:
        """Make a few batches, one after the other; some of them are those of other agents."""
        choices = self._world.choices
        for _ in range(choices.randint(1, 2)):
            await anyio.sleep(choices.choice((0, 0, 1, 10)))
            orders = [build_order(tool, number) for tool, number in choices.choice(BATCHES)]
            budget = choices.choice(BUDGETS)
            for _ in range(choices.randint(1, 3)):
                task = await self._submit_batch(orders, budget)
                if task and await self._look(task):
                    retry = partial(retry_missing, id_=task.id, budget=budget)
                    await self._ask(retry, WHILE_READING)
                    break

    async def _submit_batch(self, orders: Sequence[Order], budget: float) -> Task | None:
        before = self._list_batches()
        task = await self._ask(partial(submit_batch, orders=orders, budget=budget))
        if task and task.id not in before:
            same = before & self._list_batches(task.idempotency_key)
            if same:
                raise Lost(f"{task.id} was made, though {same} is the same batch")
        return task

    def _list_batches(self, idempotency_key: str = "") -> set[str]:
        """Return the ids of the batches that have not failed, with this idempotency key if one is given."""
        rows = [row for row in tasks(self._world.folder) if row["route"] == BATCH and row["state"] != "failed"]
        return {row["id"] for row in rows if not idempotency_key or row["fingerprint"] == idempotency_key}


class Editor(Agent):
    """Makes films of what there is."""

    async def work(self) -> None:
        """Make a few edits, one after the other, also the same one again."""
        choices = self._world.choices
        for _ in range(choices.randint(1, 3)):
            await anyio.sleep(choices.choice((5, 10, 20)))
            made = [row["id"] for row in tasks(self._world.folder) if row["state"] == "succeeded" and row["saved"]]
            if not made:
                continue
            timeline = Timeline.model_validate({"clips": [{"source": f"task:{choices.choice(made)}#1"}]})
            for _ in range(choices.randint(1, 2)):
                if (task := await self._submit(Order(EDIT_TOOL, timeline))) and await self._look(task):
                    break


def build_order(tool: str, number: int) -> Order:
    """Return a call, which has the prompt of its subject and tool."""
    return order(f"heron {number} as {tool}", tool)


async def submit_batch(runner: Runner, orders: Sequence[Order], budget: float, repairs: str = "") -> Task:
    """Submit a batch as the tool `make_batch` does."""
    return await runner.submit_batch(Batch(await runner.build_items(orders), budget, repairs))


async def retry_missing(runner: Runner, id_: str, budget: float) -> Task | None:
    """Make a batch of what is missing in an ended one; None if nothing is."""
    task = await runner.get(id_)
    missing = Batch.read(task).find_missing() if task.final else []
    return await submit_batch(runner, [each.build_order() for each in missing], budget, task.id) if missing else None
