"""Answers to create requests on routes where KIE has no URL for reading a task's status.

On some of these routes, the answer to the create request contains the result. On the other routes, the client sends the
same create request again until the result is ready.
"""

from collections.abc import Callable

from kie_mcp.sandbox.answer_fields import Answer
from kie_mcp.sandbox.fake_task import FAILURE, StatusRecord
from kie_mcp.sandbox.status_answers import build_status_answer

Reply = tuple[int, str, Answer | None]
"""The three fields of an answer's body: `code`, `msg` and `data`."""


def answer_with_result(record: StatusRecord) -> Reply:
    """Build the reply to a create request for a route where KIE returns the result in that same reply."""
    return (501, FAILURE[1], None) if record.failed else (200, "success", build_status_answer(record))


def answer_repeated_create(record: StatusRecord) -> Reply:
    """Build the reply to a create request that a client repeats until the file is ready."""
    if record.failed:
        return 501, FAILURE[1], None
    return REPEATED_CREATE_ANSWERS[record.task.offers[0].route.shape](record)


def answer_veo_1080p(record: StatusRecord) -> Reply:
    """Build the reply to a request for a Veo video in 1080p: an error until the video is ready, then its URL."""
    if not record.succeeded:
        return 400, "The 1080p video is processing. Ask again in a minute", None
    return 200, "success", {"resultUrl": record.first_url}


def answer_veo_4k(record: StatusRecord) -> Reply:
    """Build the reply to a request for a Veo video in 4K; like KIE's, it has an error code even for a ready video."""
    if not record.succeeded:
        first, nothing = record.now == record.task.created_at, {"resultUrls": None, "imageUrls": None}
        code, message = (200, "success") if first else (422, "The 4K video is processing. Ask again later")
        return code, message, {"taskId": record.task.id, **nothing}
    result = {"resultUrls": list(record.urls.values()), "imageUrls": [record.cover_url] if record.cover_url else []}
    return 422, "The 4K video has been made", {"taskId": record.task.id, **result}


REPEATED_CREATE_ANSWERS: dict[str, Callable[[StatusRecord], Reply]] = {
    "veo-1080p": answer_veo_1080p,
    "veo-4k": answer_veo_4k,
}
"""For each `Route.shape` (the name of a JSON structure), the function that answers a repeated create request."""
