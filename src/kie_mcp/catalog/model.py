"""The base class of KIE's models: its fields are the tool's arguments, and `sent()` returns the fields for KIE."""

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from kie_mcp.catalog.amount import LONGEST_UNKNOWN, NOT_MEASURED, SHORTEST_UNKNOWN, Amount, Lengths, add, exactly, limit
from kie_mcp.catalog.argument_values import read_value
from kie_mcp.catalog.fields import Image, Kind, Limits, MediaRef, Ref, find_file_type, snake_case
from kie_mcp.catalog.hidden_fields import HIDDEN_FIELDS
from kie_mcp.catalog.part import arguments_from_wire
from kie_mcp.catalog.price import UNKNOWN, Estimate, Price
from kie_mcp.catalog.schema import plain_schema, walk_annotation
from kie_mcp.catalog.spellings import CALLBACK_NAMES
from kie_mcp.catalog.voices import Voice

PRICE_KEY_FIELDS = ("duration", "resolution", "quality", "size", "mode", "speed", "version", "sound", "count")
"""Fields that are always in the price key of `tariff()`: the price may depend on them even if no `Rate` names them."""

FREE_TEXTS = frozenset({"prompt", "negative_prompt", "negativePrompt", "text", "lyrics"})
"""Names of fields for free text. The price of a picture or video does not depend on the text in such a field."""

Resolve = Callable[[Ref], str]
"""A function that returns the text to send to KIE for a file, task or song: a public URL or KIE's id."""


