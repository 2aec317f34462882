"""The vocabulary that every vendor's module is written in."""

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
Medium = Literal["image", "video", "audio"]


class Ref(str):
    """A reference in the caller's words; on the wire it becomes what the context resolves it to."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # The serializer sits on the inner schema, so that InList can wrap it rather than replace it.
        to_wire = core_schema.plain_serializer_function_ser_schema(cls._to_wire, info_arg=True)
        text = core_schema.str_schema(min_length=1, strip_whitespace=True, serialization=to_wire)
        return core_schema.no_info_after_validator_function(cls, text)

    def _to_wire(self, info: SerializationInfo) -> str:
        return info.context(self) if info.context else str(self)


@dataclass(frozen=True, slots=True)
class Limits:
    """What KIE accepts of one file; use it as `Annotated[Image, Limits("jpeg png", mb=10)]`."""

    formats: str = ""
    """MIME subtypes, separated by blanks; empty means any."""
    mb: float | None = None
    seconds: tuple[float, float] | None = None
    side_px: tuple[int, int] | None = None
    ratio: tuple[float, float] | None = None
    """Width divided by height, from and to."""
    pixels: tuple[int, int] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def note(ref: MediaRef) -> MediaRef:
            ref.limits = self
            return ref

        return core_schema.no_info_after_validator_function(note, handler(source))


class MediaRef(Ref):
    """A file: https URL, local path, data URI, or `task:<id>#<n>` for the n-th result of an earlier task."""

    medium: ClassVar[Medium]
    limits: Limits = Limits()


class Image(MediaRef):
    """A picture."""

    medium = "image"


class Video(MediaRef):
    """A clip."""

    medium = "video"


class Audio(MediaRef):
    """A sound."""

    medium = "audio"


class TaskRef(Ref):
    """An earlier task, by our id or KIE's; on the wire KIE's."""

    __slots__ = ()


class Track(Ref):
    """One song of an earlier music task: `task:<id>#<n>`, n from 1; on the wire KIE's audio id.

    That id may stand for n, and `-` for a task that nobody asks for: `task:-#<audio id>`.
    """

    __slots__ = ()

    @property
    def task(self) -> TaskRef:
        """The task that made the song."""
        return TaskRef(task_id(self))


def task_id(reference: str) -> str:
    """The id in `task:<id>#<n>`; one that stands alone is itself."""
    return reference.strip().removeprefix("task:").partition("#")[0]


def aliases(names: Mapping[str, str]) -> BeforeValidator:
    """Other spellings that a field accepts, compared without case and blanks around."""
    return BeforeValidator(
        lambda given: names.get(given.strip().casefold(), given) if isinstance(given, str) else given
    )


def _as_number(given: Any) -> Any:
    return int(given) if isinstance(given, str) and given.strip().lstrip("-").isdigit() else given


AsText = PlainSerializer(str)
"""Goes out as text: 5 as "5"."""

InList = WrapSerializer(lambda value, inner: [inner(value)])
"""Goes out as a list of one: x as [x]."""

# A client may send "5" for 5; Literal compares strictly.
Number = BeforeValidator(_as_number)

Prompt = Annotated[str, Field(min_length=1)]
# Everybody's word for a random seed; KIE draws one where none is sent.
RandomLeftOut = BeforeValidator(lambda given: None if given == -1 else given)
"""For a seed of a model that has no value for "random": -1 is left out."""
# Any number will do, so the schema need not spend words on the range.
Seed = Annotated[int | None, Field(ge=0, le=2147483647), RandomLeftOut, WithJsonSchema({"type": "integer"})]
AnySeed = Annotated[int | None, RandomLeftOut, WithJsonSchema({"type": "integer"})]
"""For a model of which KIE names no range."""
RandomSeed = Annotated[int, Field(ge=-1, le=2147483647), WithJsonSchema({"type": "integer"})]
"""For a model whose own word for "random" is -1: it is sent."""
SignedSeed = Annotated[int, Field(ge=-2147483648, le=2147483647), WithJsonSchema({"type": "integer"})]
"""For a model whose pages give negative ones."""


def snake_case(name: str) -> str:
    """`imageUrls` as `image_urls`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def wire(name: str, default: Any = ..., **limits: Any) -> Any:
    """A field whose name at KIE differs from ours."""
    return Field(default, serialization_alias=name, **limits)
