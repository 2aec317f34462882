"""Adoption: add to the ledger a task that was created elsewhere, for example by another program with the same key."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import ApiError, InvalidCall
from kie_mcp.kie import result_search, routes, status
from kie_mcp.kie.advice import Advice
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.result_readers import Media, as_line, find_urls, parse_json
from kie_mcp.kie.times import parse_time
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Result, Task, new_id
from kie_mcp.tasks import failures, money

KIE_ID = re.compile(r"(?!t_)[\w-]{8,100}", re.ASCII)
"""Matches a text that may be KIE's id of a task; the ledger's ids begin with `t_` and do not match."""
NOT_CREATED = "not created"
"""Value of the argument `outcome` of `resolve_task` for a task that KIE never accepted."""
DAY = 24 * 3600
EARLIEST = 1_577_836_800.0
"""A time before KIE's first task, in seconds since 1970: the beginning of 2020. Earlier times are invalid."""
LOOKUP_SECONDS = 12
"""Maximum seconds for the search for a task on all of KIE's status routes.

The search may have to wait 6 s until another process returns the slots for status reads. After that, the status reads
on Suno's nine routes take 3 s.
"""


KindFinder = Callable[[str], Awaitable[Kind | None]]
"""The type of functions that take KIE's id of a model and return the kind of its results; None means unknown."""


async def adopt(client: KieClient, id_: str, *, now: float, find_kind: KindFinder | None = None) -> Task:
    """Search for a task on KIE's status routes, and build a task for the ledger from KIE's answer.

    Args:
        client: The client of KIE's API.
        id_: KIE's id of the task.
        now: The current time in seconds since 1970; this is the creation time if KIE's answer has none.
        find_kind: A function that returns the kind of results (such as `image`) of a model that is not built in.

    Returns:
        A task in the state `running`, which the caller has to save in the ledger.

    Raises:
        InvalidCall: When KIE does not know the task.
        ApiError: When KIE's answers do not say whether KIE knows the task.
    """
    not_found = InvalidCall(f"There is no task {id_[:100]}, here or at KIE.", "list_tasks shows the tasks there are.")
    # Tasks of a shared account are not adopted: if a task is not in the ledger, nobody knows which tenant owns it.
    if not KIE_ID.fullmatch(id_) or client.is_shared:
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
        await client.expect_status_reads()
        await read_status(first)
        if not found:
            async with anyio.create_task_group() as group:
                for route_id in others:
                    group.start_soon(read_status, route_id)
    for route_id, record in found.items():
        return await _build_task(id_, route_id, record, now, find_kind)
    if errors:
        raise errors[0]
    if lookup.cancelled_caught:
        raise ApiError("KIE did not say in time whether it knows the task.", "Try again.", retryable=True)
    raise not_found


async def settle(client: KieClient, ledger: Ledger, task: Task, outcome: str, *, now: float) -> None:
    """Settle a task whose outcome is unknown, or add the results that an ended task lacks.

    The results of a task are missing if KIE's answer had none, or if the task is `expired`, for example because KIE did
    not know it. KIE may know an expired task after all, for example with the API key of the right account. A task may
    also have ended if it has run for too long in a state that kie-mcp does not know, or if KIE does not tell its state.

    Args:
        client: The client of KIE's API.
        ledger: The ledger, which shows whether another task has KIE's id already.
        task: The task. This function changes its attributes, and the caller saves the task.
        outcome: `not created`, KIE's id of the task, or URLs of its results.
        now: The current time in seconds since 1970.

    Raises:
        InvalidCall: When the task's outcome and results are known already, or `outcome` does not fit the task.
        ApiError: When KIE does not answer, or the answer does not say whether KIE knows the id.
    """
    is_unknown = task.state == "unknown"
    if not (is_unknown or task.state == "expired" or failures.lacks_result(task) or failures.has_no_known_state(task)):
        raise InvalidCall(f"Task {task.id} is {task.state}: there is nothing to settle.", "Ask get_task.")
    if " ".join(re.findall(r"\w+", outcome.casefold().replace("_", " "))) == NOT_CREATED:
        if not is_unknown:
            raise InvalidCall(f"KIE has made task {task.id}.", "Give the link of its result, or KIE's id of it.")
        task.state, task.credits, task.error = "failed", 0, failures.not_created_error().as_dict()
    elif "://" in outcome:
        _attach_links(task, outcome, now, client.advice)
    else:
        await attach_kie_id(client, ledger, task, outcome.strip())


def _attach_links(task: Task, outcome: str, now: float, advice: Advice) -> None:
    """Set a task's results to the URLs in `outcome`, and its state to `succeeded`, so that the files are downloaded."""
    links = [Media(url) for url in find_urls(outcome) if url.lower().startswith("https://")]
    if not (media := result_search.bound(links)):
        raise InvalidCall(f"{outcome[:100]} is no https link.", f"Copy the file's link from {advice.task_list}.")
    task.results, task.texts = [Result(each.url) for each in media], []
    task.state, task.error, task.note, task.saved = "succeeded", None, "", False
    task.finished = task.finished or now


