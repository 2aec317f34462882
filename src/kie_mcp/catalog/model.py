"""The base class of KIE's models: its fields are a tool's arguments, and its dump is KIE's request."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from kie_mcp.catalog.fields import InList, Kind, Ref, snake_case
from kie_mcp.catalog.price import UNKNOWN, Estimate, Price
from kie_mcp.catalog.schema import walk_annotation

HIDDEN_FIELDS = frozenset(
    {"nsfw_checker", "enable_safety_checker", "upload_method", "uploadCn", "upload_cn", "sync_mode", "enable_fallback"}
    | {"enableFallback", "return_last_frame", "language_code"}
)
"""Fields of KIE's that no tool shows: moderation, places of storage and deprecated ones, which no agent decides."""

PRICE_KEY_FIELDS = ("duration", "resolution", "quality", "size", "mode", "speed", "version", "sound", "count")
"""Fields that always count in the price key: a price may depend on them even where KIE's list does not say so."""

Resolve = Callable[[Ref], str]
"""Return what KIE is sent for a reference: the public URL of a file, or KIE's id of an earlier task or song."""


class Part(BaseModel):
    """A structured argument: an object with fields of its own inside a model's arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class KieModel(BaseModel):
    """One model of KIE's; an instance is one valid call of it.

    The fields have our names, and `wire()` gives KIE's names. The class variables say how KIE runs the model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    id: ClassVar[str]
    """KIE's id of the model, verbatim; for a model without one, the name in KIE's request body."""
    kind: ClassVar[Kind]
    """The kind of result that the model makes."""
    does: ClassVar[str]
    """The mode: `text-to-video`, `image-to-image`, `text-to-speech`, …"""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names that people use for the model."""
    price: ClassVar[Price] = UNKNOWN
    """KIE's price list for the model."""
    routes: ClassVar[tuple[str, ...]] = ("jobs",)
    """Ids of the routes that run the model, best first: `jobs`, `jobs:<another id>`, or the name of a product API."""
    service: ClassVar[str] = ""
    """Path after /api/v1/ where the common pattern of KIE's model list runs the model."""
    folded: ClassVar[frozenset[str]] = frozenset()
    """Fields that `sent()` merges into other fields, so that KIE's request has no field for them."""
    constants: ClassVar[dict[str, Any]] = {}
    """Values that a product API wants in the request body besides the fields."""
    wants_callback: ClassVar[bool] = False
    """Whether KIE requires a callBackUrl for this model on every route."""
    legacy: ClassVar[str] = ""
    """What to use instead, for a model that KIE no longer documents; else empty."""
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

    def references(self) -> list[Ref]:
        """Return the references to files and earlier tasks in this call, in the order they are sent."""
        found: list[Ref] = []

        def collect(ref: Ref) -> str:
            found.append(ref)
            return ref

        self.sent(collect)
        return found

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """Return the fields of KIE's request.

        Args:
            resolve: Gives what is sent for each reference.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, context=resolve)

    @classmethod
    def hidden_fields(cls) -> frozenset[str]:
        """Return KIE's names of the fields that no tool shows for this model; if given, they are sent unchanged."""
        return HIDDEN_FIELDS - {field.serialization_alias or name for name, field in cls.model_fields.items()}

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that `sent()` makes these fields from, for requests that people paste from KIE's pages.

        Args:
            fields: A request's fields under KIE's names, in camel or snake case, or under ours. Values need not be
                valid, and unknown names are kept.
        """
        constant = {*cls.constants, "callBackUrl"} - {field.serialization_alias for field in cls.model_fields.values()}
        return arguments_from_wire(cls, {name: value for name, value in fields.items() if name not in constant})

    def ways(self) -> tuple[str, ...]:
        """Return the ids of the routes that can run this call, best first."""
        return self.routes

    def estimate(self) -> Estimate:
        """Estimate the cost of this call in credits."""
        return self.price.estimate(self, self.units(), self.extra_credits())

    def units(self) -> float | None:
        """Return how many of the price list's units this call buys, or None when only KIE can tell."""
        match self.price.unit:
            case "second":
                seconds = getattr(self, "duration", None)
                return float(seconds) if seconds and seconds > 0 else None
            case "image":
                return float(getattr(self, "count", None) or 1)
            case "1000 characters":
                return len(getattr(self, "prompt", "")) / 1000
            case _:
                return 1

    def tariff(self) -> tuple[str, float]:
        """Return the price key and the number of price units.

        The price key is a text that is equal for calls with the same price a unit, so that past charges of such calls
        can be compared.
        """
        units, extra = self.units(), self.extra_credits()
        if not units or extra:
            # The cost does not grow in proportion to the units, so the units are part of the key.
            return self._price_key(("extra", extra), ("units", units)), 1
        counted = {"second": "duration", "image": "count"}.get(self.price.unit)
        return self._price_key(without=counted), units

    def _price_key(self, *more: tuple[str, Any], without: str | None = None) -> str:
        """Write the values that a price may depend on as JSON, plus others, without the field that counts units."""
        key = dict(more)
        for name in {*PRICE_KEY_FIELDS, *(field for rate in self.price.rates for field, _ in rate.when)} - {without}:
            value = getattr(self, name, None)
            if value is not None:
                # For file arguments the key records only whether any was given.
                key[name] = value if type(value) in (bool, int, float, str) else bool(value)
        return json.dumps(key, sort_keys=True)

    def extra_credits(self) -> float:
        """Return the credits that this call costs besides its units."""
        return 0


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
        """Return the arguments, with the second file of the list as the last frame."""
        match super().received(fields):
            case {"image": [first, last], **others}:
                return {**others, "image": first, "last_image": last}
            case given:
                return given


def arguments_from_wire(model: type[BaseModel], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Rename a request's fields to our names, in structured arguments too, and unwrap the lists that `InList` makes.

    Args:
        model: The class whose fields give the names.
        fields: Fields under KIE's names, in camel or snake case, or under ours; unknown names are kept.
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
    """Undo what a field's type does to its value on the way to KIE."""
    parts = [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]
    if InList in parts and isinstance(value, list) and len(value) == 1:
        return value[0]
    structured = [part for part in parts if isinstance(part, type) and issubclass(part, Part)]
    if structured and isinstance(value, list):
        return [arguments_from_wire(structured[0], each) if isinstance(each, Mapping) else each for each in value]
    return value
