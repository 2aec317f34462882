"""An extension of the MCP client for MCP Tasks: it polls a task until the task has ended."""

from collections.abc import Callable
from typing import Any, Literal

from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Request, RequestParams, Result
from pydantic import RootModel

from kie_mcp.clock import Clock
from kie_mcp.server.extensions.tasks import EXTENSION_ID


class TaskHandle(Result):
    """The result of a tool call that started a task (`CreateTaskResult` in MCP Tasks); the client polls the task."""

    result_type: Literal["task"] = "task"
    task_id: str
    status: str
    status_message: str
    created_at: str
    last_updated_at: str
    ttl_ms: int
    poll_interval_ms: int


class GetTaskParams(RequestParams):
    """Parameters of tasks/get."""

    task_id: str


class GetTaskRequest(Request[GetTaskParams, str]):
    """A tasks/get request; because of `name_param`, the SDK also sends the task's id in the HTTP header Mcp-Name."""

    name_param = "taskId"


class GetTaskResult(RootModel[dict[str, Any]]):
    """The result of a tasks/get request."""


class TaskFollower(ClientExtension):
    """Polls the task of each tool call that returned a task handle, and reports the task's status."""

    identifier = EXTENSION_ID

    def __init__(self, report: Callable[[str], None], clock: Clock | None = None) -> None:
        self._report = report
        self._clock = clock or Clock()

    def claims(self) -> list[ResultClaim[TaskHandle]]:
        """Return a claim, which tells the client to pass each result of the type "task" to `follow`."""
        return [ResultClaim(result_type="task", model=TaskHandle, resolve=self.follow)]

    async def follow(self, handle: TaskHandle, context: ClaimContext) -> CallToolResult:
        """Poll a task until it has ended, and return the final result of the tool call that started the task."""
        self._report(f"{handle.task_id}: {handle.status_message}")
        while True:
            await self._clock.sleep(handle.poll_interval_ms / 1000)
            request = GetTaskRequest(method="tasks/get", params=GetTaskParams(task_id=handle.task_id))
            answer = (await context.session.send_request(request, GetTaskResult)).root
            self._report(f"tasks/get: {answer['status']}, {answer['statusMessage']}")
            if answer["status"] != "working":
                return CallToolResult.model_validate(answer["result"])
