"""How long a task usually takes, by what the ledger knows of earlier tasks."""

from kie_mcp.catalog.registry import MODELS
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.polling import NEWEST_DURATIONS, DurationEstimate, estimate_duration

UNKNOWN_SECONDS = 60
"""Seconds that a task of a model counts with if nothing is known of the model."""


async def estimate_task(ledger: Ledger, task: Task, usual_seconds: float | None) -> DurationEstimate:
    """Estimate the duration of a task from the last tasks with the same model and the same argument `duration`.

    Args:
        ledger: The ledger.
        task: The task.
        usual_seconds: Expected seconds for every task if there were none yet; if None, the model's own.
    """
    lengths = await ledger.statistics.durations(task.model, task.arguments.get("duration"), newest=NEWEST_DURATIONS)
    # Of a batch, the model that takes longest counts.
    models = (MODELS[id_] for id_ in task.arguments.get("models", (task.model,)) if id_ in MODELS)
    usual = usual_seconds or max((model.usual_seconds for model in models), default=UNKNOWN_SECONDS)
    return estimate_duration(lengths, usual)
