"""MCP Tasks (`io.modelcontextprotocol/tasks`, SEP-2663): a client that knows it gets a handle and asks after it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from mcp.server.context import CallNext, HandlerResult
from mcp.server.extension import Extension, MethodBinding, RequestHandler, compose_tool_call_handler
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CallToolRequestParams,
    CallToolResult,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import PrivateAttr

from kie_mcp.errors import InvalidCall, KieMcpError
from kie_mcp.server.app import App, Context

if TYPE_CHECKING:
    from kie_mcp.catalog.fields import Kind
    from kie_mcp.ledger.task import Task

TASKS = "io.modelcontextprotocol/tasks"
POLL_SECONDS: "dict[Kind, int]" = {"text": 2, "image": 3, "audio": 5, "video": 10}
"""How often a client had better ask, by what is made."""


class Started(CallToolResult):
    """The answer of a call that started a task which has not ended yet."""

    _task: "Task" = PrivateAttr()

    @classmethod
    def of(cls, task: "Task", result: CallToolResult) -> Self:
        """The same answer, with the task for whoever answers in another form."""
        started = cls(**dict(result))
        started._task = task
        return started

    @property
    def task(self) -> "Task":
        """The task."""
        return self._task


class TaskParams(RequestParams):
    """Which task."""

    task_id: str


class UpdateParams(TaskParams):
    """What the client answers to questions of a task."""

    input_responses: dict[str, Any]


def declared(context: Context) -> bool:
    """Whether this very request says that its sender understands tasks."""
    capabilities = context.session.client_capabilities
    extensions = capabilities.extensions if capabilities else None
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS and TASKS in (extensions or {})


class TasksExtension(Extension):
    """Answers from the ledger: whoever may call this server at all owns what is in it."""

    identifier = TASKS

    def methods(self) -> list[MethodBinding]:
        """The three methods; clients of 2025 do not have them."""
        versions = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [
            MethodBinding("tasks/get", TaskParams, self.get, versions),
            MethodBinding("tasks/update", UpdateParams, self.update, versions),
            MethodBinding("tasks/cancel", TaskParams, self.cancel, versions),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Context, call_next: CallNext
    ) -> HandlerResult:
        """Give a handle in place of an answer that says no more than that it takes a while."""
        del params
        result = await call_next(ctx)
        # A task that its caller cancelled stays cancelled there, though the same call may lead to it again.
        if isinstance(result, Started) and declared(ctx) and result.task.cancelled is None:
            app = ctx.lifespan_context
            usual = (await (await app.runner()).usual(result.task)).seconds
            return {"resultType": "task", **handle(result.task, now=app.clock.time(), usual=usual, busy=True)}
        return result

    async def get(self, context: Context, params: TaskParams) -> HandlerResult:
        """Answer tasks/get."""
        check(context, params.task_id)
        return {"resultType": "complete", **await self.describe(context.lifespan_context, params.task_id)}

    async def update(self, context: Context, params: UpdateParams) -> HandlerResult:
        """Answer tasks/update: all questions are asked before a task is started, so there is nothing to take."""
        check(context, params.task_id)
        await find(context.lifespan_context, params.task_id)
        return {"resultType": "complete"}

    async def cancel(self, context: Context, params: TaskParams) -> HandlerResult:
        """Answer tasks/cancel: KIE cannot be stopped, so the task is watched and its files are saved all the same."""
        check(context, params.task_id)
        app = context.lifespan_context
        task = await find(app, params.task_id)
        if not task.final and task.cancelled is None:
            task.cancelled = app.clock.time()
            await (await app.runner()).ledger.cancel(task)
        return {"resultType": "complete"}

    async def describe(self, app: App, id_: str) -> dict[str, Any]:
        """A task with its result once it has one.

        Raises:
            MCPError: When there is no such task.
        """
        from kie_mcp.server import answers

        task, runner = await find(app, id_), await app.runner()
        now, usual = app.clock.time(), (await runner.usual(task)).seconds
        shown = handle(task, now=now, usual=usual, busy=runner.busy(task))
        if shown["status"] == "completed":
            result = answers.task_result(task, now=now, usual=usual)
            shown["result"] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return shown


def check(context: Context, task_id: str) -> None:
    """Hold a request against what the extension asks of it.

    Raises:
        MCPError: When the client did not declare the extension, or its Mcp-Name header names another task.
    """
    require_client_extension(context, TASKS)
    # The SDK compares the header for the methods of the core alone.
    if context.request and decode_header_value(context.request.headers.get(MCP_NAME_HEADER)) != task_id:
        raise MCPError(HEADER_MISMATCH, f"{MCP_NAME_HEADER} header does not match the request body's taskId")


async def find(app: App, id_: str) -> "Task":
    """The task that a handle names; an open one is watched from now on.

    Raises:
        MCPError: When there is none, or the ledger cannot be opened.
    """
    try:
        task = await (await app.runner()).get(id_)
        # Other ways to name a task, such as KIE's id, are no handles.
        if task.id != id_:
            raise InvalidCall(f"There is no task {id_}.")
    except InvalidCall as error:
        raise MCPError(INVALID_PARAMS, str(error)) from None
    except KieMcpError as error:
        raise MCPError(INTERNAL_ERROR, f"{error} {error.next_step}".strip()) from None
    return task


def handle(task: "Task", *, now: float, usual: float, busy: bool) -> dict[str, Any]:
    """A task as the extension shows it; a dict, since a null ttlMs has to stay.

    Args:
        task: The task.
        now: The time.
        usual: Seconds that such a task usually takes.
        busy: Whether it has not ended, or its files are still on their way.
    """
    from kie_mcp.ledger.task import KEPT_FOR

    return {
        "taskId": task.id,
        "status": "cancelled" if task.cancelled is not None else "working" if busy else "completed",
        "statusMessage": message(task, now=now, usual=usual, busy=busy),
        "createdAt": when(task.created),
        "lastUpdatedAt": when(task.cancelled or task.finished or task.created),
        "ttlMs": KEPT_FOR * 1000,
        "pollIntervalMs": POLL_SECONDS[task.kind] * 1000,
    }


def message(task: "Task", *, now: float, usual: float, busy: bool) -> str:
    """How a task is, for a person."""
    from kie_mcp.server import answers

    if task.cancelled is not None:
        return f"Not waited for any more. KIE cannot stop it: it goes on and is billed; get_task {task.id} shows it."
    if task.error:
        return answers.error_text(task.error)
    if busy:
        return answers.sentence([task], {task.id: usual}, now=now)
    return f"made in {(task.finished or now) - task.created:.0f} s"


def when(seconds: float) -> str:
    """A time as ISO 8601 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def mount(server: Server[Any], extension: Extension) -> None:
    """Add an extension to a server, as the SDK's `MCPServer` does with its own: methods, tools/call, the advert."""
    for method in extension.methods():
        server.add_request_handler(method.method, method.params_type, _gated(method))
    if entry := server.get_request_handler("tools/call"):
        handler = compose_tool_call_handler([extension], entry.handler)
        server.add_request_handler("tools/call", CallToolRequestParams, handler)
    server.extensions[extension.identifier] = extension.settings()


def _gated(method: MethodBinding) -> RequestHandler:
    """The method, for those protocol versions alone that have it."""

    async def answer(context: Context, params: Any) -> HandlerResult:
        if method.protocol_versions is not None and context.protocol_version not in method.protocol_versions:
            raise MCPError(METHOD_NOT_FOUND, "Method not found", method.method)
        return await method.handler(context, params)

    return answer
