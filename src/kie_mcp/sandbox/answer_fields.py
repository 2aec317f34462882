"""Build JSON fields that status answers of several KIE APIs share: request, success flag, error and response."""

import json
from typing import Any

from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.fake_task import FAILURE, FakeTask, StatusRecord

Answer = dict[str, Any]
"""The JSON object in the field `data` of an answer from KIE, or a part of this object."""


def request_json(task: FakeTask) -> str:
    """Return the body of the create request as a JSON string; KIE's status answers contain this string."""
    if task.path != JOBS.create:
        return json.dumps(task.body)
    # In the `jobs` API, KIE encodes the field `input` twice: its value is a JSON string and not an object.
    return json.dumps({**task.body, "input": json.dumps(task.body.get("input"))})


def success_flag(record: StatusRecord) -> int:
    """Return the success flag that most KIE APIs use: 0 while the task runs, 1 after success, 3 after failure."""
    return 3 if record.failed else int(record.succeeded)


def error_fields(record: StatusRecord, *, code: int | None = None, message: str | None = None) -> Answer:
    """Return the fields `errorCode` and `errorMessage` of a status answer.

    Args:
        record: The task. If the task failed, the fields contain the error code and message of the sandbox's failure.
        code: The value of `errorCode` for a task without an error.
        message: The value of `errorMessage` for a task without an error.
    """
    code, message = FAILURE if record.failed else (code, message)
    return {"errorCode": code, "errorMessage": message}


def result_response(record: StatusRecord, **results: Any) -> Answer | None:
    """Return the object for the field `response`, with the task's results; None if the task has not succeeded."""
    return {"taskId": record.task.id, **results} if record.succeeded else None
