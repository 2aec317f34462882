"""Check whether the earlier task that a call follows on is one that the call takes, such as a Veo video to extend."""

from kie_mcp.catalog.fields import Source, TaskRef, Track
from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.media_inputs import abbreviate

SEARCHED = 100
"""Number of the newest tasks among which those are searched that a refusal names."""
MOST_NAMED = 3
"""Largest number of tasks that a refusal names."""


async def check_source(task: Task, ref: TaskRef | Track, ledger: Ledger) -> None:
    """Check that a call takes a task of the ledger as its source.

    Args:
        task: The task.
        ref: The reference to the task in the call's arguments; its `source` says which tasks the field takes.
        ledger: The ledger, in which tasks are searched that the field does take.

    Raises:
        InvalidCall: KIE would refuse the call, or bill it in vain: a task of another model or kind, a task that still
            runs or has failed, or one to which KIE gave no id.
    """
    if not ref.source:
        return
    shown, made = abbreviate(ref), f"{task.model} ({task.kind})"
    if task.is_batch:
        raise InvalidCall(
            f"{shown} is a batch; this call takes {ref.source.words}.",
            f"Nothing was sent. Give the item's own task: get_task with {task.id} lists the items.",
        )
    if not _can_be_source(ref.source, task):
        raise InvalidCall(
            f"{shown} is a task of {made}; this call takes {ref.source.words}.",
            f"Nothing was sent. {await _name_others(ref.source, ledger)}",
        )
    if not task.final:
        raise InvalidCall(f"{shown}: the task is {task.state}.", "Ask get_task until it has succeeded.")
    if task.state == "failed" or not task.kie_id:
        reason = "has failed" if task.state == "failed" else "has no id at KIE"
        raise InvalidCall(
            f"{shown}: the task of {made} {reason}, so nothing can follow on it.",
            f"Nothing was sent. {await _name_others(ref.source, ledger)}",
        )


def _can_be_source(source: Source, task: Task) -> bool:
    # The kind of a model that is not built in is derived from KIE's words for its mode, so the saved results count.
    made = {each.mime_type.partition("/")[0] for each in task.results} - {""}
    if task.model not in MODELS and (made or not task.tool):
        return not made or source.kind in (None, *made)
    return MODELS.can_be_source(source, task.model, task.kind)


async def _name_others(source: Source, ledger: Ledger) -> str:
    """Return a sentence that names the newest tasks that would do; if there are none, the tools that make them."""
    newest = await ledger.page(states=("succeeded",), kind=source.kind, batches=False, limit=SEARCHED)
    fitting = [each for each in newest if each.kie_id and _can_be_source(source, each)]
    if fitting:
        named = ", ".join(f"{each.id} ({each.model})" for each in fitting[:MOST_NAMED])
        return f"These would do: {named}."
    if not source.makers:
        return f"Make one first: find_models names the models for {source.kind}."
    *others, last = source.makers.split()
    return f"Make one first, with {' or '.join(filter(None, (', '.join(others), last)))}."
