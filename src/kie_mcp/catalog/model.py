"""The base class of KIE's models: the fields are a tool's arguments, and `sent()` makes KIE's request."""

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo

from kie_mcp.catalog.amount import (
    LONGEST_UNKNOWN,
    NOT_MEASURED,
    SHORTEST_UNKNOWN,
    Amount,
    Lengths,
    add,
    exactly,
    limit,
)
from kie_mcp.catalog.argument_names import rename_arguments
from kie_mcp.catalog.argument_values import read_value
from kie_mcp.catalog.fields import Image, InList, Kind, Limits, MediaRef, Ref, find_file_type, snake_case
from kie_mcp.catalog.price import UNKNOWN, Estimate, Price
from kie_mcp.catalog.schema import plain_schema, walk_annotation

HIDDEN_FIELDS = frozenset(
    {"nsfw_checker", "enable_safety_checker", "upload_method", "uploadCn", "upload_cn", "sync_mode", "enable_fallback"}
    | {"enableFallback", "return_last_frame", "language_code"}
)
"""KIE's fields that no tool shows, as agents have no use for them: moderation, places of storage, deprecated fields."""

PRICE_KEY_FIELDS = ("duration", "resolution", "quality", "size", "mode", "speed", "version", "sound", "count")
"""Fields that are always part of the price key of `KieModel.tariff()`; unlisted prices may depend on them."""

FREE_TEXTS = frozenset({"prompt", "negative_prompt", "negativePrompt", "text", "lyrics"})
"""Names of the fields for free text, whose length does not change the price of a picture or video."""

Resolve = Callable[[Ref], str]
"""A function that returns what KIE is sent for a reference: a file's public URL, or KIE's id of a task or song."""


class Part(BaseModel):
    """A structured argument: an object with fields of its own inside a model's arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, given: Any) -> Any:
        """Rename fields that have other names, such as KIE's, in the same way as the arguments of a tool."""
        if not isinstance(given, Mapping):
            return given
        known = [field.alias or name for name, field in cls.model_fields.items()]
        return rename_arguments(given, known, names_at_kie([cls]))


