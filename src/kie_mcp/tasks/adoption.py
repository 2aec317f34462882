"""Tasks that KIE has and the ledger has not: made elsewhere, or with a ledger that is gone."""

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
from kie_mcp.ledger.task import Task, new_id

KIE_ID = re.compile(r"(?!t_)[\w-]{8,100}", re.ASCII)
"""What may be an id of KIE's; ours begins with t_."""
LOOK_UP_SECONDS = 12
"""How long all of KIE's status routes have to answer: beside another server, Suno's nine take 9 s."""


async def adopt(client: KieClient, id_: str, *, now: float) -> Task:
    """Look a task up at KIE, by every route it can belong to.

    Returns:
        A row for it, still to be written down and watched.

    Raises:
        InvalidCall: When KIE does not know it either.
        ApiError: When KIE cannot be asked.
    """
    nowhere = InvalidCall(f"There is no task {id_[:100]}, here or at KIE.", "list_tasks shows the tasks there are.")
    if not KIE_ID.fullmatch(id_):
        raise nowhere
    found: dict[str, Any] = {}
    refused: list[ApiError] = []

    async def look(way: str) -> None:
        route = routes.find(way)
        try:
            answer = await client.status(route.status, id_)
        except ApiError as error:
            refused.append(error)
        else:
            known = record(answer, id_)
            if known and status.read(route.shape, answer).state != "missing":
                found[way] = known

    first, *others = routes.asked_after(service=client.service)
    with anyio.move_on_after(LOOK_UP_SECONDS) as patience:
        await look(first)
        if not found:
            async with anyio.create_task_group() as group:
                for way in others:
                    group.start_soon(look, way)
    for way, known in found.items():
        return _row(id_, way, known, now)
    if refused:
        raise refused[0]
    if patience.cancelled_caught:
        raise ApiError("KIE did not say in time whether it knows the task.", "Try again.", retryable=True)
    raise nowhere


def record(answer: object, id_: str) -> Mapping[str, Any]:
    """What an answer tells of the task with this id.

    A route that does not know the task may still say that something is on its way.
    """
    told = answer.get("data") if isinstance(answer, dict) else None
    return told if isinstance(told, dict) and told.get("taskId", told.get("task_id")) == id_ else {}


def _row(id_: str, way: str, known: Mapping[str, Any], now: float) -> Task:
    arguments = _arguments(known)
    # Where the record does not name the model, what was asked for may.
    name = str(known.get("model") or arguments.get("model") or "")
    model = _model(way, name)
    # It is no session's: nobody here spent on it, and when it ended nobody here saw.
    return Task(
        id=new_id("t"),
        tool="",
        model=model.id if model else name or way,
        kind=model.kind if model else "image",
        route=way,
        arguments=arguments,
        created=_created(known.get("createTime")) or now,
        state="running",
        kie_id=id_,
        reserved=(model.usual_estimate().high or 0) if model else 0,
    )


def _model(way: str, name: str) -> type[KieModel] | None:
    """The model that KIE names, else one that is run this way."""
    by_way = (model for model in MODELS.values() if way in model.routes or f"jobs:{name}" in model.routes)
    return MODELS.get(name) or next(by_way, None)


def _arguments(known: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, under KIE's names; JSON in JSON."""
    for name in ("param", "paramJson"):
        try:
            told = json.loads(known.get(name) or "null")
            inner = told.get("input", told) if isinstance(told, dict) else {}
            wanted = json.loads(inner) if isinstance(inner, str) else inner
        except (TypeError, ValueError, RecursionError):
            continue
        if isinstance(wanted, dict) and wanted:
            return wanted
    return {}


def _created(moment: object) -> float | None:
    """Milliseconds since 1970, as most of KIE's records have them, in seconds."""
    figure = status.number(moment)
    return figure / 1000 if figure and figure > 1e11 else None
