"""Made ids: KIE's id of a voice, character or persona, found by the earlier task that made it."""

from collections.abc import Mapping

from kie_mcp.catalog.argument_values import parse_json
from kie_mcp.catalog.fields import MadeId, parse_task_id
from kie_mcp.catalog.reference_spellings import name_task
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.media_inputs import abbreviate

ID_NAMES = ("personaId", "voiceId", "kieAudioId", "characterId")
"""KIE's names of such an id, if the text of a task is a whole JSON object."""


async def find_made_id(ref: MadeId, ledger: Ledger) -> str:
    """Return KIE's id for a reference to the task that made it; a text that names no task is such an id itself.

    Raises:
        InvalidCall: When there is no such task, or it made no id that the field takes.
    """
    shown = abbreviate(ref)
    task = await ledger.find(parse_task_id(ref))
    if not task:
        if name_task(ref).startswith("task:"):
            raise InvalidCall(f"{shown}: there is no such task.", "list_tasks shows the tasks there are.")
        return ref
    if task.model not in ref.makers:
        raise InvalidCall(
            f"{shown}: a task of {task.model} makes no id that is wanted here.",
            f"Nothing was sent. Give a task of {' or '.join(ref.makers)}, or KIE's id.",
        )
    if task.state != "succeeded":
        raise InvalidCall(f"{shown}: the task is {task.state}.", "Ask get_task until it has succeeded.")
    if made := _read_id(task):
        return made
    raise InvalidCall(f"{shown}: the task's text shows no id.", "Nothing was sent. Give KIE's id, if you know it.")


def _read_id(task: Task) -> str:
    """Return the id in a task's text, which is the id alone or a JSON object; empty if there is none."""
    text = task.texts[0] if task.texts else ""
    read = parse_json(text)
    if isinstance(read, Mapping):
        return next((str(read[name]) for name in ID_NAMES if read.get(name)), "")
    return text