class KieModel(BaseModel):
    """One model of KIE's; an instance is one valid call of it.

    The fields have the names of the tool's arguments; `wire()` states the name in KIE's request where it differs. The
    class variables describe the model and how KIE runs it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    id: ClassVar[str]
    """KIE's id of the model, verbatim; if KIE has no id for the model, the name in KIE's request body."""
    kind: ClassVar[Kind]
    """The kind of result that the model makes."""
    does: ClassVar[str]
    """The model's mode, such as `text-to-video`, `image-to-image` or `text-to-speech`."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names that people use for the model."""
    price: ClassVar[Price] = UNKNOWN
    """KIE's price list for the model."""
    routes: ClassVar[tuple[str, ...]] = ("jobs",)
    """Ids of the routes that run the model, best first: `jobs`, `jobs:<another id>`, or the name of a product API."""
    service: ClassVar[str] = ""
    """Path after `/api/v1/` that runs the model by the common pattern of KIE's model list; empty if there is none."""
    folded: ClassVar[frozenset[str]] = frozenset()
    """Fields that `sent()` merges into other fields, so that KIE's request has no field for them."""
    constants: ClassVar[dict[str, Any]] = {}
    """Fixed values that a product API wants in the request body in addition to the fields."""
    wants_callback: ClassVar[bool] = False
    """Whether KIE requires a callBackUrl for this model on every route."""
    legacy: ClassVar[str] = ""
    """Name of the tool to use instead, if KIE no longer documents the model; else empty."""
    documented: ClassVar[dict[str, Any]] = {}
    """KIE's documented defaults of optional fields that are sent only if the call has them."""
    added: ClassVar[frozenset[str]] = frozenset()
    """Fields that KIE has added since the built-in class was written; empty except in classes made at run time."""
    usual_seconds: ClassVar[float] = 60
    """Usual duration of a task in seconds."""

    @classmethod
    def argument_types(cls) -> Iterator[type]:
        """Iterate over all classes in the annotations of the fields."""
        for field in cls.model_fields.values():
            yield from (part for part in walk_annotation(field.annotation) if isinstance(part, type))

    @classmethod
    def default_estimate(cls) -> Estimate:
        """Estimate the cost of a call with default arguments; a prompt counts as 1000 characters."""
        defaults: dict[str, Any] = {"prompt": "x" * 1000}
        return cls.model_construct(**defaults).estimate()

    @classmethod
    def read(cls, name: str, value: object) -> object:
        """Convert a value to the type and spelling of a field; return it unchanged if that is not possible."""
        return read_value(value, cls._schema()["properties"][name])

    @classmethod
    def is_default(cls, name: str, value: object) -> bool:
        """Tell whether a value that `read()` returned has the same effect as leaving the field out.

        `False` has the same effect if neither the class nor KIE's documentation states a default.
        """
        field = cls.model_fields[name]
        default = None if field.default_factory else field.default
        if default is None:
            default = cls.documented.get(name, False)
        return isinstance(value, bool) == isinstance(default, bool) and value == default

    @classmethod
    def is_unsent(cls, name: str, value: object) -> bool:
        """Tell whether a value is False in a field that is not sent by default, so that the value need not be sent."""
        field, read = cls.model_fields[name], cls.read(name, value)
        return read is False and not field.is_required() and field.default is None and cls.is_default(name, read)

    @classmethod
    @cache
    def _schema(cls) -> dict[str, Any]:
        return plain_schema(cls)

    @classmethod
    def field_schemas(cls) -> Mapping[str, Any]:
        """Return the JSON Schema of each field; the key is the name of the field in this class."""
        return dict(plain_schema(cls)["properties"])

    def references(self) -> list[Ref]:
        """Return the references to files and earlier tasks in this call, in the order they are sent."""
        found: list[Ref] = []

        def collect(ref: Ref) -> str:
            found.append(ref)
            return ref

        self.sent(collect)
        return found

    def find_shape_source(self) -> Image | None:
        """Return the picture whose shape the result should have: the one to edit, or the first frame of a clip."""
        pictures = getattr(self, "images", None) if self.kind == "image" else None
        first = getattr(self, "image", None) or (pictures or (None,))[0]
        return first if isinstance(first, Image) else None

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """Return the fields of KIE's request.

        Args:
            resolve: Returns what KIE is sent for a reference.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, context=resolve)

    @classmethod
    def hidden_fields(cls) -> frozenset[str]:
        """Return KIE's names of the fields that no tool shows for this model; values for them are sent unchanged."""
        return HIDDEN_FIELDS - {field.serialization_alias or name for name, field in cls.model_fields.items()}

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Translate a request's fields back to arguments, for requests that people paste from KIE's pages.

        Args:
            fields: A request's fields under KIE's names, in camel or snake case, or under the names in this class.
                Values need not be valid, and fields with unknown names are kept.
        """
        constant = {*cls.constants, "callBackUrl", "calBackUrl"} - {
            field.serialization_alias for field in cls.model_fields.values()
        }
        return arguments_from_wire(cls, {name: value for name, value in fields.items() if name not in constant})

    def ways(self) -> tuple[str, ...]:
        """Return the ids of the routes that can run this call, best first."""
        return self.routes

    def estimate(self, lengths: Lengths = NOT_MEASURED) -> Estimate:
        """Estimate the cost of this call in credits.

        Args:
            lengths: The seconds of the files that were measured; every other file counts as the longest that the model
                takes.
        """
        return self.price.estimate(self, self.units(lengths), self.extra_credits())

    def units(self, lengths: Lengths) -> Amount:
        """Return the number of price units (seconds, images) that this call buys.

        Args:
            lengths: The seconds of the files that were measured.
        """
        if self.price.unit != "second":
            return self.count_units()
        return limit(add(self.seconds_of(name, lengths) for name in self.price.of), self.price.most)

    def count_units(self) -> Amount:
        """Return the number of price units that this call buys, where the unit is not the second."""
        match self.price.unit:
            case "image":
                return exactly(float(getattr(self, "count", None) or 1))
            case "1000 characters":
                return exactly(len(getattr(self, "prompt", "")) / 1000)
            case _:
                return exactly(1)

    def seconds_of(self, name: str, lengths: Lengths) -> Amount:
        """Return the seconds that a field or property stands for: its number, or the length of its files.

        Args:
            name: Name of the field or property.
            lengths: The seconds of the files that were measured.
        """
        field, given = type(self).model_fields.get(name), getattr(self, name, None)
        if field and (found := find_file_type(field)):
            # Only a call for an estimate may lack a required file. This file then counts as one of unknown length.
            files = given if isinstance(given, tuple) else (given,) if given or field.is_required() else ()
            media, limits = found
            return _add_lengths(files, lengths, media, limits or Limits(), self.price.most)
        if isinstance(given, int | float) and given > 0:
            return exactly(float(given))
        match self.price.otherwise:
            case None:
                return Amount(SHORTEST_UNKNOWN, LONGEST_UNKNOWN, f"KIE states no length, {LONGEST_UNKNOWN:g} s count")
            case str(other):
                return self.seconds_of(other, lengths)
            case shortest, longest:
                return Amount(shortest, longest, f"KIE chooses the length, {longest:g} s at most")

    def tariff(self, lengths: Lengths = NOT_MEASURED) -> tuple[str, float]:
        """Return the price key and the number of price units.

        The price key is a text. Calls with the same price for each unit have equal keys, so that their past charges
        can be compared. The key is empty if no other call is known to have the same price, for example because only KIE
        knows the number of units or the rate.

        Args:
            lengths: The seconds of the files that were measured.
        """
        if not self.price.rates:
            return self._key_of_everything(lengths), 1
        amount, extra = self.units(lengths), self.extra_credits()
        if not (amount.known and amount.high) or len(self.price.find_rates(self)) != 1:
            return "", 1
        if extra:
            # The cost is not proportional to the units, so the key includes them.
            return self._price_key(("extra", extra), ("units", amount.high)), 1
        counted = {"second": self.price.of, "image": ("count",)}.get(self.price.unit, ())
        return self._price_key(without=counted), amount.high

    def _price_key(self, *more: tuple[str, Any], without: Collection[str] = ()) -> str:
        """Write the values that the price may depend on as JSON.

        Args:
            more: Further names and values for the key.
            without: Fields that count the units; the key leaves them out, unless the rate depends on them.
        """
        conditions = {field for rate in self.price.rates for field, _ in rate.when}
        key = dict(more)
        for name in conditions | self.added | set(PRICE_KEY_FIELDS) - set(without):
            value = getattr(self, name, None)
            if value is not None:
                # For a file argument, the key says only whether the call has a file.
                key[name] = value if type(value) in (bool, int, float, str) else bool(value)
        return json.dumps(key, sort_keys=True)

    def _key_of_everything(self, lengths: Lengths) -> str:
        """Write all arguments as JSON, for a model whose price may depend on any of them.

        The key has the length of a file in place of the file; if a length is unknown, the key is empty. Free text is
        left out if the model makes pictures or videos; otherwise the key has its number of characters.
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
        """Return the credits that this call costs in addition to the price of its units."""
        return 0


