"""The tools `get_task`, `list_tasks` and `resolve_task`: show tasks, and record the outcome of an `unknown` task."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.catalog.fields import Kind
from kie_mcp.errors import KieMcpError
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import State, Task
from kie_mcp.server import answers, formatting, time_limits
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.progress import make_progress_reporter
from kie_mcp.server.tools.paging import build_page_result, parse_cursor
from kie_mcp.server.tools.tool import Arguments, Tool
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.runner import CREATE_WAIT_SECONDS, Runner
from kie_mcp.text import one_line


class GetTask(Arguments):
    """Arguments of get_task."""

    task_ids: tuple[str, ...] = Field(min_length=1, max_length=10, description="Up to 10.")
    wait_seconds: Annotated[float, Field(ge=0, le=600, description="Up to 600.")] = 0
    first: bool = Field(default=False, description="Only until one has ended.")


async def get_task(app: App, call: ToolCall, arguments: GetTask) -> CallToolResult:
    """Wait up to `wait_seconds` until all named tasks have ended, and return a result that describes the tasks.

    If `first` is true, wait only until one of the tasks has ended.

    If the client would stop waiting earlier, the call waits for less time. If only some of the ids are wrong, the
    result has an error for each wrong id beside the descriptions of the other tasks.

    Raises:
        KieMcpError: When no task was found for any of the ids.
    """
    runner = await app.runner()
    tasks, errors = await _find_tasks(runner, call, arguments.task_ids)
    # Answers about ended tasks do not contain the usual duration, so it is not read from the ledger.
    usual = {task.id: 0 if task.done else (await runner.estimate_duration(task)).seconds for task in tasks}
    if seconds := min(arguments.wait_seconds, time_limits.measure_wait_left(call)):
        report = make_progress_reporter(app, call.context, usual)
        tasks = await runner.wait(tasks, seconds, report, first=arguments.first)
    now, is_remote = app.clock.time(), not app.local_files
    find_link = await runner.storage.sign_links(result for task in tasks for result in task.results)
    if len(tasks) == 1 and not errors:
        return answers.build_task_result(
            tasks[0], now=now, usual=usual[tasks[0].id], find_link=find_link, is_remote=is_remote
        )
    described = [
        answers.describe_task(each, now=now, usual=usual[each.id], find_link=find_link, is_remote=is_remote)
        for each in tasks
    ]
    answer: dict[str, Any] = {"tasks": described}
    lines = [answers.format_task(each, is_remote=is_remote) for each in described]
    if errors:
        answer["errors"] = [{"task_id": id_, "error": error.as_dict()} for id_, error in errors.items()]
        lines += [f"{id_}: {answers.format_error(error.as_dict())}" for id_, error in errors.items()]
    return answers.build_result(answer, "\n\n".join(lines))


async def _find_tasks(runner: Runner, call: ToolCall, ids: Sequence[str]) -> tuple[list[Task], dict[str, KieMcpError]]:
    """Return the tasks with the given ids and, for each id without a task, the error that tells why none was found.

    Raises:
        KieMcpError: When no task was found for any of the ids; this is the error for the first id.
    """
    tasks: list[Task] = []
    errors: dict[str, KieMcpError] = {}
    for id_ in ids:
        try:
            left = time_limits.measure_create_left(call)
            tasks.append(await runner.get(id_, seconds=min(CREATE_WAIT_SECONDS, left), search_seconds=left))
        except KieMcpError as error:
            errors[one_line(id_)] = error
    if not tasks:
        raise next(iter(errors.values()))
    return tasks, errors


class ListTasks(Arguments):
    """Arguments of list_tasks."""

    status: State | None = None
    kind: Kind | None = None
    model: str = Field("", description="Part of the id.")
    words: str = Field("", description="In the prompt.")
    limit: Annotated[int, Field(ge=1, le=20, description="Up to 20.")] = 10
    cursor: str = Field("", description="next_cursor of the page before.")


async def list_tasks(app: App, _: ToolCall, arguments: ListTasks) -> CallToolResult:
    """Return a result with one page of the tasks that match all conditions of the call; the newest task comes first."""
    return await build_task_page((await app.runner()).ledger, arguments)


async def build_task_page(ledger: Ledger, arguments: ListTasks) -> CallToolResult:
    """Build the result of `list_tasks` from the ledger, without a request to KIE."""
    found = await ledger.page(
        states=(arguments.status,) if arguments.status else (),
        kind=arguments.kind,
        model=arguments.model,
        words=arguments.words,
        before=parse_cursor(arguments.cursor),
        limit=arguments.limit + 1,
    )
    page, more = found[: arguments.limit], found[arguments.limit :]
    rows = [
        {
            "task_id": task.id,
            "status": task.state,
            "model": task.model,
            "created": formatting.format_time(task.created),
            "prompt": one_line(task.prompt)[:60],
            "files": len(task.results) if task.final else 0,
            **answers.describe_broken_row(task),
        }
        for task in page
    ]
    answer: dict[str, Any] = {"tasks": rows}
    lines = [_format_row(row) for row in rows]
    return build_page_result(answer, lines, page[-1] if more else None, "No tasks.")


def _format_row(row: Mapping[str, Any]) -> str:
    line = "{task_id} {status} {model} {created} files: {files} {prompt}".format(**row)
    return " ".join(filter(None, (line.strip(), row.get("broken"))))


class ResolveTask(Arguments):
    """Arguments of resolve_task."""

    task_id: str
    outcome: str = Field(
        description=f"KIE's id of it or its result's link, from KIE's log, or: {NOT_CREATED}.", min_length=1
    )


async def resolve_task(app: App, _: ToolCall, arguments: ResolveTask) -> CallToolResult:
    """Record a task's outcome, which the user found in KIE's log because KIE's API did not tell the outcome."""
    runner = await app.runner()
    task = await runner.resolve(arguments.task_id, arguments.outcome)
    usual = (await runner.estimate_duration(task)).seconds
    find_link, is_remote = await runner.storage.sign_links(task.results), not app.local_files
    answer = answers.describe_task(task, now=app.clock.time(), usual=usual, find_link=find_link, is_remote=is_remote)
    # The result is never marked as an error, because this call succeeded even if it records that the task failed.
    return answers.build_result(answer, answers.format_task(answer, is_remote=is_remote))


GET_TASK = Tool(
    "get_task",
    "How tasks are and what they made. With wait_seconds it answers once all have ended, or before the client gives "
    "up.",
    GetTask,
    get_task,
)
LIST_TASKS = Tool(
    "list_tasks",
    "Tasks of this server, newest first, also of earlier sessions.",
    ListTasks,
    list_tasks,
    open_world=False,
)
RESOLVE_TASK = Tool(
    "resolve_task",
    "Settle a task that is unknown or names no result, once the user has looked where next_step says.",
    ResolveTask,
    resolve_task,
    read_only=False,
)
