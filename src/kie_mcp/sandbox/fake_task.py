"""A task of the fake KIE. Its state depends only on the time since its start and on an injected fault."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid5

from kie_mcp.sandbox.fake_media import MediaContent
from kie_mcp.sandbox.offers import Offer

State = Literal["waiting", "queuing", "generating", "success", "fail"]
"""The task states that KIE's unified `jobs` API uses."""

FAILURE = 500, "This failure was injected into the sandbox"
COVER_NAME = "cover.jpg"
USUAL_CLIP_SECONDS = 5.0
MOST_FILES = 12
"""Maximum number of result files of a task."""
STEMS = (
    *("drums", "bass", "guitar", "piano", "keyboard", "percussion"),
    *("strings", "synth", "fx", "brass", "woodwinds", "backingVocals"),
)


@dataclass(eq=False)
class FakeTask:
    """A task whose create request the sandbox accepted."""

    id: str
    path: str
    model: str
    """The model's name, as written in the create request."""
    body: dict[str, Any]
    """The body of the create request, as a JSON object."""
    offers: list[Offer]
    """The offers (pairs of model and route) that fit the request: one, or two with the likelier one first."""
    created_at: float
    """Time of the create request, in seconds since 1970."""
    seconds: float
    """Seconds from the create request to the end of the task."""
    credits: float
    """Price of the task in credits."""
    fault: str = ""
    """Name of the injected fault: `fail`, `stall`, `no-urls` or `moved-urls`; empty if there is none."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the request, with kie-mcp's field names; a missing argument has its default value."""
        return self.offers[0].parse_arguments(self.body)

    @property
    def prompt(self) -> str:
        """Text to show in the result files: the prompt, or the model's id if the request has no prompt."""
        return str(self.arguments.get("prompt") or self.offers[0].model.id)

    @property
    def ends_at(self) -> float:
        """Time at which the task will end or has ended, in seconds since 1970."""
        return self.created_at + self.seconds

    def state(self, now: float) -> State:
        """Return the task's state at the time `now`, in seconds since 1970; the words are those of the `jobs` API."""
        if now >= self.ends_at and self.fault != "stall":
            return "fail" if self.fault == "fail" else "success"
        share = self.progress(now)
        return "waiting" if share < 0.2 else "queuing" if share < 0.4 else "generating"

    def progress(self, now: float) -> float:
        """Return the share of the task that is done at the time `now`, from 0 to 1."""
        if self.fault != "stall" and now >= self.ends_at:
            return 1
        return round(min((now - self.created_at) / (self.seconds or 1), 0.99), 2)

    def charge(self, now: float) -> float:
        """Return the credits that the account has paid for the task at the time `now`; a failed task costs nothing."""
        return 0 if self.state(now) == "fail" else self.credits

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names of the task's result files."""
        arguments, model = self.arguments, self.offers[0].model
        match self.offers[0].result_shape, model.kind:
            case "suno-music", _:
                return "1.mp3", "2.mp3"
            case "suno-vocal-removal", _:
                others = STEMS if _all_stems(arguments) else ("instrumental",)
                return tuple(f"{part}.mp3" for part in ("vocal", *others))
            case "suno-wav", _:
                return ("1.wav",)
            case "suno-midi", _:
                return ("1.json",)
            case "suno-cover", _:
                return "1.png", "2.png"
            case "midjourney", "image":
                return tuple(f"{n}.jpg" for n in range(1, 5))
            case _:
                ending = _extension(model.kind, str(arguments.get("format") or ""))
                count = min(self.offers[0].count_pictures(self.body), MOST_FILES)
                return tuple(f"{n}.{ending}" for n in range(1, count + 1))

    def describe_content(self, name: str) -> MediaContent:
        """Return the text, unique mark, aspect ratio and length of a result file, for rendering the file."""
        arguments = self.arguments
        shape = str(arguments.get("aspect_ratio") or "")
        if self.offers[0].model.kind == "video":
            # Unlike other files, a clip has the length that the request asks for, and by default the ratio 16:9.
            return MediaContent(
                self.prompt, f"{self.id}/{name}", shape if ":" in shape else "16:9", _read_seconds(arguments)
            )
        return MediaContent(self.prompt, f"{self.id}/{name}", shape)