class KieModel(BaseModel):
    """One of KIE's models: a class stands for the model, and an instance for one valid call of the model.

    The fields have the names of the tool's arguments. A field that `wire()` defines has another name in the request to
    KIE. The class variables describe the model and how KIE runs it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    id: ClassVar[str]
    """KIE's id of the model, exactly as KIE writes it; for a model without an id, its name in the request body."""
    kind: ClassVar[Kind]
    """The kind of result that the model makes."""
    task_type: ClassVar[str]
    """The model's mode, such as `text-to-video`, `image-to-image` or `text-to-speech`."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names that people use for the model."""
    price: ClassVar[Price] = UNKNOWN
    """KIE's price list for the model."""
    routes: ClassVar[tuple[str, ...]] = ("jobs",)
    """Ids of the routes that run the model, best first: `jobs`, `jobs:<other model id>` or a product API (`veo`)."""
    service: ClassVar[str] = ""
    """Path of the create request on the route `service`, without `/api/v1/`; empty if the model lacks this route."""
    merged_fields: ClassVar[frozenset[str]] = frozenset()
    """Names of arguments that are no fields of the request; `sent()` puts their values into other fields."""
    further_names: ClassVar[frozenset[str]] = frozenset()
    """Names, in snake case, of arguments that `join()` reads, although they are no fields and no tool shows them."""
    unpublished: ClassVar[frozenset[str]] = frozenset()
    """KIE's names of fields that KIE shows in an example of a request, but has not in the model's schema."""
    constants: ClassVar[dict[str, Any]] = {}
    """Fields with a fixed value that a product API requires in the request body."""
    wants_callback: ClassVar[bool] = False
    """Whether KIE requires a callBackUrl for this model on every route."""
    legacy: ClassVar[str] = ""
    """If KIE no longer documents the model, the name of the tool to use instead; otherwise empty."""
    unlisted: ClassVar[bool] = False
    """Whether the tool's schema and searches do not offer the model; a call that names it runs it all the same."""
    kie_defaults: ClassVar[dict[str, Any]] = {}
    """KIE's own defaults of optional fields whose default in this class is None; the key is the field's name."""
    added: ClassVar[frozenset[str]] = frozenset()
    """Fields that KIE added after the class was written; only subclasses made by `add_live_fields()` have them."""
    voice_list: ClassVar[tuple[Voice, ...]] = ()
    """The voices that the model speaks with, as far as KIE lists them."""
    _plain_schema: ClassVar[dict[str, Any]]
    usual_seconds: ClassVar[float] = 60
    """Seconds that a task of this model usually takes."""

    @classmethod
    def argument_types(cls) -> Iterator[type]:
        """Yield all classes in the type annotations of the fields."""
        for field in cls.model_fields.values():
            yield from (part for part in walk_annotation(field.annotation) if isinstance(part, type))

    @classmethod
    def default_estimate(cls) -> Estimate:
        """Estimate the cost of a call with default arguments; 1000 characters are assumed for a prompt."""
        defaults: dict[str, Any] = {"prompt": "x" * 1000}
        return cls.model_construct(**defaults).estimate()

    @classmethod
    def read(cls, name: str, value: object) -> object:
        """Convert a value to the type and spelling of a field; if it cannot be converted, return it as it is."""
        return read_value(value, cls.plain_schema()["properties"][name])

    @classmethod
    def is_default(cls, name: str, value: object) -> bool:
        """Tell whether a value is a field's default; if so, a call without the field means the same.

        If neither the class nor KIE's documentation states a default, `False` is taken as the default.

        Args:
            name: Name of the field.
            value: A value that `read()` returned.
        """
        field = cls.model_fields[name]
        default = None if field.default_factory else field.default
        if default is None:
            default = cls.kie_defaults.get(name, False)
        return isinstance(value, bool) == isinstance(default, bool) and value == default

    @classmethod
    def is_unsent(cls, name: str, value: object) -> bool:
        """Tell whether a field need not be sent: its value is False, and a call without the field means the same."""
        field, read = cls.model_fields[name], cls.read(name, value)
        return read is False and not field.is_required() and field.default is None and cls.is_default(name, read)

    @classmethod
    def plain_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of this class. All callers get the same object, and must not change it."""
        if "_plain_schema" not in vars(cls):
            cls._plain_schema = plain_schema(cls)
        return cls._plain_schema

    @classmethod
    def field_schemas(cls) -> Mapping[str, Any]:
        """Return the JSON Schema of each field of this class; the key is the field's name."""
        return dict(cls.plain_schema()["properties"])

    def references(self) -> list[Ref]:
        """Return the files and earlier tasks that this call's arguments name, in the order in which they are sent."""
        found: list[Ref] = []

        def collect(ref: Ref) -> str:
            found.append(ref)
            return ref

        self.sent(collect)
        return found

    def find_shape_source(self) -> Image | None:
        """Return the picture whose aspect ratio the result gets: the picture to edit, or the first frame of a clip."""
        pictures = getattr(self, "images", None) if self.kind == "image" else None
        first = getattr(self, "image", None) or (pictures or (None,))[0]
        return first if isinstance(first, Image) else None

    def warnings(self) -> Iterable[str]:
        """Return sentences for the caller about values that are sent, although KIE may not know them."""
        return ()

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """Return the fields of the request to KIE, under KIE's names.

        Args:
            resolve: Returns the text to send to KIE for a file or an earlier task: a public URL or KIE's id.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, context=resolve)

    @classmethod
    def hidden_fields(cls) -> dict[str, Mapping[str, Any]]:
        """Return the JSON Schemas of fields that no tool shows for this model, and that `run_model` sends if given."""
        shown = {field.serialization_alias or name for name, field in cls.model_fields.items()}
        return {name: schema for name, schema in HIDDEN_FIELDS.items() if name not in shown}

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the fields of a KIE request into tool arguments; people copy such requests from KIE's web pages.

        Args:
            fields: A request's fields under KIE's names, in camel or snake case, or under the names in this class.
                Values may be invalid. Fields with unknown names are returned unchanged.
        """
        own = {field.serialization_alias for field in cls.model_fields.values()}
        dropped = {*cls.constants, *(name for name in fields if snake_case(name) in CALLBACK_NAMES)} - own
        return arguments_from_wire(cls, {name: value for name, value in fields.items() if name not in dropped})

    @classmethod
    def join(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Join arguments that mean one thing, such as a task and its song; raise `ValueError` if they contradict.

        `given` has the arguments of a call to any model of the family, under names of fields and `further_names`.
        """
        return dict(given)

    def route_ids(self) -> tuple[str, ...]:
        """Return the ids of the routes that can run this call, best first."""
        return self.routes

    def estimate(self, lengths: Lengths = NOT_MEASURED) -> Estimate:
        """Estimate the cost of this call in credits.

        Args:
            lengths: For each file that was measured, its length in seconds. For any other file, `low` assumes the
                shortest length that the model takes, and `high` the longest.
        """
        return self.price.estimate(self, self.units(lengths), self.extra_credits())

    def units(self, lengths: Lengths) -> Amount:
        """Return the number of price units, such as seconds or images, that this call pays for.

        Args:
            lengths: For each file that was measured, its length in seconds.
        """
        if self.price.unit != "second":
            return self.count_units()
        return limit(add(self.seconds_of(name, lengths) for name in self.price.of), self.price.most)

    def count_units(self) -> Amount:
        """Return the number of price units that this call pays for; not used for the price unit "second"."""
        match self.price.unit:
            case "image":
                return exactly(float(getattr(self, "count", None) or 1))
            case "1000 characters":
                return exactly(len(getattr(self, "prompt", "")) / 1000)
            case _:
                return exactly(1)

    def seconds_of(self, name: str, lengths: Lengths) -> Amount:
        """Return how many seconds of one field or property are paid: its value, or the total length of its files.

        Args:
            name: Name of the field or property.
            lengths: For each file that was measured, its length in seconds.
        """
        field, given = type(self).model_fields.get(name), getattr(self, name, None)
        if field and (found := find_file_type(field)):
            # A required file is missing only in the call that `default_estimate()` makes. The missing file is treated
            # as a file of unknown length.
            files = given if isinstance(given, tuple) else (given,) if given or field.is_required() else ()
            media, limits = found
            return _add_lengths(files, lengths, media, limits or Limits(), self.price.most)
        if isinstance(given, int | float) and given > 0:
            return exactly(float(given))
        match self.price.unstated_length:
            case None:
                return Amount(SHORTEST_UNKNOWN, LONGEST_UNKNOWN, f"KIE states no length, {LONGEST_UNKNOWN:g} s count")
            case str(other):
                return self.seconds_of(other, lengths)
            case shortest, longest:
                return Amount(shortest, longest, f"KIE chooses the length, {longest:g} s at most")

    def tariff(self, lengths: Lengths = NOT_MEASURED) -> tuple[str, float]:
        """Return the price key and the number of price units.

        Calls with an equal price key have the same price of one unit, so their charges can be compared. The key is
        empty if this call cannot be compared, for example because only KIE knows the number of units.

        Args:
            lengths: For each file that was measured, its length in seconds.
        """
        if not self.price.rates:
            return self._key_of_everything(lengths), 1
        amount, extra = self.units(lengths), self.extra_credits()
        if not (amount.known and amount.high) or len(self.price.find_rates(self)) != 1:
            return "", 1
        if extra:
            # The extra credits do not depend on the number of units, so the number is a part of the key.
            return self._price_key(("extra", extra), ("units", amount.high)), 1
        counted = {"second": self.price.of, "image": ("count",)}.get(self.price.unit, ())
        return self._price_key(without=counted), amount.high

    def _price_key(self, *more: tuple[str, Any], without: Collection[str] = ()) -> str:
        """Return the price key: a JSON text with the pairs in `more` and all values that may change a unit's price.

        The fields in `without` state the number of units; they are left out, unless a `Rate` names them.
        """
        conditions = {field for rate in self.price.rates for field, _ in rate.when}
        key = dict(more)
        for name in conditions | self.added | set(PRICE_KEY_FIELDS) - set(without):
            value = getattr(self, name, None)
            if value is not None:
                # The key does not contain the name of a file, but only whether the call has a file.
                key[name] = value if type(value) in (bool, int, float, str) else bool(value)
        return json.dumps(key, sort_keys=True)

    def _key_of_everything(self, lengths: Lengths) -> str:
        """Return a price key with all arguments, for a model whose price may depend on any of them.

        Each file is replaced by its duration in seconds; if one duration is unknown, the whole price key is empty. Free
        text is replaced by its number of characters, or left out if the model makes pictures or videos.
        """

        def describe(ref: Ref) -> str:
            return f"{lengths[ref]:.1f} s" if ref in lengths else str(ref)

        if any(isinstance(ref, MediaRef) and ref not in lengths for ref in self.references()):
            return ""
        arguments = self.model_dump(mode="json", exclude_none=True, context=describe)
        for name in FREE_TEXTS & arguments.keys():
            text = str(arguments.pop(name))
            if self.kind in ("audio", "text"):
                arguments[name] = len(text)
        return json.dumps({"arguments": arguments}, sort_keys=True)

    def extra_credits(self) -> float:
        """Return the credits that this call costs in addition to the price of all its units."""
        return 0

    def split(self) -> tuple[Self, ...]:
        """Return the calls to send to KIE: this call, or its parts in order if its text is too long for one request."""
        return (self,)


def _add_lengths(
    files: Sequence[MediaRef | None], lengths: Lengths, media: type[MediaRef], limits: Limits, most: float | None
) -> Amount:
    """Return the total length of all files of a field, in seconds.

    Args:
        files: The files; None stands for a required file that is missing.
        lengths: For each file that was measured, its length in seconds.
        media: The class of the files, such as `Video`.
        limits: KIE's limits for one file. A file that was not measured has any length between these limits.
        most: Largest number of seconds that one call pays for; None for no limit.
    """
    shortest = max((limits.seconds or (0,))[0], SHORTEST_UNKNOWN)
    stated = [seconds for seconds in (limits.seconds and limits.seconds[1], most) if seconds]
    longest = min(stated, default=LONGEST_UNKNOWN)
    words = f"{media.medium} of unknown length counts as {longest:g} s"
    unknown = Amount(shortest, longest, words if stated else f"{words}, as KIE states no limit")
    measured = [exactly(lengths[file]) for file in files if file is not None and file in lengths]
    whole = add([*measured, *[unknown] * (len(files) - len(measured))])
    return whole if whole.known else limit(whole, max(limits.total_seconds or math.inf, add(measured).high))


class TwoFrames(KieModel):
    """A model whose arguments `image` (first frame) and `last_image` (last frame) are sent to KIE in one list."""

    merged_fields = frozenset({"last_image"})

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """Return the fields of the request to KIE, with the first and the last frame in one list."""
        fields = super().sent(resolve)
        if last := fields.pop("last_image", None):
            fields[type(self).model_fields["image"].serialization_alias or "image"].append(last)
        return fields

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Convert the fields of a KIE request into tool arguments; the second image in the list is `last_image`."""
        match super().received(fields):
            case {"image": [first, last], **others}:
                return {**others, "image": first, "last_image": last}
            case given:
                return given
