"""Field types of the model classes: references to files and tasks, file limits, and how a field is sent to KIE."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    SerializationInfo,
    WithJsonSchema,
    WrapSerializer,
)
from pydantic_core import CoreSchema, core_schema

Kind = Literal["video", "image", "audio", "text"]
"""Kinds of results that a model makes."""
Medium = Literal["image", "video", "audio"]
"""Kinds of files that a field takes."""


class Ref(str):
    """A reference to a file or an earlier task, as the caller wrote it.

    When the model is dumped with a `Resolve` function as context, that function's answer is sent instead.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # The serializer is part of the inner schema, so that InList wraps it instead of replacing it.
        to_wire = core_schema.plain_serializer_function_ser_schema(cls._to_wire, info_arg=True)
        text = core_schema.str_schema(min_length=1, strip_whitespace=True, serialization=to_wire)
        return core_schema.no_info_after_validator_function(cls, text)

    def _to_wire(self, info: SerializationInfo) -> str:
        return info.context(self) if info.context else str(self)


@dataclass(frozen=True, slots=True)
class Limits:
    """KIE's limits for one file; write `Annotated[Image, Limits("jpeg png", mb=10)]`."""

    formats: str = ""
    """Allowed MIME subtypes, separated by blanks; empty means any."""
    mb: float | None = None
    """Size in megabytes (10^6 bytes), at most."""
    seconds: tuple[float, float] | None = None
    """Shortest and longest length in seconds."""
    side_px: tuple[int, int] | None = None
    """Smallest and largest length of each side in pixels."""
    ratio: tuple[float, float] | None = None
    """Smallest and largest width divided by height."""
    pixels: tuple[int, int] | None = None
    """Smallest and largest number of pixels, width times height."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def attach(ref: MediaRef) -> MediaRef:
            ref.limits = self
            return ref

        return core_schema.no_info_after_validator_function(attach, handler(source))


class MediaRef(Ref):
    """A file: https URL, local path, data URI, or `task:<id>#<n>` for the n-th result of an earlier task."""

    medium: ClassVar[Medium]
    """Kind of the file."""
    limits: Limits = Limits()
    """KIE's limits for the file."""


class Image(MediaRef):
    """An image file."""

    medium = "image"


class Video(MediaRef):
    """A video file."""

    medium = "video"


class Audio(MediaRef):
    """An audio file."""

    medium = "audio"


class TaskRef(Ref):
    """An earlier task, by our id or KIE's; KIE's id is sent."""

    __slots__ = ()


class Track(Ref):
    """One song of an earlier music task: `task:<id>#<n>`, with n from 1; KIE's audio id is sent.

    KIE's audio id may be given for n. Then the task's id may be `-` if the call does not need it: `task:-#<audio id>`.
    """

    __slots__ = ()

    @property
    def task(self) -> TaskRef:
        """Reference to the task that made the song."""
        return TaskRef(parse_task_id(self))


def parse_task_id(reference: str) -> str:
    """Return the task id in `task:<id>#<n>`; a reference of another form is taken for an id itself."""
    return reference.strip().removeprefix("task:").partition("#")[0]


def aliases(names: Mapping[str, str]) -> BeforeValidator:
    """Make a field accept other spellings of its values.

    Args:
        names: KIE's value by other spelling in lower case; blanks around what the caller gives do not count.
    """
    return BeforeValidator(
        lambda given: names.get(given.strip().casefold(), given) if isinstance(given, str) else given
    )


def _parse_integer(given: Any) -> Any:
    return int(given) if isinstance(given, str) and given.strip().lstrip("-").isdigit() else given


AsText = PlainSerializer(str)
"""For a field that KIE takes as text: 5 is sent as "5"."""

InList = WrapSerializer(lambda value, inner: [inner(value)])
"""For a field that KIE takes as a list of one: x is sent as [x]."""

# A client may send "5" for 5, and Literal compares strictly.
Number = BeforeValidator(_parse_integer)
"""For a Literal of integers: digits in a text are read as an integer."""

Prompt = Annotated[str, Field(min_length=1)]
# Any number will do, so the schema need not spend words on the range.
Seed = Annotated[int, Field(ge=0, le=2147483647), WithJsonSchema({"type": "integer"})]


def snake_case(name: str) -> str:
    """Convert camel case to snake case: `imageUrls` to `image_urls`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def wire(name: str, default: Any = ..., **limits: Any) -> Any:
    """Define a field whose name in KIE's request differs from ours.

    Args:
        name: KIE's name, which is sent.
        default: The default value; a field without one is required.
        limits: Further arguments of pydantic's `Field`.
    """
    return Field(default, serialization_alias=name, **limits)
