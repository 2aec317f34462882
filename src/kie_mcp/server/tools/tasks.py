"""`get_task`, `list_tasks`, `resolve_task`."""

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.catalog.fields import Kind
from kie_mcp.ledger.task import State
from kie_mcp.server import answers
from kie_mcp.server.answers import when
from kie_mcp.server.app import App
from kie_mcp.server.generate import Asked
from kie_mcp.server.progress import progress_of
from kie_mcp.server.tools.paging import page_result, read_cursor
from kie_mcp.server.tools.tool import Arguments, Tool
from kie_mcp.tasks.runner import NOT_CREATED


class GetTask(Arguments):
    """Which tasks, and for how long to wait."""

    task_ids: tuple[str, ...] = Field(min_length=1, max_length=10)
    wait_seconds: Annotated[float, Field(ge=0, le=600)] = 0


async def get_task(app: App, asked: Asked, wanted: GetTask) -> CallToolResult:
    """Answer how tasks are, waiting for them if asked to."""
    runner = await app.runner()
    tasks = [await runner.get(id_) for id_ in wanted.task_ids]
    usual = {task.id: (await runner.usual(task)).seconds for task in tasks}
    if wanted.wait_seconds:
        tasks = await runner.wait(tasks, wanted.wait_seconds, progress_of(app, asked.context, usual))
    now = app.clock.time()
    if len(tasks) == 1:
        return answers.task_result(tasks[0], now=now, usual=usual[tasks[0].id])
    shown = [answers.task_answer(task, now=now, usual=usual[task.id]) for task in tasks]
    return answers.result({"tasks": shown}, "\n\n".join(answers.task_text(each) for each in shown))


class ListTasks(Arguments):
    """Which tasks to list."""

    status: State | None = None
    kind: Kind | None = None
    model: str = Field("", description="Part of the id.")
    words: str = Field("", description="In the prompt.")
    limit: Annotated[int, Field(ge=1, le=20)] = 10
    cursor: str = Field("", description="next_cursor of the page before.")


async def list_tasks(app: App, _: Asked, wanted: ListTasks) -> CallToolResult:
    """List tasks, newest first."""
    runner = await app.runner()
    found = await runner.ledger.page(
        states=(wanted.status,) if wanted.status else (),
        kind=wanted.kind,
        model=wanted.model,
        words=wanted.words,
        before=read_cursor(wanted.cursor),
        limit=wanted.limit + 1,
    )
    shown, more = found[: wanted.limit], found[wanted.limit :]
    shown_as = [
        {
            "task_id": task.id,
            "status": task.state,
            "model": task.model,
            "created": when(task.created),
            "prompt": answers.one_line(task.prompt)[:60],
            "files": len(task.results),
        }
        for task in shown
    ]
    answer: dict[str, Any] = {"tasks": shown_as}
    lines = ["{task_id} {status} {model} {created} files: {files} {prompt}".format(**row).strip() for row in shown_as]
    return page_result(answer, lines, shown[-1] if more else None, "No tasks.")


class ResolveTask(Arguments):
    """Which task, and what became of it."""

    task_id: str
    outcome: str = Field(description=f"KIE's id of it, as its log shows it, or: {NOT_CREATED}.", min_length=1)


async def resolve_task(app: App, _: Asked, wanted: ResolveTask) -> CallToolResult:
    """Settle what became of a task that is unknown."""
    runner = await app.runner()
    task = await runner.resolve(wanted.task_id, wanted.outcome)
    answer = answers.task_answer(task, now=app.clock.time(), usual=(await runner.usual(task)).seconds)
    # That it was never made is what was asked for, no error.
    return answers.result(answer, answers.task_text(answer))


GET_TASK = Tool(
    "get_task",
    "How tasks are and what they made. With wait_seconds it answers as soon as all have ended; 50 suits most "
    "clients. Costs nothing.",
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
    "Settle a task whose status is unknown, once the user has looked at https://kie.ai/logs.",
    ResolveTask,
    resolve_task,
    read_only=False,
)
