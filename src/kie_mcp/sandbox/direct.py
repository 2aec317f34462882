"""What the create itself answers where there is no status to ask for."""

from collections.abc import Callable

from kie_mcp.sandbox.answers import answer
from kie_mcp.sandbox.task import FAILURE, Record
from kie_mcp.sandbox.texts import Answer

Reply = tuple[int, str, Answer | None]
"""A body's code, message and data."""


def at_once(record: Record) -> Reply:
    """The whole answer of a request that is answered with its result."""
    return (501, FAILURE[1], None) if record.failed else (200, "success", answer(record))


def asked_again(record: Record) -> Reply:
    """The whole answer of a request that is sent until the file is there."""
    if record.failed:
        return 501, FAILURE[1], None
    return REPEATED[record.task.offers[0].route.shape](record)


def veo_1080p(record: Record) -> Reply:
    """A clip of Veo's in 1080p."""
    if not record.succeeded:
        return 400, "The 1080p video is processing. Ask again in a minute", None
    return 200, "success", {"resultUrl": record.first}


def veo_4k(record: Record) -> Reply:
    """A clip of Veo's in 4K: the end has the code of an error."""
    if not record.succeeded:
        first, nothing = record.now == record.task.created, {"resultUrls": None, "imageUrls": None}
        code, message = (200, "success") if first else (422, "The 4K video is processing. Ask again later")
        return code, message, {"taskId": record.task.id, **nothing}
    made = {"resultUrls": list(record.urls.values()), "imageUrls": [record.cover] if record.cover else []}
    return 422, "The 4K video has been made", {"taskId": record.task.id, **made}


REPEATED: dict[str, Callable[[Record], Reply]] = {"veo-1080p": veo_1080p, "veo-4k": veo_4k}
"""By the name that a route gives its shape."""
