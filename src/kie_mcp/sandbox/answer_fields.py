"""Build the fields that several of KIE's status answers share: the request, the success flag, error and response."""

import json
from typing import Any

from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.fake_task import FAILURE, FakeTask, StatusRecord

Answer = dict[str, Any]
"""The field `data` in the body of one of KIE's answers, or a part of this field."""


def request_json(task: FakeTask) -> str:
    """Return the request body of the create as a JSON string; KIE repeats this string in its status answers."""
    if task.path != JOBS.create:
        return json.dumps(task.body)
    # In the `jobs` API, KIE encodes the field `input` twice: its value is a JSON string and not an object.
    return json.dumps({**task.body, "input": json.dumps(task.body.get("input"))})


def success_flag(record: StatusRecord) -> int:
    """Return the usual success flag: 0 while the task runs, 1 after success, 3 after failure."""
    return 3 if record.failed else int(record.succeeded)


def error_fields(record: StatusRecord, *, code: int | None = None, message: str | None = None) -> Answer:
    """Return the error code and message of a task.

    Args:
        record: The task; if it failed, the code and message of the injected failure are returned.
        code: The code that the API uses for a task without an error.
        message: The message that the API uses for a task without an error.
    """
    code, message = FAILURE if record.failed else (code, message)
    return {"errorCode": code, "errorMessage": message}


def result_response(record: StatusRecord, **results: Any) -> Answer | None:
    """Return the field `response` with the task's results, or None if the task has not succeeded."""
    return {"taskId": record.task.id, **results} if record.succeeded else None
