"""What a client that knows MCP Tasks does: it is given a handle, and asks after it until the task has ended."""

from collections.abc import Callable
from typing import Any, Literal

from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Request, RequestParams, Result
from pydantic import RootModel

from kie_mcp.clock import Clock
from kie_mcp.server.extensions.tasks import TASKS


class Handle(Result):
    """A CreateTaskResult."""

    result_type: Literal["task"] = "task"
    task_id: str
    status: str
    status_message: str
    created_at: str
    last_updated_at: str
    ttl_ms: int
    poll_interval_ms: int


class Named(RequestParams):
    """Which task."""

    task_id: str


class TaskRequest(Request[Named, str]):
    """A request of the extension's; over HTTP the task's id goes into a header too."""

    name_param = "taskId"


class Said(RootModel[dict[str, Any]]):
    """The answer to it."""


class Following(ClientExtension):
    """Follows each task that a call started, and tells how it goes."""

    identifier = TASKS

    def __init__(self, tell: Callable[[str], None], clock: Clock | None = None) -> None:
        self._tell = tell
        self._clock = clock or Clock()

    def claims(self) -> list[ResultClaim[Handle]]:
        """Handles are taken here."""
        return [ResultClaim(result_type="task", model=Handle, resolve=self.follow)]

    async def follow(self, given: Handle, context: ClaimContext) -> CallToolResult:
        """The task's own result."""
        self._tell(f"{given.task_id}: {given.status_message}")
        while True:
            await self._clock.sleep(given.poll_interval_ms / 1000)
            request = TaskRequest(method="tasks/get", params=Named(task_id=given.task_id))
            seen = (await context.session.send_request(request, Said)).root
            self._tell(f"tasks/get: {seen['status']}, {seen['statusMessage']}")
            if seen["status"] != "working":
                return CallToolResult.model_validate(seen["result"])
