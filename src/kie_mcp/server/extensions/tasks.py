"""The MCP Tasks extension (`io.modelcontextprotocol/tasks`, SEP-2663).

A client that declares the extension gets a task handle as the result of a tool call whose task still runs. The client
then polls the task with tasks/get.
"""

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
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    CallToolRequestParams,
    CallToolResult,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import PrivateAttr

from kie_mcp.clock import to_utc
from kie_mcp.errors import InvalidCall, KieMcpError, NotAllowed
from kie_mcp.server.app import App, Context
from kie_mcp.server.progress import describe_progress

if TYPE_CHECKING:
    from kie_mcp.catalog.fields import Kind
    from kie_mcp.ledger.task import Task

EXTENSION_ID = "io.modelcontextprotocol/tasks"
POLL_SECONDS: "dict[Kind, int]" = {"text": 2, "image": 3, "audio": 5, "video": 10}
"""For each kind of result, the seconds that a client should wait between two tasks/get requests (`pollIntervalMs`)."""


class StartedTaskResult(CallToolResult):
    """The result of a tool call whose task has not ended yet, together with the task.

    `TasksExtension.intercept_tool_call` builds a task handle from the task.
    """

    _task: "Task" = PrivateAttr()
    _usual: float = PrivateAttr()

    @classmethod
    def of(cls, task: "Task", result: CallToolResult, usual: float) -> Self:
        """Return a copy of a tool result, and attach the task that the result describes and its usual seconds."""
        started = cls(**dict(result))
        started._task, started._usual = task, usual
        return started

    @property
    def task(self) -> "Task":
        """The task that this result describes."""
        return self._task

    @property
    def usual(self) -> float:
        """Seconds that such a task usually takes."""
        return self._usual


class TaskParams(RequestParams):
    """Parameters of tasks/get and tasks/cancel."""

    task_id: str


class UpdateParams(TaskParams):
    """Parameters of tasks/update."""

    input_responses: dict[str, Any]


def client_supports_tasks(context: Context) -> bool:
    """Return True if the client declares the MCP Tasks extension in this request."""
    capabilities = context.session.client_capabilities
    extensions = capabilities.extensions if capabilities else None
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS and EXTENSION_ID in (extensions or {})


class TasksExtension(Extension):
    """Answers tasks/get, tasks/update and tasks/cancel from the ledger; a client may use every task in this ledger."""

    identifier = EXTENSION_ID

    def methods(self) -> list[MethodBinding]:
        """Return the methods tasks/get, tasks/update and tasks/cancel, for protocol versions from 2026-07-28 on."""
        versions = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [
            MethodBinding("tasks/get", TaskParams, self.get, versions),
            MethodBinding("tasks/update", UpdateParams, self.update, versions),
            MethodBinding("tasks/cancel", TaskParams, self.cancel, versions),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: Context, call_next: CallNext
    ) -> HandlerResult:
        """Answer a tool call with a task handle if the call's task still runs and the client declares the extension."""
        del params
        result = await call_next(ctx)
        # A repeated call may return a task whose handle was cancelled. A cancelled handle never becomes completed, so
        # the client gets the ordinary tool result instead.
        if isinstance(result, StartedTaskResult) and client_supports_tasks(ctx) and result.task.cancelled is None:
            now = ctx.lifespan_context.clock.time()
            return {"resultType": "task", **build_handle(result.task, now=now, usual=result.usual, busy=True)}
        return result

    async def get(self, context: Context, params: TaskParams) -> HandlerResult:
        """Answer tasks/get with the task's handle and, after the end of the task, the result of its tool call."""
        check_request(context, params.task_id)
        return {"resultType": "complete", **await self.describe_task(context.lifespan_context, params.task_id)}

    async def update(self, context: Context, params: UpdateParams) -> HandlerResult:
        """Answer tasks/update; the input is ignored, because the server asks all questions before a task starts."""
        check_request(context, params.task_id)
        await find_task(context.lifespan_context, params.task_id)
        return {"resultType": "complete"}

    async def cancel(self, context: Context, params: TaskParams) -> HandlerResult:
        """Answer tasks/cancel: mark the handle as cancelled, and stop the task only if it is an edit.

        An edit runs on this machine. KIE cannot stop a task, so the server still watches such a task and saves its
        files.
        """
        from kie_mcp.tasks.permission import check_permission

        check_request(context, params.task_id)
        app = context.lifespan_context
        task = await find_task(app, params.task_id)
        try:
            check_permission()
        except NotAllowed as error:
            raise MCPError(INVALID_REQUEST, f"{error} {error.next_step}") from None
        if not task.final and task.cancelled is None:
            task.cancelled = app.clock.time()
            runner = await app.runner()
            await runner.ledger.cancel(task)
            runner.stop_edit(task.id)
        return {"resultType": "complete"}

    async def describe_task(self, app: App, id_: str) -> dict[str, Any]:
        """Return a task's handle as a JSON object, which contains the tool call's result once the task has ended.

        Raises:
            MCPError: When there is no such task, or the ledger cannot be opened.
        """
        from kie_mcp.server import answers

        task, runner = await find_task(app, id_), await app.runner()
        now, usual = app.clock.time(), (await runner.estimate_duration(task)).seconds
        handle = build_handle(task, now=now, usual=usual, busy=runner.is_busy(task))
        if handle["status"] == "completed":
            find_link = await runner.storage.sign_links(task.results)
            result = answers.build_task_result(
                task, now=now, usual=usual, find_link=find_link, is_remote=not app.local_files
            )
            if app.settings.links:
                answers.add_links(result)
            handle["result"] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return handle


