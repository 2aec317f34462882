"""Adoption: find a task by KIE's id when the ledger does not know it, for example one that another program made."""

import json
import re
from collections.abc import Mapping
from typing import Any

import anyio

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import ApiError, InvalidCall
from kie_mcp.kie import routes, status
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.result_readers import parse_number
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task, new_id

KIE_ID = re.compile(r"(?!t_)[\w-]{8,100}", re.ASCII)
"""Matches a text that may be KIE's id of a task; the ledger's ids begin with `t_` and do not match."""
NOT_CREATED = "not created"
"""What a person passes to `resolve_task` for a task that KIE never accepted."""
LOOKUP_SECONDS = 12
"""Time limit in seconds for asking all of KIE's status routes. Suno's nine routes take 9 s when two processes share the
read limit."""


async def adopt(client: KieClient, id_: str, *, now: float) -> Task:
    """Look a task up on KIE's status routes, and build the task from KIE's record.

    Args:
        client: KIE.
        id_: KIE's id of the task.
        now: The current time in seconds since 1970; used as creation time when KIE's record has none.

    Returns:
        A task in state `running`, which is not in the ledger yet.

    Raises:
        InvalidCall: When KIE does not know the task.
        ApiError: When KIE's answers do not say whether KIE knows the task.
    """
    not_found = InvalidCall(f"There is no task {id_[:100]}, here or at KIE.", "list_tasks shows the tasks there are.")
    if not KIE_ID.fullmatch(id_):
        raise not_found
    found: dict[str, Any] = {}
    errors: list[ApiError] = []

    async def read_status(route_id: str) -> None:
        route = routes.find(route_id)
        try:
            answer = await client.read_status(route.status, id_)
        except ApiError as error:
            errors.append(error)
        else:
            record = find_record(answer, id_)
            if record and status.parse_status(route.shape, answer).state != "missing":
                found[route_id] = record

    first, *others = routes.status_route_ids(service=client.service)
    with anyio.move_on_after(LOOKUP_SECONDS) as lookup:
        await read_status(first)
        if not found:
            async with anyio.create_task_group() as group:
                for route_id in others:
                    group.start_soon(read_status, route_id)
    for route_id, record in found.items():
        return _build_task(id_, route_id, record, now)
    if errors:
        raise errors[0]
    if lookup.cancelled_caught:
        raise ApiError("KIE did not say in time whether it knows the task.", "Try again.", retryable=True)
    raise not_found


async def attach_kie_id(client: KieClient, ledger: Ledger, task: Task, kie_id: str) -> None:
    """Set KIE's id of a task of unknown outcome, and its state to `running`, so that the task is polled again.

    Raises:
        InvalidCall: When the id belongs to another task in the ledger, or KIE does not know the id.
        ApiError: When KIE does not answer, or the answer does not say whether KIE knows the id.
    """
    route = routes.find(task.route)
    if route.at_once or route.repeated:
        raise InvalidCall(f"KIE gives no id to what {task.model} makes.", f"Say {NOT_CREATED!r}, or leave it as it is.")
    if known := await ledger.find(kie_id):
        raise InvalidCall(
            f"{kie_id} is task {known.id} already.",
            f"If that is the lost one, go on with it, and say {NOT_CREATED!r} of this one. "
            f"Otherwise look for another id: {client.advice.task_list}.",
        )
    answer = await client.read_status(route.status, kie_id)
    if not isinstance(answer, dict):
        raise ApiError("KIE's answer does not say whether it knows the task.", "Try again.", retryable=True)
    if not find_record(answer, kie_id) or status.parse_status(route.shape, answer).state == "missing":
        raise InvalidCall(
            f"KIE knows no task {kie_id} of this kind.",
            f"Copy its id from {client.advice.task_list}, or say {NOT_CREATED!r}.",
        )
    task.state, task.kie_id, task.error, task.finished, task.saved = "running", kie_id, None, None, False


def find_record(answer: object, id_: str) -> Mapping[str, Any]:
    """Return the record of a task in a status answer; empty when the answer has no record with the task's id.

    The id has to be compared, because a route may answer "running" for a task that it does not know.
    """
    record = answer.get("data") if isinstance(answer, dict) else None
    return record if isinstance(record, dict) and record.get("taskId", record.get("task_id")) == id_ else {}


def _build_task(id_: str, route_id: str, record: Mapping[str, Any], now: float) -> Task:
    arguments = _find_arguments(record)
    # Some records name the model only among the arguments.
    name = str(record.get("model") or arguments.get("model") or "")
    model = _find_model(route_id, name)
    # The task gets no session, because no session of this server spent credits on it.
    return Task(
        id=new_id("t"),
        tool="",
        model=model.id if model else name or route_id,
        kind=model.kind if model else "image",
        route=route_id,
        arguments=arguments,
        created=_creation_time(record.get("createTime")) or now,
        state="running",
        kie_id=id_,
        reserved=(model.default_estimate().high or 0) if model else 0,
    )


def _find_model(route_id: str, name: str) -> type[KieModel] | None:
    """Return the model that KIE names, or else a model that runs on this route; None when there is neither."""
    by_route = (model for model in MODELS.values() if route_id in model.routes or f"jobs:{name}" in model.routes)
    return MODELS.get(name) or next(by_route, None)


def _find_arguments(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the create, with KIE's field names; the record holds them as JSON in a string."""
    for name in ("param", "paramJson"):
        try:
            value = json.loads(record.get(name) or "null")
            inner = value.get("input", value) if isinstance(value, dict) else {}
            arguments = json.loads(inner) if isinstance(inner, str) else inner
        except (TypeError, ValueError, RecursionError):
            continue
        if isinstance(arguments, dict) and arguments:
            return arguments
    return {}


def _creation_time(milliseconds: object) -> float | None:
    """Convert milliseconds since 1970 to seconds; None when the value is no such time, as in some of KIE's records."""
    figure = parse_number(milliseconds)
    return figure / 1000 if figure and figure > 1e11 else None