def _read_seconds(arguments: dict[str, Any]) -> float:
    """Return the length in seconds that a request asks for; USUAL_CLIP_SECONDS if it has no valid length."""
    try:
        return float(arguments.get("duration") or USUAL_CLIP_SECONDS)
    except (TypeError, ValueError):
        return USUAL_CLIP_SECONDS


def _all_stems(arguments: dict[str, Any]) -> bool:
    return bool(arguments.get("type") == "split_stem")


def _extension(kind: str, wanted: str) -> str:
    match kind:
        case "image":
            return wanted if wanted in ("png", "jpg", "jpeg", "webp") else "png"
        case "audio":
            return "wav" if wanted.startswith("pcm") else "mp3"
        case "text":
            return "txt"
        case _:
            return "mp4"


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """A task at one moment. The sandbox builds its status answers from this record."""

    task: FakeTask
    now: float
    """The time for which the record describes the task, in seconds since 1970."""
    base_url: str
    """Scheme and host of the URLs of result files, such as `http://localhost:8000`."""

    @property
    def state(self) -> State:
        """State of the task at the time `now`."""
        return self.task.state(self.now)

    @property
    def succeeded(self) -> bool:
        """True if the task has succeeded by the time `now`."""
        return self.state == "success"

    @property
    def failed(self) -> bool:
        """True if the task has failed by the time `now`."""
        return self.state == "fail"

    @property
    def urls(self) -> dict[str, str]:
        """URLs of the result files, by file name; empty before success or with the fault `no-urls` or `moved-urls`."""
        return {} if self.task.fault in ("no-urls", "moved-urls") else self._all_urls

    @property
    def moved_urls(self) -> list[str]:
        """URLs of the result files if the task has the fault `moved-urls`, else an empty list.

        With this fault, the status answer contains these URLs in another field, which KIE does not use for URLs.
        """
        return [*self._all_urls.values()] if self.task.fault == "moved-urls" else []

    @property
    def _all_urls(self) -> dict[str, str]:
        return {name: self._url(name) for name in (self.task.file_names if self.succeeded else ())}

    @property
    def first_url(self) -> str:
        """URL of the first result file; empty if there are no result files."""
        return next(iter(self.urls.values()), "")

    @property
    def cover_url(self) -> str:
        """URL of the picture on the cover of a song or video; empty if there are no result files."""
        return self._url(COVER_NAME) if self.urls else ""

    @property
    def tracks(self) -> list[dict[str, Any]]:
        """One dictionary for each song of a music task; `suno_answers.py` renames the keys as each API requires."""
        arguments = self.task.arguments
        return [
            {
                "id": str(uuid5(UUID(self.task.id), name)),
                "url": url,
                "title": str(arguments.get("title") or self.task.prompt[:40]),
                "tags": str(arguments.get("style") or ""),
                "version": str(arguments.get("version") or ""),
            }
            for name, url in self.urls.items()
        ]

    @property
    def ended_at(self) -> float | None:
        """Time at which the task ended, in seconds since 1970, or None while the task runs."""
        return self.task.ends_at if self.succeeded or self.failed else None

    def _url(self, name: str) -> str:
        return f"{self.base_url}/sandbox/media/{self.task.id}/{name}"


def to_milliseconds(seconds: float | None) -> int | None:
    """Convert a time or duration in seconds to milliseconds, which most of KIE's APIs use; None stays None."""
    return None if seconds is None else int(seconds * 1000)


def to_iso(seconds: float | None) -> str | None:
    """Format a time in seconds since 1970 as `2025-01-15T10:35:27Z`; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_plain_time(seconds: float | None) -> str | None:
    """Format a time in seconds since 1970 as `2025-01-15 10:35:27`; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