def check_request(context: Context, task_id: str) -> None:
    """Check that the client of a request declared the extension, and that the request's header names the task.

    Raises:
        MCPError: When the client did not declare the extension, or the Mcp-Name header does not name the task.
    """
    require_client_extension(context, EXTENSION_ID)
    # The SDK checks the header Mcp-Name only for methods of the core protocol, so methods of MCP Tasks need this check.
    if context.request and decode_header_value(context.request.headers.get(MCP_NAME_HEADER)) != task_id:
        raise MCPError(HEADER_MISMATCH, f"{MCP_NAME_HEADER} header does not match the request body's taskId")


async def find_task(app: App, id_: str) -> "Task":
    """Return the task with this id; if the task still runs, make sure that a process watches it.

    Raises:
        MCPError: When there is no such task, or the ledger cannot be opened.
    """
    try:
        task = await (await app.runner()).get(id_)
        # `runner.get()` also accepts KIE's id of a task. Here, KIE's id is refused, because handles contain the
        # ledger's id.
        if task.id != id_:
            raise InvalidCall(f"There is no task {id_[:100]}.")
    except InvalidCall as error:
        raise MCPError(INVALID_PARAMS, str(error)) from None
    except KieMcpError as error:
        raise MCPError(INTERNAL_ERROR, f"{error} {error.next_step}".strip()) from None
    return task


def build_handle(task: "Task", *, now: float, usual: float, busy: bool) -> dict[str, Any]:
    """Build the handle of a task: a JSON object with the fields of the type `Task` in SEP-2663.

    Args:
        task: The task that the handle describes.
        now: The current time in seconds since 1970.
        usual: Seconds that such a task usually takes.
        busy: True if the task has not ended, or its files are still being downloaded.
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
    """Return a sentence on the state of a task, for `statusMessage`; the arguments are those of `build_handle`."""
    if task.cancelled is not None and task.is_edit:
        return "Stopped. The same call makes it anew."
    if task.cancelled is not None and task.is_batch:
        return (
            "Not waited for any more. What was sent to KIE goes on and is billed; the other items are left out; "
            f"get_task {task.id} shows it."
        )
    if task.cancelled is not None:
        return f"Not waited for any more. KIE cannot stop it: it goes on and is billed; get_task {task.id} shows it."
    if task.error:
        from kie_mcp.server import answers

        return answers.format_error(task.error)
    if busy:
        return describe_progress([task], {task.id: usual}, now=now)
    return f"made in {max((task.finished or now) - task.created, 0):.0f} s"


def format_timestamp(seconds: float) -> str:
    """Format seconds since 1970 as an ISO 8601 time in UTC: `0.5 -> "1970-01-01T00:00:00.500Z"`."""
    return to_utc(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def add_extension(server: Server[Any], extension: Extension) -> None:
    """Add an extension's methods, its interceptor of tools/call and its capability to the SDK's low-level `Server`.

    The SDK has a function for this purpose only in its class `MCPServer`.
    """
    for method in extension.methods():
        server.add_request_handler(method.method, method.params_type, _limit_to_versions(method))
    if entry := server.get_request_handler("tools/call"):
        handler = compose_tool_call_handler([extension], entry.handler)
        server.add_request_handler("tools/call", CallToolRequestParams, handler)
    server.extensions[extension.identifier] = extension.settings()


def _limit_to_versions(method: MethodBinding) -> RequestHandler:
    """Return a handler for a method; in protocol versions without the method, the handler raises "Method not found"."""

    async def answer(context: Context, params: Any) -> HandlerResult:
        if method.protocol_versions is not None and context.protocol_version not in method.protocol_versions:
            raise MCPError(METHOD_NOT_FOUND, "Method not found", method.method)
        return await method.handler(context, params)

    return answer
