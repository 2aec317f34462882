"""Estimate how long a task takes from the durations of earlier tasks in the ledger."""

from kie_mcp.catalog.registry import MODELS
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.polling import NEWEST_DURATIONS, DurationEstimate, estimate_duration

UNKNOWN_SECONDS = 60
"""Estimated seconds of a task if nothing is known about its model."""


async def estimate_task(ledger: Ledger, task: Task, usual_seconds: float | None) -> DurationEstimate:
    """Estimate the duration of a task from the latest tasks with the same model and the same argument `duration`.

    Args:
        ledger: The ledger.
        task: The task.
        usual_seconds: Duration of every task, if it is known, as in the sandbox; otherwise, None. It is used like a
            measured duration if the ledger has no such earlier task. If it is None, the built-in duration of the
            model's class is used, which may be wrong.
    """
    lengths = await ledger.statistics.durations(task.model, task.arguments.get("duration"), newest=NEWEST_DURATIONS)
    # A batch is expected to take as long as the slowest of its models.
    ids = task.arguments.get("models", ()) if task.is_batch else (task.model,)
    models = (MODELS[id_] for id_ in ids if id_ in MODELS)
    usual = max((model.usual_seconds for model in models), default=UNKNOWN_SECONDS)
    if usual_seconds and not lengths:
        lengths = [usual_seconds]
    return estimate_duration(lengths, usual)
