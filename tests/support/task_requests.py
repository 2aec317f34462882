"""Requests of the extension MCP Tasks."""

from typing import Any

from mcp import Client
from mcp_types import Request

from kie_mcp.demo.task_follower import GetTaskParams, GetTaskResult


class TaskParamsWithResponses(GetTaskParams):
    """Parameters with input responses, for tasks/update."""

    input_responses: dict[str, Any] | None = None


class TaskRequest(Request[TaskParamsWithResponses, str]):
    """A request whose Mcp-Name header names the task."""

    name_param = "taskId"


async def request_task(client: Client, method: str, task_id: str, **more: Any) -> dict[str, Any]:
    """Call one of the extension's methods."""
    request = TaskRequest(method=f"tasks/{method}", params=TaskParamsWithResponses(task_id=task_id, **more))
    return (await client.session.send_request(request, GetTaskResult)).root
