"""Find out whether KIE would refuse a request for what it says, or because there were too many in a short time."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from kie_mcp.catalog.fields import Source, parse_task_id
from kie_mcp.catalog.registry import MODELS
from kie_mcp.sandbox.create_answers import Reply
from kie_mcp.sandbox.fake_task import FakeTask
from kie_mcp.sandbox.offers import Offer

MADE_ONCE = frozenset({"suno-cover", "persona"})
"""The results, by `Offer.result_shape`, that KIE makes only once of each song."""
READS_PER_SECOND = 10
"""Largest number of status reads of one task that KIE answers in a second."""
FEWER_READS = {"suno": 3, "gpt4o": 3}
"""The same number for some product APIs; the key is the beginning of `Route.shape`."""


def find_refusal(offer: Offer, body: dict[str, Any], tasks: Iterable[FakeTask], now: float) -> Reply | None:
    """Return the answer with which KIE refuses a create request; None if KIE has no reason to refuse it.

    Args:
        offer: The model and the route that fit the request.
        body: The body of the request.
        tasks: The tasks that the sandbox knows. A request may follow on any other task, as if it was made elsewhere.
        now: The time, in seconds since 1970.
    """
    if problem := offer.find_problem(body):
        return 422, problem, None
    if not (named := offer.find_sources(body)):
        return None
    by_id = {task.id: task for task in tasks}
    sources = [ref for ref in named if parse_task_id(ref) in by_id]
    for ref in sources:
        if ref.source and not _can_be_source(ref.source, by_id[parse_task_id(ref)], now):
            return 422, f"taskId must be {ref.source.words}", None
    if sources and offer.result_shape in MADE_ONCE:
        for task in by_id.values():
            made = task.offers[0]
            if made.model is offer.model and made.find_sources(task.body) == sources and task.state(now) != "fail":
                # Where the answer to a create request has the result itself, KIE gives tasks no ids.
                data = None if offer.route.at_once else {"taskId": task.id}
                return 409, "It has been made of this song already", data
    return None


def _can_be_source(source: Source, task: FakeTask, now: float) -> bool:
    models = (offer.model for offer in task.offers)
    is_taken = any(MODELS.can_be_source(source, model.id, model.kind) for model in models)
    return is_taken and task.state(now) == "success"


def exceeds_window(tasks: Iterable[FakeTask], window: tuple[int, float], now: float) -> bool:
    """Return True if one more create request would exceed the rate limit.

    Args:
        tasks: All tasks that the sandbox accepted.
        window: The largest number of tasks, and the seconds in which so many may be created.
        now: The time, in seconds since 1970.
    """
    limit, seconds = window
    # A task from the future was made before the computer's clock was set back.
    return sum(now - seconds < task.created_at <= now for task in tasks) >= limit


class ReadLimit:
    """Counts the status reads of each task, of which KIE answers only some in a second."""

    def __init__(self) -> None:
        self._answered: dict[str, deque[float]] = {}
        """For each task, the times of the last answered reads, in seconds since 1970; as many as KIE allows."""

    def allow(self, task: FakeTask, now: float) -> bool:
        """Return False if the task was read too often in the last second; otherwise, count this read."""
        shape = task.offers[0].route.shape
        most = next((most for start, most in FEWER_READS.items() if shape.startswith(start)), READS_PER_SECOND)
        answered = self._answered.setdefault(task.id, deque(maxlen=most))
        if len(answered) == most and 0 <= now - answered[0] < 1:
            return False
        answered.append(now)
        return True