async def attach_kie_id(client: KieClient, ledger: Ledger, task: Task, kie_id: str) -> None:
    """Store KIE's id in a task, and set the task's state to `running`, so that the task is polled again.

    Raises:
        InvalidCall: When the id belongs to another task in the ledger, or KIE does not know the id.
        ApiError: When KIE does not answer, or the answer does not say whether KIE knows the id.
    """
    route = routes.find(task.route)
    if route.at_once or route.repeated:
        step = f"Say {NOT_CREATED!r}, or give the link of its result."
        raise InvalidCall(f"KIE gives no id to what {task.model} makes.", step)
    if client.is_shared and kie_id != task.kie_id:
        step = f"Say {NOT_CREATED!r}, or give the link of its result; the operator of the server knows KIE's list."
        raise InvalidCall("Several callers use this KIE account, so its ids cannot be given here.", step)
    if kie_id != task.kie_id and (known := await ledger.find(kie_id)):
        raise InvalidCall(
            f"{kie_id} is task {known.id} already.",
            f"If that is the lost one, go on with it, and say {NOT_CREATED!r} of this one. "
            f"Otherwise look for another id: {client.advice.task_list}.",
        )
    not_found = InvalidCall(
        f"KIE knows no task {kie_id[:100]} of this kind.",
        f"Copy its id from {client.advice.task_list}, or say {NOT_CREATED!r}.",
    )
    if kie_id != task.kie_id and not KIE_ID.fullmatch(kie_id):
        raise not_found
    answer = await client.read_status(route.status, kie_id)
    if not isinstance(answer, dict):
        raise ApiError("KIE's answer does not say whether it knows the task.", "Try again.", retryable=True)
    if not find_record(answer, kie_id) or status.parse_status(route.shape, answer).state == "missing":
        raise not_found
    task.state, task.kie_id, task.error, task.finished, task.saved = "running", kie_id, None, None, False
    task.note = ""


def find_record(answer: object, id_: str) -> Mapping[str, Any]:
    """Find the JSON object of the task with this id in a status answer; return an empty object if there is none.

    The id in the answer has to be compared, because some routes answer "running" even for an unknown task.
    """
    record = status.find_record(answer) if isinstance(answer, dict) else {}
    return record if record.get("taskId", record.get("task_id")) == id_ else {}


def find_kind(task: Task) -> Kind:
    """Return the kind of a task's results, such as `image`.

    The model determines the kind. For an adopted task of a model that is not built in, the results determine the kind.
    """
    if task.tool or task.model in MODELS:
        return task.kind
    media = (result.mime_type.partition("/")[0] for result in task.results)
    kinds: dict[str, Kind] = {"video": "video", "audio": "audio", "image": "image", "text": "text"}
    told = "text" if task.texts and not task.results else task.kind
    return next((kinds[each] for each in media if each in kinds), told)


async def _build_task(
    id_: str, route_id: str, record: Mapping[str, Any], now: float, find_kind: KindFinder | None
) -> Task:
    request = _find_request(record)
    arguments = _find_arguments(request)
    # Some of KIE's status answers have the model's name only in a copy of the create request, or in its arguments.
    name = as_line(record.get("model") or request.get("model") or arguments.get("model"))
    # Midjourney's answers have the kind of task, such as mj_video, which is the id of the built-in model.
    model = MODELS.get(as_line(record.get("taskType") or arguments.get("taskType"))) or _find_model(route_id, name)
    kind = model.kind if model else await find_kind(name) if find_kind and name else None
    # The new task has no session, because no session of this server spent credits on it.
    return Task(
        id=new_id("t"),
        tool="",
        model=model.id if model else name or route_id,
        kind=kind or "image",
        route=route_id,
        arguments=arguments,
        created=_creation_time(record.get("createTime"), now),
        state="running",
        kie_id=id_,
        reserved=(model.default_estimate().high or 0) if model else money.highest_estimate_of_kind(kind),
    )


def _find_model(route_id: str, name: str) -> type[KieModel] | None:
    """Return the built-in model with this name, else the first built-in model that runs on the route, else None."""
    route_id = f"jobs:{name}" if route_id == "jobs" else route_id
    return MODELS.get(name) or next((model for model in MODELS.values() if route_id in model.routes), None)


def _find_request(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the create request that a status answer repeats as JSON text; empty if there is none.

    Some status answers repeat only the arguments of the request; then only the arguments are returned.
    """
    requests = (parse_json(record.get(name)) for name in ("param", "paramJson"))
    return next((each for each in requests if isinstance(each, dict) and _find_arguments(each)), {})


def _find_arguments(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the task's arguments from its create request, with KIE's field names."""
    arguments = parse_json(request.get("input", request))
    return arguments if isinstance(arguments, dict) else {}


def _creation_time(value: object, now: float) -> float:
    """Return the creation time from a status answer, in seconds since 1970; `now` if it is missing or impossible."""
    seconds = parse_time(value)
    return min(seconds, now) if seconds is not None and EARLIEST <= seconds <= now + DAY else now
