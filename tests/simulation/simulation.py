"""Two to four servers on one ledger, and all that can go wrong, drawn from one seed: the same seed is the same run."""

import hashlib
import json
import os
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import machine
from agents import Agent, BatchAgent, Editor, retry_missing
from postgresql import empty_ledger
from reconciliation import Figures, order, reckon, tasks
from studio import in_place_of_ffmpeg
from support.ledgers import find_url
from support.runners import run_runner
from world import JUMPS, STOPS, Lost, Process, World

from kie_mcp.kie.client import CREATE_SECONDS
from kie_mcp.ledger.task import BATCH, FINAL
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.batch import Batch
from kie_mcp.tasks.runner import Runner

PATIENCE = 3600
"""Seconds after the last fault in which everything has to come to its end."""
PLENTY = 1000
"""Credits that are enough for any batch."""
BATCHED = 4
"""One of so many seeds has batches and edits beside the single calls; the course of the others is as it was before."""


async def simulate(world: World) -> Figures:
    """Run one seed to the end of every task, and compare KIE, the ledger and the disk.

    Raises:
        AssertionError: When a promise is broken.
    """
    choices = world.choices
    async with anyio.create_task_group() as group:
        for name in range(choices.randint(2, 4)):
            world.processes.append(Process(world, name))
            group.start_soon(_keep_up, world, name)
        group.start_soon(_set_clock, world)
        async with anyio.create_task_group() as agents:
            for name in range(choices.randint(2, 4)):
                agents.start_soon(Agent(world, name).work)
            if world.has_batches:
                agents.start_soon(BatchAgent(world, 11).work)
                agents.start_soon(BatchAgent(world, 12).work)
                agents.start_soon(Editor(world, 21).work)
        world.calm = True
        await _settle(world)
        await _resolve_unknown(world)
        await _complete_batches(world)
        group.cancel_scope.cancel()
    await _start_once_more(world)
    return reckon(world.kie, world.folder)


async def _keep_up(world: World, name: int) -> None:
    """Start a process, and another one in its place whenever it has ended."""
    while True:
        process = world.processes[name] = Process(world, name)
        async with anyio.create_task_group() as group:
            group.start_soon(process.live)
            await anyio.sleep(world.choices.choice((20, 60, 300)))
            process.stop()
        await anyio.sleep(0 if world.calm else world.choices.choice((0, 1, 20)))


async def _set_clock(world: World) -> None:
    """Set the machine's time of day now and then."""
    while not world.calm:
        await anyio.sleep(world.choices.choice((3, 20, 60)))
        if world.happens("the clock jumps", 0.3):
            world.clock.ahead += world.choices.choice(JUMPS)
            world.note(f"the clock is {world.clock.ahead:g} s ahead")


async def _settle(world: World) -> None:
    """Ask after every task until all have ended and every file is saved."""
    with anyio.move_on_after(PATIENCE) as waiting:
        while left := [row["id"] for row in tasks(world.folder) if row["state"] not in FINAL or not row["saved"]]:
            for id_ in left:
                await world.choices.choice(world.processes).call(partial(Runner.get, id_=id_))
            await anyio.sleep(5)
    if waiting.cancelled_caught:
        raise Lost(f"{left} do not come to their end")


async def _resolve_unknown(world: World) -> None:
    """Look KIE's list of tasks through for each unknown task, as its owner does; then make the call once more."""
    if any(row["state"] == "unknown" for row in tasks(world.folder)):
        # Another process may still be asking KIE for a task that was taken from it.
        await anyio.sleep(CREATE_SECONDS + max(STOPS))
        await _settle(world)
    for row in tasks(world.folder):
        if row["state"] == "unknown":
            tool, prompt = row["tool"], json.loads(row["arguments"])["prompt"]
            known = {each["kie_id"] for each in tasks(world.folder)}
            lost = [task for task in world.kie.accepted if task.id not in known and task.prompt == prompt]
            world.note(f"{row['id']} is resolved: {[task.id for task in lost]}")
            outcome = lost[0].id if lost else NOT_CREATED
            async with run_runner(world.folder, world.kie.app, world.clock, rules=world.rules) as runner:
                await runner.resolve(row["id"], outcome)
                await runner.submit(order(prompt, tool))
    await _settle(world)


async def _complete_batches(world: World) -> None:
    """Make what is missing in each batch, with enough credits; then it is all there."""
    ids = [row["id"] for row in tasks(world.folder) if row["route"] == BATCH]
    async with run_runner(world.folder, world.kie.app, world.clock, rules=world.rules) as runner:
        for id_ in ids:
            # It hears of what was settled meanwhile.
            await runner.get(id_)
            await _settle(world)
            # A fault that no request has met yet may still be due, so the first attempt may fail.
            await retry_missing(runner, id_, PLENTY)
            await _settle(world)
            added = await retry_missing(runner, id_, PLENTY)
            await _settle(world)
            if added and Batch.read(await runner.get(added.id)).find_missing():
                raise Lost(f"{id_} cannot be completed by {added.id}")


async def _start_once_more(world: World) -> None:
    """Start a server for a second; it removes what a process left that died while another one saved its task."""
    async with run_runner(world.folder, world.kie.app, world.clock, rules=world.rules):
        await anyio.sleep(1)


@dataclass(frozen=True)
class Run:
    """What came of one seed."""

    seed: int
    figures: Figures
    injected: Counter[str]
    trace: list[str]

    @property
    def digest(self) -> str:
        """A hash of the trace."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


def run_seed(seed: int, trace: list[str] | None = None, **how: Any) -> Run:
    """Run one seed on a machine of its own, and compare KIE, the ledger and the disk afterwards.

    Raises:
        Exception: Whatever went wrong, with the command that repeats it.
    """
    memory = Path("/dev/shm")
    folder = (memory if memory.is_dir() else Path(tempfile.gettempdir())) / f"kie-simulation-{os.getpid()}"
    folder.mkdir()
    how = {"has_batches": seed % BATCHED == 0} | how
    world = World(random.Random(seed), folder, [] if trace is None else trace, **how)
    try:
        with in_place_of_ffmpeg(world), empty_ledger(folder / "data", world.clock.true_time):
            return Run(seed, machine.run(simulate, world, seed=seed), world.injected, world.trace)
    except Exception as error:
        option = " --database postgresql" if find_url(folder / "data") else ""
        error.add_note(f"To repeat it: .venv/bin/python tests/simulation --seed {seed}{option}")
        raise
    finally:
        shutil.rmtree(folder)
