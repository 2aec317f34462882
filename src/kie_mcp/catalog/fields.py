"""Types for the fields of model classes: files, earlier tasks, seeds, and values that KIE requires in another form."""

import re
from collections.abc import Hashable, Mapping
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

from kie_mcp.catalog.reference_spellings import name_task, read_reference, split_references, unpack_block
from kie_mcp.catalog.schema import walk_annotation

Kind = Literal["video", "image", "audio", "text"]
"""The kind of result that a model makes."""
Medium = Literal["image", "video", "audio", "file"]
"""The kind of file that a field takes; `file` stands for any kind."""

MOST_DIGITS = 9
"""Maximum number of digits that are read of a result's number."""


class Ref(str):
    """A reference: the text with which a caller names a file or an earlier task, such as a path or `task:t_ab12#1`.

    `model_dump()` writes this text unchanged. If a function of type `Resolve` is the `context` of `model_dump()`, the
    text that this function returns is written instead.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # The serializer is a part of the inner schema. So `InList` wraps this serializer, and does not replace it.
        to_wire = core_schema.plain_serializer_function_ser_schema(cls._to_wire, info_arg=True)
        text = core_schema.str_schema(min_length=1, strip_whitespace=True, serialization=to_wire)
        unpacked = core_schema.no_info_before_validator_function(unpack_block, text)
        return core_schema.no_info_after_validator_function(cls, unpacked)

    @property
    def key(self) -> Hashable:
        """A value that is equal for two references if the same is sent to KIE for both.

        One file may be sent in two forms, because it is converted to meet the limits of each field.
        """
        return self, type(self), getattr(self, "limits", None)

    def _to_wire(self, info: SerializationInfo) -> str:
        return info.context(self) if info.context else str(self)


@dataclass(frozen=True, slots=True)
class Limits:
    """KIE's limits for the files of a field, as in the annotation `Annotated[Image, Limits("jpeg png", mb=10)]`."""

    formats: str = ""
    """Allowed MIME subtypes, separated by spaces, such as `jpeg png`; empty if all are allowed."""
    mb: float | None = None
    """Largest size in megabytes (10^6 bytes)."""
    seconds: tuple[float, float] | None = None
    """Shortest and longest allowed length of the file, in seconds."""
    total_seconds: float | None = None
    """Longest allowed length of all files in the field together, in seconds."""
    side_px: tuple[int, int] | None = None
    """Smallest and largest allowed width and height, in pixels."""
    ratio: tuple[float, float] | None = None
    """Smallest and largest allowed value of width divided by height."""
    pixels: tuple[int, int] | None = None
    """Smallest and largest allowed number of pixels, which is width times height."""
    same_size: bool = False
    """Whether all pictures of a call whose limits have this mark must have the same width and height."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def attach(ref: MediaRef) -> MediaRef:
            ref.limits = self
            return ref

        return core_schema.no_info_after_validator_function(attach, handler(source))


class MediaRef(Ref):
    """A file: https URL, local path, data URI, or `task:<id>#<n>` for the n-th result of an earlier task."""

    def __new__(cls, reference: str) -> Self:
        """Convert the reference to kie-mcp's own spelling.

        Raises:
            ValueError: The text names several files.
        """
        reference = read_reference(reference)
        if len(split_references(reference)) > 1:
            raise ValueError("one file is wanted here, and the text names several")
        return super().__new__(cls, reference)

    medium: ClassVar[Medium]
    """Kind of the file: image, video or audio; `file` for any kind."""
    limits: Limits = Limits()
    """KIE's limits for the file; `Limits()` without arguments sets no limit."""


class Image(MediaRef):
    """An image file."""

    medium = "image"


class Video(MediaRef):
    """A video file."""

    medium = "video"


class Audio(MediaRef):
    """An audio file."""

    medium = "audio"


class AnyFile(MediaRef):
    """A file whose kind (image, video or audio) is unknown, because KIE's schema does not state the kind."""

    medium = "file"


def find_file_type(field: FieldInfo) -> tuple[type[MediaRef], Limits | None] | None:
    """Return the class of a field's files, such as `Image`, and their limits; None if the field takes no files."""
    parts = [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]
    media = (each for each in parts if isinstance(each, type) and issubclass(each, MediaRef))
    limits = (each for each in parts if isinstance(each, Limits))
    return (found, next(limits, None)) if (found := next(media, None)) else None


@dataclass(frozen=True, slots=True)
class Source:
    """The earlier tasks that a field takes, as in `Annotated[TaskRef, Source("a KIE video task", kind="video")]`."""

    words: str
    """What KIE calls such a task, such as `a Veo generation task`."""
    makers: str = ""
    """Names of tools and ids of models whose tasks the field takes, separated by spaces; empty if all are taken."""
    kind: Kind | None = None
    """The kind of result that the task must have made; None if any kind is taken."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def attach(ref: TaskRef | Track) -> TaskRef | Track:
            ref.source = self
            return ref

        return core_schema.no_info_after_validator_function(attach, handler(source))


class TaskRef(Ref):
    """The id of an earlier task, either kie-mcp's or KIE's; the request to KIE contains KIE's id."""

    source: Source | None = None
    """The tasks that the field takes; None if it takes any task."""


