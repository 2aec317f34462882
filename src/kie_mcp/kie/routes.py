"""The ways to have KIE run a model, and the request that each of them takes.

Two generations of KIE's API are alive: `jobs` runs every model, the product APIs run the older ones. The third,
`service`, is the common pattern of the model list. A task's status can only be read by the route that created it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kie_mcp.catalog.model import KieModel, Resolve

NO_RECEIVER = "https://kie-mcp.invalid/"
"""What is sent where KIE insists on a callBackUrl and nobody listens: a name that resolves nowhere (RFC 2606)."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a task is created and where its status is read."""

    create: str
    status: str
    shape: str
    """The table in `status` that reads the answer."""
    wants_callback: bool = False
    """Whether KIE insists on a callBackUrl."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The calls that are no tasks."""

    credits: str
    download_url: str
    upload_stream: str
    upload_base64: str
    upload_from_url: str


DOCUMENTED = Endpoints(
    credits="/api/v1/chat/credit",
    download_url="/api/v1/common/download-url",
    upload_stream="/api/file-stream-upload",
    upload_base64="/api/file-base64-upload",
    upload_from_url="/api/file-url-upload",
)
SERVICE = Endpoints(
    credits="/api/v1/account/credits",
    download_url="/api/v1/files/download-url",
    upload_stream="/api/v1/files/upload-stream",
    upload_base64="/api/v1/files/upload-base64",
    upload_from_url="/api/v1/files/upload-url",
)

JOBS = Route("/api/v1/jobs/createTask", "/api/v1/jobs/recordInfo", "jobs")

PRODUCTS = {
    "veo": Route("/api/v1/veo/generate", "/api/v1/veo/record-info", "veo"),
    "runway": Route("/api/v1/runway/generate", "/api/v1/runway/record-detail", "runway", wants_callback=True),
    "aleph": Route("/api/v1/aleph/generate", "/api/v1/aleph/record-info", "aleph"),
    "luma": Route("/api/v1/modify/generate", "/api/v1/modify/record-info", "luma"),
    "gpt4o-image": Route("/api/v1/gpt4o-image/generate", "/api/v1/gpt4o-image/record-info", "gpt4o-image"),
    "flux-kontext": Route("/api/v1/flux/kontext/generate", "/api/v1/flux/kontext/record-info", "flux-kontext"),
    "midjourney": Route("/api/v1/mj/generate", "/api/v1/mj/record-info", "midjourney"),
    "suno": Route("/api/v1/generate", "/api/v1/generate/record-info", "suno-music", wants_callback=True),
    "suno-extend": Route("/api/v1/generate/extend", "/api/v1/generate/record-info", "suno-music", wants_callback=True),
    "suno-lyrics": Route("/api/v1/lyrics", "/api/v1/lyrics/record-info", "suno-lyrics", wants_callback=True),
    "suno-wav": Route("/api/v1/wav/generate", "/api/v1/wav/record-info", "suno-wav", wants_callback=True),
    "suno-mp4": Route("/api/v1/mp4/generate", "/api/v1/mp4/record-info", "suno-mp4", wants_callback=True),
    "suno-stems": Route(
        "/api/v1/vocal-removal/generate",
        "/api/v1/vocal-removal/record-info",
        "suno-vocal-removal",
        wants_callback=True,
    ),
    "suno-midi": Route("/api/v1/midi/generate", "/api/v1/midi/record-info", "suno-midi", wants_callback=True),
    "suno-cover": Route(
        "/api/v1/suno/cover/generate", "/api/v1/suno/cover/record-info", "suno-cover", wants_callback=True
    ),
}


def find(way: str) -> Route:
    """The route of a way that a model names, or that a task was created by.

    Args:
        way: `jobs`, `jobs:<id>`, a product's name, or `service:<path>`.
    """
    kind, _, rest = way.partition(":")
    match kind:
        case "jobs":
            return JOBS
        case "service":
            return Route(f"/api/v1/{rest}", f"/api/v1/{rest.rpartition('/')[0]}/record-info", "service")
        case _:
            return PRODUCTS[way]


def ways(call: KieModel, *, service: bool) -> tuple[str, ...]:
    """The ways to try for a call, best first."""
    return (f"service:{call.service}",) if service else call.ways()


def body(call: KieModel, way: str, resolve: Resolve, callback_url: str = "") -> dict[str, Any]:
    """The request body that creates a task.

    Args:
        call: What to run.
        way: One of the ways of `ways()`.
        resolve: Gives the public URL of a file, KIE's id of an earlier task.
        callback_url: Where KIE reports the end, if anybody listens there.
    """
    fields = call.sent(resolve)
    url = callback_url or (NO_RECEIVER if find(way).wants_callback else "")
    callback = {"callBackUrl": url} if url else {}
    kind, _, other_id = way.partition(":")
    match kind:
        case "jobs":
            # The unified ids take the product APIs' fields, spelled in snake case.
            sent = renamed(fields, snake_case) if other_id else fields
            return {"model": other_id or call.id, "input": sent, **callback}
        case "service":
            return {"model": call.id, **renamed({**fields, **call.constants}, camel_case), **callback}
        case _:
            return {**fields, **call.constants, **callback}


def renamed(fields: dict[str, Any], spelling: Callable[[str], str]) -> dict[str, Any]:
    """The same fields with their names spelled another way."""
    return {spelling(name): value for name, value in fields.items()}


def snake_case(name: str) -> str:
    """`imageUrls` as `image_urls`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def camel_case(name: str) -> str:
    """`image_urls` as `imageUrls`."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