def _add_lengths(
    files: Sequence[MediaRef | None], lengths: Lengths, media: type[MediaRef], limits: Limits, most: float | None
) -> Amount:
    """Add up the lengths of a field's files.

    Args:
        files: The files; None stands for a file that is not given yet.
        lengths: The seconds of the files that were measured.
        media: The kind of the files.
        limits: KIE's limits for one file; a file that was not measured counts as the longest allowed one.
        most: The most seconds that count.
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
    """A model with a first and a last frame, `image` and `last_image`, which KIE takes in one list."""

    folded = frozenset({"last_image"})

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """Return the fields of KIE's request, with the last frame after the first in one list."""
        fields = super().sent(resolve)
        if last := fields.pop("last_image", None):
            fields[type(self).model_fields["image"].serialization_alias or "image"].append(last)
        return fields

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of KIE's request; a second file of its image list becomes `last_image`."""
        match super().received(fields):
            case {"image": [first, last], **others}:
                return {**others, "image": first, "last_image": last}
            case given:
                return given


def names_at_kie(models: Iterable[type[BaseModel]]) -> dict[str, str]:
    """Return the name of the argument for each of KIE's names in snake case, such as `images` for `image_urls`.

    A name of KIE's that stands for different arguments in different models is left out.
    """
    meanings: dict[str, set[str]] = {}
    for model in models:
        for name, field in model.model_fields.items():
            meanings.setdefault(snake_case(field.serialization_alias or name), set()).add(field.alias or name)
    return {kie_name: names.pop() for kie_name, names in meanings.items() if len(names) == 1}


def arguments_from_wire(model: type[BaseModel], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the fields of a request to KIE to the names of arguments, at any depth, and unwrap the lists of `InList`.

    Args:
        model: The class whose fields give the names.
        fields: Fields under KIE's names, in camel or snake case, or under the names in the class; others are kept.
    """
    known: dict[str, str] = {}
    for name, field in model.model_fields.items():
        known |= {snake_case(field.serialization_alias or name): name, name: name}
    arguments = {}
    for key, value in fields.items():
        name = known.get(key) or known.get(snake_case(key), key)
        arguments[name] = _argument_value(model.model_fields[name], value) if name in model.model_fields else value
    return arguments


def _argument_value(field: FieldInfo, value: Any) -> Any:
    """Convert a field's value in KIE's request back to the value of the argument."""
    parts = [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]
    if InList in parts and isinstance(value, list) and len(value) == 1:
        return value[0]
    structured = [part for part in parts if isinstance(part, type) and issubclass(part, Part)]
    if structured and isinstance(value, list):
        return [arguments_from_wire(structured[0], each) if isinstance(each, Mapping) else each for each in value]
    return value
