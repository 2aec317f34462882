"""The MCP Tasks extension (`io.modelcontextprotocol/tasks`, SEP-2663): clients get a task handle and poll it."""

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
from kie_mcp.server.progress import describe_progress

if TYPE_CHECKING:
    from kie_mcp.catalog.fields import Kind
    from kie_mcp.ledger.task import Task

EXTENSION_ID = "io.modelcontextprotocol/tasks"
POLL_SECONDS: "dict[Kind, int]" = {"text": 2, "image": 3, "audio": 5, "video": 10}
"""Seconds between two polls that clients are advised to keep (`pollIntervalMs`), by what the task makes."""


class StartedTaskResult(CallToolResult):
    """The answer of a call whose task has not ended yet; carries the task, for `intercept_tool_call`."""

    _task: "Task" = PrivateAttr()

    @classmethod
    def of(cls, task: "Task", result: CallToolResult) -> Self:
        """Copy an answer and attach its task."""
        started = cls(**dict(result))
        started._task = task
        return started

    @property
    def task(self) -> "Task":
        """The task that the answer describes."""
        return self._task


class TaskParams(RequestParams):
    """Parameters of tasks/get and tasks/cancel."""

    task_id: str


class UpdateParams(TaskParams):
    """Parameters of tasks/update."""

    input_responses: dict[str, Any]


def client_supports_tasks(context: Context) -> bool:
    """Whether the client declares the extension in this request."""
    capabilities = context.session.client_capabilities
    extensions = capabilities.extensions if capabilities else None
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS and EXTENSION_ID in (extensions or {})


class TasksExtension(Extension):
    """Answers tasks/* from the ledger; whoever may call this server may see all of its tasks."""

    identifier = EXTENSION_ID

    def methods(self) -> list[MethodBinding]:
        """The methods tasks/get, tasks/update and tasks/cancel, for protocols from 2026-07-28."""
        versions = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [
            MethodBinding("tasks/get", TaskParams, self.get, versions),
            MethodBinding("tasks/update", UpdateParams, self.update, versions),
            MethodBinding("tasks/cancel", TaskParams, self.cancel, versions),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Context, call_next: CallNext
    ) -> HandlerResult:
        """Answer with a task handle when the task still runs and the client declares the extension."""
        del params
        result = await call_next(ctx)
        # A cancelled task never completes as a handle, so a repeated call that leads to it gets the plain answer.
        if isinstance(result, StartedTaskResult) and client_supports_tasks(ctx) and result.task.cancelled is None:
            app = ctx.lifespan_context
            usual = (await (await app.runner()).estimate_duration(result.task)).seconds
            return {"resultType": "task", **build_handle(result.task, now=app.clock.time(), usual=usual, busy=True)}
        return result

    async def get(self, context: Context, params: TaskParams) -> HandlerResult:
        """Answer tasks/get."""
        check_request(context, params.task_id)
        return {"resultType": "complete", **await self.describe_task(context.lifespan_context, params.task_id)}

    async def update(self, context: Context, params: UpdateParams) -> HandlerResult:
        """Answer tasks/update; the input is ignored, since all questions are asked before a task is started."""
        check_request(context, params.task_id)
        await find_task(context.lifespan_context, params.task_id)
        return {"resultType": "complete"}

    async def cancel(self, context: Context, params: TaskParams) -> HandlerResult:
        """Answer tasks/cancel: cancel the handle only. KIE cannot stop, so the task is still watched and saved."""
        check_request(context, params.task_id)
        app = context.lifespan_context
        task = await find_task(app, params.task_id)
        if not task.final and task.cancelled is None:
            task.cancelled = app.clock.time()
            await (await app.runner()).ledger.cancel(task)
        return {"resultType": "complete"}

    async def describe_task(self, app: App, id_: str) -> dict[str, Any]:
        """Describe a task as a handle, with its result once it has ended.

        Raises:
            MCPError: When there is no such task.
        """
        from kie_mcp.server import answers

        task, runner = await find_task(app, id_), await app.runner()
        now, usual = app.clock.time(), (await runner.estimate_duration(task)).seconds
        handle = build_handle(task, now=now, usual=usual, busy=runner.is_busy(task))
        if handle["status"] == "completed":
            result = answers.build_task_result(task, now=now, usual=usual)
            handle["result"] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return handle


