"""Fields that several of KIE's status answers share: the request, the success flag, the error, the response."""

import json
from typing import Any

from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.fake_task import FAILURE, FakeTask, StatusRecord

Answer = dict[str, Any]
"""The `data` of an answer, or a part of it."""


def request_json(task: FakeTask) -> str:
    """Return the request's body as JSON, as KIE repeats it in status answers."""
    if task.path != JOBS.create:
        return json.dumps(task.body)
    # Here, KIE puts JSON as a string into JSON.
    return json.dumps({**task.body, "input": json.dumps(task.body.get("input"))})


def success_flag(record: StatusRecord) -> int:
    """Return the usual success flag: 0 while the task runs, 1 after success, 3 after failure."""
    return 3 if record.failed else int(record.succeeded)


def error_fields(record: StatusRecord, *, code: int | None = None, message: str | None = None) -> Answer:
    """Return the error code and message: the injected failure's, else the given ones, which stand for no error."""
    code, message = FAILURE if record.failed else (code, message)
    return {"errorCode": code, "errorMessage": message}


def result_response(record: StatusRecord, **results: Any) -> Answer | None:
    """Return the `response` with the results, or None before success."""
    return {"taskId": record.task.id, **results} if record.succeeded else None
