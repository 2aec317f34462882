"""A task from acceptance to its end: where it stands follows from the clock alone."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid5

from kie_mcp.sandbox.media import Work
from kie_mcp.sandbox.offers import Offer

State = Literal["waiting", "queuing", "generating", "success", "fail"]

FAILURE = 500, "The sandbox was told to let this task fail"
COVER = "cover.jpg"
BANDS = (
    *("drums", "bass", "guitar", "piano", "keyboard", "percussion"),
    *("strings", "synth", "fx", "brass", "woodwinds", "backingVocals"),
)


@dataclass(eq=False)
class Task:
    """A create that was accepted."""

    id: str
    path: str
    model: str
    """What the request called it."""
    body: dict[str, Any]
    offers: list[Offer]
    """What was asked for; two where the request fits two ways."""
    created: float
    seconds: float
    """How long it takes."""
    credits: float
    """What was charged for it."""
    fate: str = ""
    """`fail`, `stall` or `no-urls`, when a test wants the task to go wrong."""

    @property
    def said(self) -> dict[str, Any]:
        """The request's fields under our names."""
        return self.offers[0].said(self.body)

    @property
    def prompt(self) -> str:
        """What the results show."""
        return str(self.said.get("prompt") or self.model)

    @property
    def ends(self) -> float:
        """When it is done."""
        return self.created + self.seconds

    def state(self, now: float) -> State:
        """Where it stands, in the words of `jobs`."""
        if now >= self.ends and self.fate != "stall":
            return "fail" if self.fate == "fail" else "success"
        share = self.progress(now)
        return "waiting" if share < 0.2 else "queuing" if share < 0.4 else "generating"

    def progress(self, now: float) -> float:
        """How much of it is done, from 0 to 1."""
        if self.fate != "stall" and now >= self.ends:
            return 1
        return round(min((now - self.created) / (self.seconds or 1), 0.99), 2)

    def charged(self, now: float) -> float:
        """What it costs in the end; a failed task costs nothing."""
        return 0 if self.state(now) == "fail" else self.credits

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its results."""
        said, model = self.said, self.offers[0].model
        match self.offers[0].makes, model.kind:
            case "suno-music", _:
                return "1.mp3", "2.mp3"
            case "suno-vocal-removal", _:
                return tuple(f"{part}.mp3" for part in ("vocal", *(BANDS if _all_stems(said) else ["instrumental"])))
            case "suno-wav", _:
                return ("1.wav",)
            case "suno-midi", _:
                return ("1.json",)
            case "suno-cover", _:
                return "1.png", "2.png"
            case "midjourney", "image":
                return tuple(f"{n}.jpg" for n in range(1, 5))
            case _:
                ending = _ending(model.kind, str(said.get("format") or ""))
                return tuple(f"{n}.{ending}" for n in range(1, _count(said) + 1))

    def work(self, name: str) -> Work:
        """What one of its results shows."""
        return Work(self.prompt, f"{self.id}/{name}", str(self.said.get("aspect_ratio") or ""))


def _all_stems(said: dict[str, Any]) -> bool:
    return bool(said.get("type") == "split_stem")


def _ending(kind: str, wanted: str) -> str:
    match kind:
        case "image":
            return wanted if wanted in ("png", "jpg", "jpeg", "webp") else "png"
        case "audio":
            return "wav" if wanted.startswith("pcm") else "mp3"
        case "text":
            return "txt"
        case _:
            return "mp4"


def _count(said: dict[str, Any]) -> int:
    wanted = str(said.get("count") or 1)
    return min(int(wanted), 10) if wanted.isdecimal() else 1


@dataclass(frozen=True, slots=True)
class Record:
    """A task as somebody sees it now."""

    task: Task
    now: float
    base: str
    """Where its media are."""

    @property
    def state(self) -> State:
        """Where the task stands."""
        return self.task.state(self.now)

    @property
    def succeeded(self) -> bool:
        """Whether it is done and well."""
        return self.state == "success"

    @property
    def failed(self) -> bool:
        """Whether it is done and not well."""
        return self.state == "fail"

    @property
    def urls(self) -> dict[str, str]:
        """The results' addresses by name; none before success."""
        names = self.task.files if self.succeeded and self.task.fate != "no-urls" else ()
        return {name: self._url(name) for name in names}

    @property
    def first(self) -> str:
        """The first result's address, or nothing."""
        return next(iter(self.urls.values()), "")

    @property
    def cover(self) -> str:
        """A picture to show for it, or nothing."""
        return self._url(COVER) if self.urls else ""

    @property
    def tracks(self) -> list[dict[str, Any]]:
        """The songs of a music task, without their names for the fields."""
        said = self.task.said
        return [
            {
                "id": str(uuid5(UUID(self.task.id), name)),
                "url": url,
                "title": str(said.get("title") or self.task.prompt[:40]),
                "tags": str(said.get("style") or ""),
                "version": str(said.get("version") or ""),
            }
            for name, url in self.urls.items()
        ]

    @property
    def ended(self) -> float | None:
        """When the task came to its end, if it has."""
        return self.task.ends if self.succeeded or self.failed else None

    def _url(self, name: str) -> str:
        return f"{self.base}/sandbox/media/{self.task.id}/{name}"


def milliseconds(seconds: float | None) -> int | None:
    """A time as most of KIE writes it."""
    return None if seconds is None else int(seconds * 1000)


def iso(seconds: float | None) -> str | None:
    """A time as `2025-01-15T10:35:27Z`."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(seconds: float | None) -> str | None:
    """A time as `2025-01-15 10:35:27`."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