def check_request(context: Context, task_id: str) -> None:
    """Check that a request may use the extension.

    Raises:
        MCPError: When the client did not declare the extension, or its Mcp-Name header names another task.
    """
    require_client_extension(context, EXTENSION_ID)
    # The SDK checks this header for methods of the core protocol only.
    if context.request and decode_header_value(context.request.headers.get(MCP_NAME_HEADER)) != task_id:
        raise MCPError(HEADER_MISMATCH, f"{MCP_NAME_HEADER} header does not match the request body's taskId")


async def find_task(app: App, id_: str) -> "Task":
    """Return the task that a handle names; this process watches it from now on if it has not ended.

    Raises:
        MCPError: When there is none, or the ledger cannot be opened.
    """
    try:
        task = await (await app.runner()).get(id_)
        # Other names of a task, such as KIE's id, are no handles.
        if task.id != id_:
            raise InvalidCall(f"There is no task {id_}.")
    except InvalidCall as error:
        raise MCPError(INVALID_PARAMS, str(error)) from None
    except KieMcpError as error:
        raise MCPError(INTERNAL_ERROR, f"{error} {error.next_step}".strip()) from None
    return task


def build_handle(task: "Task", *, now: float, usual: float, busy: bool) -> dict[str, Any]:
    """Describe a task in the extension's form (the fields of `Task` in SEP-2663).

    Args:
        task: The task.
        now: Seconds since 1970.
        usual: Seconds that such a task usually takes.
        busy: Whether it has not ended, or its files are still being downloaded.
    """
    from kie_mcp.ledger.task import KEPT_FOR

    return {
        "taskId": task.id,
        "status": "cancelled" if task.cancelled is not None else "working" if busy else "completed",
        "statusMessage": describe_status(task, now=now, usual=usual, busy=busy),
        "createdAt": format_timestamp(task.created),
        "lastUpdatedAt": format_timestamp(task.cancelled or task.finished or task.created),
        "ttlMs": KEPT_FOR * 1000,
        "pollIntervalMs": POLL_SECONDS[task.kind] * 1000,
    }


def describe_status(task: "Task", *, now: float, usual: float, busy: bool) -> str:
    """Describe the state of a task in a sentence (`statusMessage`); the arguments are those of `build_handle`."""
    if task.cancelled is not None:
        return f"Not waited for any more. KIE cannot stop it: it goes on and is billed; get_task {task.id} shows it."
    if task.error:
        from kie_mcp.server import answers

        return answers.format_error(task.error)
    if busy:
        return describe_progress([task], {task.id: usual}, now=now)
    return f"made in {(task.finished or now) - task.created:.0f} s"


def format_timestamp(seconds: float) -> str:
    """Format seconds since 1970 as ISO 8601, in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def add_extension(server: Server[Any], extension: Extension) -> None:
    """Add an extension's methods, tools/call interceptor and capability to a server, as the SDK's `MCPServer` does."""
    for method in extension.methods():
        server.add_request_handler(method.method, method.params_type, _limit_to_versions(method))
    if entry := server.get_request_handler("tools/call"):
        handler = compose_tool_call_handler([extension], entry.handler)
        server.add_request_handler("tools/call", CallToolRequestParams, handler)
    server.extensions[extension.identifier] = extension.settings()


def _limit_to_versions(method: MethodBinding) -> RequestHandler:
    """The method's handler; for protocol versions that lack the method, it answers that there is none."""

    async def answer(context: Context, params: Any) -> HandlerResult:
        if method.protocol_versions is not None and context.protocol_version not in method.protocol_versions:
            raise MCPError(METHOD_NOT_FOUND, "Method not found", method.method)
        return await method.handler(context, params)

    return answer
