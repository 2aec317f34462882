"""Find the saved result of a task, for the tool view_media and the MCP method resources/read."""

from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Result, Task
from kie_mcp.server.app import App
from kie_mcp.text import one_line


def find_saved_result(app: App, task: Task, number: int) -> Result:
    """Return a saved result of a task; the file of the result may have been deleted or replaced since it was saved.

    Args:
        app: The running server.
        task: The task that made the result.
        number: The number of the result, counted from 1.

    Raises:
        InvalidCall: When the task has no result with this number, or the result is not saved.
    """
    if task.state != "succeeded":
        step = "Try again when get_task says succeeded." if not task.final else "get_task says what happened."
        raise InvalidCall(f"{task.id} is {task.state}: it has no file to show.", step)
    if not 1 <= number <= len(task.results):
        raise InvalidCall(f"{task.id} has {len(task.results)} files, and no {number}.", "Count them from 1.")
    result = task.results[number - 1]
    if result.path:
        return result
    link = f"Its link: {one_line(result.link)}"
    if not app.settings.save:
        raise InvalidCall("KIE_MCP_SAVE=0: results are not saved here, so that none can be shown.", link)
    raise InvalidCall(f"File {number} of {task.id} is not saved yet.", f"get_task tries again to save it. {link}")
