"""Find out whether KIE would refuse a create request for what its body says, and with which words."""

from collections.abc import Iterable
from typing import Any

from kie_mcp.catalog.fields import Source, parse_task_id
from kie_mcp.catalog.registry import MODELS
from kie_mcp.sandbox.create_answers import Reply
from kie_mcp.sandbox.fake_task import FakeTask
from kie_mcp.sandbox.offers import Offer


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
    by_id = {task.id: task for task in tasks}
    for ref in offer.find_sources(body):
        task = by_id.get(parse_task_id(ref))
        if task and ref.source and not _can_be_source(ref.source, task, now):
            return 422, f"taskId must be {ref.source.words}", None
    return None


def _can_be_source(source: Source, task: FakeTask, now: float) -> bool:
    models = (offer.model for offer in task.offers)
    is_taken = any(MODELS.can_be_source(source, model.id, model.kind) for model in models)
    return is_taken and task.state(now) == "success"