class ResultRef(TaskRef):
    """An earlier task, or with `#n` one of its results; the request has the result's index in a field of its own."""

    __slots__ = ()


class MadeId(Ref):
    """KIE's id of a voice, a character or a persona, or the earlier task that made it; KIE gets its id."""

    __slots__ = ()

    makers: ClassVar[tuple[str, ...]]
    """KIE's ids of the models whose tasks make such an id."""


class Track(Ref):
    """One song of an earlier music task, written as `task:<id>#<n>`; n is 1 for the task's first song.

    The request to KIE contains KIE's audio id of the song. A caller who knows this audio id may write it in place of n:
    `task:<id>#<audio id>`, or `task:-#<audio id>` if the model does not need the task.
    """

    source: Source | None = None
    """The tasks whose songs the field takes; None if it takes the songs of any task."""

    def __new__(cls, reference: str) -> Self:
        """Make a `Track` from a text such as `task:t_ab12#1`, or `t_ab12#1` without `task:`."""
        return super().__new__(cls, name_task(reference))

    @property
    def task(self) -> TaskRef:
        """The id of the task that made the song."""
        task = TaskRef(parse_task_id(self))
        task.source = self.source
        return task


def parse_task_id(reference: str) -> str:
    """Return the id of the task that a text names: `t_ab12` for `task:t_ab12#1`, and also for `t_ab12`."""
    return name_task(reference.strip()).removeprefix("task:").partition("#")[0]


def parse_result_number(text: str) -> int | None:
    """Return the number of a task's result, such as 1 for the `1` in `task:t_ab12#1`; None if the text is no number.

    Only `MOST_DIGITS` digits are read: no task has so many results, and Python refuses to read thousands of digits.
    """
    return int(text[:MOST_DIGITS]) if text.isdecimal() else None


def aliases(names: Mapping[str, str]) -> BeforeValidator:
    """Make a field accept other spellings of its values.

    Args:
        names: Maps each other spelling, in lower case, to KIE's value. Capital letters and outer spaces in a caller's
            value are ignored.
    """
    return BeforeValidator(
        lambda given: names.get(given.strip().casefold(), given) if isinstance(given, str) else given
    )


def _parse_integer(given: Any) -> Any:
    return int(given) if isinstance(given, str) and given.strip().lstrip("-").isdigit() else given


def _read_language(given: Any) -> Any:
    code = re.fullmatch(r"([a-z]{2,3})([-_]\w+)*", given.strip(), re.IGNORECASE) if isinstance(given, str) else None
    return code[1].lower() if code else given


LanguageCode = BeforeValidator(_read_language)
"""Validator for a language that KIE takes as a code of ISO 639-1: `EN` and `en-US` become `en`."""

AsText = PlainSerializer(str)
"""Serializer for a field that KIE requires as a text: 5 is sent as "5"."""

InList = WrapSerializer(lambda value, inner: [inner(value)])
"""Serializer for a field that KIE requires as a list with one item: x is sent as [x]."""

# Some clients send the text "5" instead of the number 5. Without this validator, a field of type Literal[5, 10] would
# refuse the text.
Number = BeforeValidator(_parse_integer)
"""Validator for a field whose type is a Literal of integers: it converts "5" to 5."""

Prompt = Annotated[str, Field(min_length=1)]
# Many clients send -1 for a random seed. The request then has no seed, so that KIE chooses one at random.
RandomLeftOut = BeforeValidator(lambda given: None if given == -1 else given)
"""Validator for the seed of a model that does not know -1 as "random": -1 becomes None, so that no seed is sent."""
# The schema does not state the range of the seed, because agents do not need it, and the tool list has a token budget.
Seed = Annotated[int | None, Field(ge=0, le=2147483647), RandomLeftOut, WithJsonSchema({"type": "integer"})]
AnySeed = Annotated[int | None, RandomLeftOut, WithJsonSchema({"type": "integer"})]
"""Type of a model's seed if KIE states no range of seeds for the model."""
RandomSeed = Annotated[int, Field(ge=-1, le=2147483647), WithJsonSchema({"type": "integer"})]
"""Type of a model's seed if the model knows -1 as "random"; -1 is sent to KIE."""


def snake_case(name: str) -> str:
    """Convert camel case to snake case: `imageUrls` to `image_urls`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True, slots=True)
class LongestRequest:
    """Marks a field whose text may be too long for one request to KIE; a text that is too long is sent in parts."""

    characters: int
    """Largest number of characters that KIE takes in one request."""


def wire(name: str, default: Any = ..., **limits: Any) -> Any:
    """Define a field whose name in the request to KIE differs from its name in the model class.

    Args:
        name: The name in the request to KIE.
        default: The default value; without a default, the field is required.
        limits: Other arguments for pydantic's `Field`, such as `ge=0`.
    """
    return Field(default, serialization_alias=name, **limits)
