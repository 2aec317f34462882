"""Metrics of tasks: each end and each credit is counted once, whichever process saw what came before."""

from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from support.clock import JumpingClock
from support.tasks import task
from support.tenants import ANN, build_app, make_picture, run_tenants

from kie_mcp.config import Settings
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.accounts.caller import Caller
from kie_mcp.server.accounts.needs_key import NONE_STORED
from kie_mcp.server.operation.metrics import Metrics

pytestmark = pytest.mark.anyio

RUNNING, ENDED = task(), task(state="succeeded", saved=False, credits=90)
UNKNOWN = task(state="unknown")
BATCH: dict[str, Any] = {"id": "t_2", "route": "batch", "model": "batch"}


def read_numbers(reader: InMemoryMetricReader) -> dict[str, float]:
    """Return the numbers about tasks that are not 0; the key of an end is the state."""
    data: Any = reader.get_metrics_data()
    found: dict[str, float] = {}
    for metric in (
        each for resource in data.resource_metrics for scope in resource.scope_metrics for each in scope.metrics
    ):
        for point in metric.data.data_points if metric.name.startswith(("kie_mcp_tasks", "kie_mcp_credits")) else ():
            name = str((point.attributes or {}).get("state", metric.name.rpartition("_")[2]))
            if value := point.value:
                found[name] = found.get(name, 0) + value
    return found


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ([(task(state="prepared"), RUNNING)], {}),
        ([(task(state="prepared"), RUNNING), (RUNNING, ENDED)], {"succeeded": 1, "credits": 90}),
        ([(RUNNING, ENDED)], {"succeeded": 1, "credits": 90}),
        ([(RUNNING, ENDED), (ENDED, task(state="succeeded", saved=True, credits=90))], {"succeeded": 1, "credits": 90}),
        ([(ENDED, task(state="succeeded", saved=True, credits=90))], {}),
        ([(ENDED, ENDED)], {}),
        ([(task(state="submitting"), UNKNOWN)], {"unknown": 1}),
        ([(task(state="submitting"), task(state="failed"))], {"failed": 1}),
        ([(UNKNOWN, task(state="failed", credits=12))], {"credits": 12}),
        ([(UNKNOWN, RUNNING), (RUNNING, ENDED)], {"succeeded": 1, "credits": 90}),
        (
            [(RUNNING, ENDED), (task(**BATCH), task(**BATCH, state="succeeded", credits=90))],
            {"succeeded": 2, "credits": 90},
        ),
    ],
    ids=[
        "it begins",
        "it ends",
        "another process began it",
        "its files are saved",
        "its files are saved by another process",
        "another process has saved a newer state",
        "nobody knows whether it was accepted",
        "it was refused",
        "its charge is known later",
        "it is found at KIE",
        "a batch and its item",
    ],
)
async def test_each_end_and_each_credit_is_counted_once(
    changes: list[tuple[Task, Task]], numbers: dict[str, float]
) -> None:
    reader = InMemoryMetricReader()
    metrics = Metrics([reader])
    for before, after in changes:
        await metrics.count_task(after, before)
    assert read_numbers(reader) == numbers


async def test_a_task_counts_as_running_only_while_this_process_watches_it(
    settings: Settings, clock: JumpingClock
) -> None:
    """Nobody watches the tasks of a person who has deleted the KIE key."""
    app = build_app(settings, httpx2.ASGITransport(app=Sandbox(seconds=600, clock=clock.time).app), clock)
    reader = InMemoryMetricReader()
    metrics = Metrics([reader])
    metrics.attach(app)
    async with run_tenants(app) as tenants:
        metrics.list_apps = tenants.list_open
        with JumpingClock.hold():
            async with tenants.use(ANN) as ann:
                await make_picture(ann)
            assert read_numbers(reader) == {"running": 1}
            async with tenants.use(Caller("ann", key=NONE_STORED)):
                assert read_numbers(reader) == {}


async def test_a_server_without_tenants_counts_the_tasks_that_it_watches(
    settings: Settings, clock: JumpingClock
) -> None:
    app = build_app(settings, httpx2.ASGITransport(app=Sandbox(seconds=10, clock=clock.time).app), clock)
    reader = InMemoryMetricReader()
    Metrics([reader]).attach(app)
    async with app.run():
        runner = await app.runner()
        with JumpingClock.hold():
            made = await make_picture(app)
            assert read_numbers(reader) == {"running": 1}
        await runner.wait([made], 100)
        assert read_numbers(reader) == {"succeeded": 1, "credits": 4}
