"""Routes: the endpoints with which KIE runs a model, and the body of the create request on each route.

KIE's documented API has two kinds of routes: `jobs` runs all models, and the product APIs run the older models. A third
kind, `service`, uses the paths in KIE's model list. The status of a task can be read only on the route on which the
task was created.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from kie_mcp.catalog.fields import snake_case
from kie_mcp.catalog.model import KieModel, Resolve
from kie_mcp.catalog.registry import MODELS

NO_CALLBACK_URL = "https://kie-mcp.invalid/"
"""Value of callBackUrl if KIE requires one but no server receives callbacks; its host does not exist (RFC 2606)."""


@dataclass(frozen=True, slots=True)
class Route:
    """One of KIE's routes: the paths for creating a task and for reading its status."""

    create: str
    """Path of the create request (the request that starts a paid task)."""
    status: str
    """Path of the request that reads a task's status; equal to `create` if the create request is repeated for this."""
    shape: str
    """Key in `status.SHAPES` that says how to parse the route's status answers."""
    wants_callback: bool = False
    """Whether KIE requires a callBackUrl on this route for every model."""
    callback: str = "callBackUrl"
    """Name of the request's field for the callback URL; empty if KIE calls no URL on this route."""
    method: Literal["GET", "POST"] = "POST"
    """HTTP method of the create request; a GET request sends the fields in its query."""
    at_once: bool = False
    """Whether the answer to the create request contains the result; then no task has to be polled."""
    repeated: bool = False
    """Whether tasks have no id. Polling then repeats the create request; KIE only bills the first request."""

    @property
    def states_charge(self) -> bool:
        """Whether KIE's record of a task states the charge; if not, the charge is computed from the balance."""
        return self.shape == "jobs"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Paths of the requests that create no task, such as uploads."""

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

_song = partial(Route, status="/api/v1/generate/record-info", shape="suno-music")
_phrase = partial(Route, status="/api/v1/voice/validate-info", shape="suno-voice-validate")
_follow_up = partial(Route, status="/api/v1/mj/record-info", shape="midjourney")


def _synchronous(path: str, shape: str) -> Route:
    return Route(path, path, shape, callback="", at_once=True)


def _repeated(path: str, shape: str, **more: Any) -> Route:
    return Route(path, path, shape, repeated=True, **more)


PRODUCTS = {
    "veo": Route("/api/v1/veo/generate", "/api/v1/veo/record-info", "veo"),
    "veo-extend": Route("/api/v1/veo/extend", "/api/v1/veo/record-info", "veo"),
    "veo-1080p": _repeated("/api/v1/veo/get-1080p-video", "veo-1080p", method="GET", callback=""),
    "veo-4k": _repeated("/api/v1/veo/get-4k-video", "veo-4k"),
    "runway": Route("/api/v1/runway/generate", "/api/v1/runway/record-detail", "runway", wants_callback=True),
    "runway-extend": Route("/api/v1/runway/extend", "/api/v1/runway/record-detail", "runway", wants_callback=True),
    "aleph": Route("/api/v1/aleph/generate", "/api/v1/aleph/record-info", "aleph"),
    "luma": Route("/api/v1/modify/generate", "/api/v1/modify/record-info", "luma"),
    "gpt4o-image": Route("/api/v1/gpt4o-image/generate", "/api/v1/gpt4o-image/record-info", "gpt4o-image"),
    "flux-kontext": Route("/api/v1/flux/kontext/generate", "/api/v1/flux/kontext/record-info", "flux-kontext"),
    "midjourney": Route("/api/v1/mj/generate", "/api/v1/mj/record-info", "midjourney"),
    "midjourney-upscale": _follow_up("/api/v1/mj/generateUpscale"),
    "midjourney-vary": _follow_up("/api/v1/mj/generateVary"),
    "midjourney-extend": _follow_up("/api/v1/mj/generateVideoExtend"),
    "suno": _song("/api/v1/generate", wants_callback=True),
    "suno-extend": _song("/api/v1/generate/extend", wants_callback=True),
    "suno-upload-cover": _song("/api/v1/generate/upload-cover", wants_callback=True),
    "suno-upload-extend": _song("/api/v1/generate/upload-extend", wants_callback=True),
    "suno-add-instrumental": _song("/api/v1/generate/add-instrumental", wants_callback=True),
    "suno-add-vocals": _song("/api/v1/generate/add-vocals", wants_callback=True),
    "suno-mashup": _song("/api/v1/generate/mashup", wants_callback=True),
    "suno-replace-section": _song("/api/v1/generate/replace-section"),
    "suno-sounds": _song("/api/v1/generate/sounds"),
    "suno-persona": _synchronous("/api/v1/generate/generate-persona", "persona"),
    "suno-timestamped-lyrics": _synchronous("/api/v1/generate/get-timestamped-lyrics", "timestamped-lyrics"),
    "suno-style": _synchronous("/api/v1/style/generate", "style"),
    "suno-voice-phrase": _phrase("/api/v1/voice/validate"),
    "suno-voice-regenerate": _phrase("/api/v1/voice/regenerate", wants_callback=True, callback="calBackUrl"),
    "suno-voice": Route("/api/v1/voice/generate", "/api/v1/voice/record-info", "suno-voice"),
    "suno-voice-check": _synchronous("/api/v1/voice/check-voice", "suno-voice-check"),
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
    "omni-audio": _synchronous("/api/v1/omni/audio/create", "omni"),
    "omni-character": _synchronous("/api/v1/omni/character/create", "omni"),
}


def find(route_id: str) -> Route:
    """Return the route with this id.

    Args:
        route_id: `jobs`, `jobs:<KIE's model id>`, a key of `PRODUCTS`, or `service:<path>`.
    """
    kind, _, rest = route_id.partition(":")
    match kind:
        case "jobs":
            return JOBS
        case "service":
            return Route(f"/api/v1/{rest}", f"/api/v1/{rest.rpartition('/')[0]}/record-info", "service")
        case _:
            return PRODUCTS[route_id]


def route_ids(call: KieModel, *, service: bool) -> tuple[str, ...]:
    """Return the ids of the routes that can run a call, best first.

    Args:
        call: An instance of a model class.
        service: Whether to use the routes in KIE's model list instead of those in KIE's documented API.
    """
    return (f"service:{call.service}",) if service else call.route_ids()


def status_route_ids(*, service: bool) -> tuple[str, ...]:
    """Return one route id for each path on which a task's status can be read; `jobs` comes first.

    Args:
        service: Whether to use the routes in KIE's model list instead of those in KIE's documented API.
    """
    all_ids: Iterable[str] = ("jobs", *PRODUCTS)
    if service:
        all_ids = dict.fromkeys(f"service:{model.service}" for model in MODELS.values() if model.service)
    by_path = {
        find(route_id).status: route_id
        for route_id in reversed([*all_ids])
        if not (find(route_id).at_once or find(route_id).repeated)
    }
    return tuple(reversed(by_path.values()))


def listed_ids(model: type[KieModel]) -> dict[str, str]:
    """Return each id that a model has in KIE's model list (the key), with the route id for this id (the value)."""
    return {
        route_id.partition(":")[2] or model.id: route_id
        for route_id in model.routes
        if route_id.partition(":")[0] == "jobs"
    }


