"""Field types of the model classes: references to files and tasks, file limits, and how a field is sent to KIE."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    SerializationInfo,
    WithJsonSchema,
    WrapSerializer,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from kie_mcp.catalog.schema import walk_annotation

Kind = Literal["video", "image", "audio", "text"]
"""The kind of result that a model makes."""
Medium = Literal["image", "video", "audio"]
"""The kind of file that a field takes."""


TASK_ID = re.compile(r"t_\w+(#[\w-]+)?")
"""Pattern of the id that this server gives to a task, such as t_ab12, or of one of its results, such as t_ab12#2."""


SEVERAL_FILES = re.compile(r"[\s,;](?:https?://|data:|task:|kie://)")
"""Pattern of a text that names a second file after a first one."""


class Ref(str):
    """A reference to a file or an earlier task, as the caller wrote it.

    If `model_dump()` gets a `Resolve` function as its context, the dump has that function's answer in place of the
    reference.
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
    """Largest size in megabytes (10^6 bytes)."""
    seconds: tuple[float, float] | None = None
    """Shortest and longest length in seconds."""
    total_seconds: float | None = None
    """Longest length in seconds of all files of the field together."""
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

    def __new__(cls, reference: str) -> Self:
        """Refuse several files in one text, which would be sent to KIE as one address."""
        if SEVERAL_FILES.search(reference):
            raise ValueError("one file is wanted here, and the text names several")
        return super().__new__(cls, reference)

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


def find_file_type(field: FieldInfo) -> tuple[type[MediaRef], Limits | None] | None:
    """Return the kind of file that a field takes and the limits for it; None when the field takes no file."""
    parts = [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]
    media = (each for each in parts if isinstance(each, type) and issubclass(each, MediaRef))
    limits = (each for each in parts if isinstance(each, Limits))
    return (found, next(limits, None)) if (found := next(media, None)) else None


class TaskRef(Ref):
    """A reference to an earlier task by this server's id or KIE's id; the request to KIE has KIE's id."""

    __slots__ = ()


class Track(Ref):
    """A reference to one song of an earlier music task: `task:<id>#<n>`, where n counts from 1.

    The request to KIE has KIE's audio id. A caller may also write that audio id in place of n. If the call does not
    need the task, the caller may then write `-` for the task's id: `task:-#<audio id>`.
    """

    __slots__ = ()

    def __new__(cls, reference: str) -> Self:
        """Make a reference; `task:` may be missing before the id of one of this server's tasks."""
        return super().__new__(cls, name_task(reference))

    @property
    def task(self) -> TaskRef:
        """Reference to the task that made the song."""
        return TaskRef(parse_task_id(self))


def name_task(reference: str) -> str:
    """Put `task:` before an id of this server's tasks: t_ab12#1 becomes task:t_ab12#1. Any other text is unchanged."""
    return f"task:{reference}" if TASK_ID.fullmatch(reference) else reference


def parse_task_id(reference: str) -> str:
    """Return the task id in `task:<id>#<n>`; a reference without `task:` and `#` is itself the task id."""
    return reference.strip().removeprefix("task:").partition("#")[0]


def aliases(names: Mapping[str, str]) -> BeforeValidator:
    """Make a field accept other spellings of its values.

    Args:
        names: For each other spelling in lower case, KIE's value. The case of the caller's value, and blanks around
            it, are ignored.
    """
    return BeforeValidator(
        lambda given: names.get(given.strip().casefold(), given) if isinstance(given, str) else given
    )


def _parse_integer(given: Any) -> Any:
    return int(given) if isinstance(given, str) and given.strip().lstrip("-").isdigit() else given


AsText = PlainSerializer(str)
"""Serializer of a field that KIE takes as text: 5 is sent as "5"."""

InList = WrapSerializer(lambda value, inner: [inner(value)])
"""Serializer of a field that KIE takes as a list with one item: x is sent as [x]."""

# Some clients send the text "5" instead of the number 5, and a Literal of integers does not accept the text.
Number = BeforeValidator(_parse_integer)
"""Validator of a field whose type is a Literal of integers: a text of digits is read as an integer."""

Prompt = Annotated[str, Field(min_length=1)]
# Many clients send -1 for a random seed. KIE chooses a random seed when the request has none.
RandomLeftOut = BeforeValidator(lambda given: None if given == -1 else given)
"""Validator of a seed, for a model that has no value for "random": a seed of -1 is not sent."""
# Agents choose any number as a seed, so the schema saves tokens and does not state the range.
Seed = Annotated[int | None, Field(ge=0, le=2147483647), RandomLeftOut, WithJsonSchema({"type": "integer"})]
AnySeed = Annotated[int | None, RandomLeftOut, WithJsonSchema({"type": "integer"})]
"""A seed of a model for which KIE states no range of seeds."""
RandomSeed = Annotated[int, Field(ge=-1, le=2147483647), WithJsonSchema({"type": "integer"})]
"""A seed of a model for which -1 means a random seed at KIE; -1 is sent."""


def snake_case(name: str) -> str:
    """Convert camel case to snake case: `imageUrls` to `image_urls`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def wire(name: str, default: Any = ..., **limits: Any) -> Any:
    """Define a field of a model class that has another name in KIE's request.

    Args:
        name: KIE's name of the field, which the request has.
        default: The default value; a field without one is required.
        limits: Further arguments of pydantic's `Field`.
    """
    return Field(default, serialization_alias=name, **limits)
