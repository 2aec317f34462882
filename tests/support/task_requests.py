"""Requests of the extension MCP Tasks."""

from typing import Any

from mcp import Client
from mcp_types import Request

from kie_mcp.demo.task_follower import GetTaskParams, GetTaskResult


class TaskParamsWithResponses(GetTaskParams):
    """Parameters of a task request; tasks/update also has the user's answers in `input_responses`."""

    input_responses: dict[str, Any] | None = None


class TaskRequest(Request[TaskParamsWithResponses, str]):
    """A request about a task; the SDK also sends the task's id in the header Mcp-Name."""

    name_param = "taskId"


async def request_task(client: Client, method: str, task_id: str, **more: Any) -> dict[str, Any]:
    """Call a method of MCP Tasks, such as `get` for tasks/get, and return its result."""
    request = TaskRequest(method=f"tasks/{method}", params=TaskParamsWithResponses(task_id=task_id, **more))
    return (await client.session.send_request(request, GetTaskResult)).root