def build_body(
    call: KieModel, route_id: str, resolve: Resolve, callback_url: str = "", extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Build the body of a create request.

    Args:
        call: An instance of a model class.
        route_id: One of the ids that `route_ids()` returns for the call.
        resolve: Function that returns the text to send to KIE for a file or an earlier task: a public URL or KIE's id.
        callback_url: URL that KIE calls when the task has ended; empty for no callback.
        extra: Additional fields that the model class does not have; the keys are KIE's names of the fields.
    """
    route = find(route_id)
    required = call.wants_callback or route.wants_callback
    url = callback_url or (NO_CALLBACK_URL if required else "")
    callback = {route.callback: url} if url and route.callback else {}
    constants = {} if route == JOBS else call.constants
    named = {**(extra or {}), **call.sent(resolve), **constants}
    fields = {wire_name(name, route_id): value for name, value in named.items()}
    kind, _, other_id = route_id.partition(":")
    match kind:
        case "jobs":
            return {"model": other_id or call.id, "input": fields, **callback}
        case "service":
            return {"model": call.id, **fields, **callback}
        case _:
            return {**fields, **callback}


def wire_name(name: str, route_id: str) -> str:
    """Return the name of a field in requests on a route: `image_urls` on `jobs`, `imageUrls` on `service`.

    Args:
        name: The name of the field in the product API (KIE's API for some older models), such as `imageUrls`.
        route_id: The id of the route, such as `jobs` or `service`.
    """
    match route_id.partition(":"):
        # On `jobs`, this is the only model whose fields have the same names as in the product API.
        case ("jobs", _, "veo/get-1080p-video"):
            return name
        case ("jobs", ":", _):
            return snake_case(name)
        case ("service", _, _):
            return camel_case(name)
        case _:
            return name


def camel_case(name: str) -> str:
    """Return a name in camel case, such as `imageUrls` for `image_urls`."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
