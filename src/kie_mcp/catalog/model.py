"""What every KIE model is: a class whose fields are the tool's arguments and whose dump is KIE's request."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from kie_mcp.catalog.fields import InList, Kind, Ref, snake_case
from kie_mcp.catalog.price import UNKNOWN, Estimate, Price
from kie_mcp.catalog.schema import walk_annotation

UNSHOWN = frozenset(
    {"nsfw_checker", "enable_safety_checker", "upload_method", "uploadCn", "upload_cn", "sync_mode", "enable_fallback"}
    | {"enableFallback", "return_last_frame", "language_code"}
)
"""What moderates, where KIE stores, what KIE has deprecated: nothing that an agent decides."""

PRICED = ("duration", "resolution", "quality", "size", "mode", "speed", "version", "sound", "count")
"""What a price may depend on, whether KIE's list says so or not."""

Resolve = Callable[[Ref], str]


class Part(BaseModel):
    """A structured argument inside a model's arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class KieModel(BaseModel):
    """One model of KIE's.

    Fields carry our names; `wire()` gives KIE's. The class variables say the rest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    id: ClassVar[str]
    """KIE's id verbatim; where KIE has none, the name that KIE's body uses."""
    kind: ClassVar[Kind]
    """What comes out."""
    does: ClassVar[str]
    """`text-to-video`, `image-to-image`, `text-to-speech`, …"""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names that people use for it."""
    price: ClassVar[Price] = UNKNOWN
    routes: ClassVar[tuple[str, ...]] = ("jobs",)
    """Ways to run it, best first: `jobs`, `jobs:<id>` (another id there), or a product API of KIE's."""
    service: ClassVar[str] = ""
    """Where the model list's own pattern runs it: the path after /api/v1/."""
    folded: ClassVar[frozenset[str]] = frozenset()
    """Fields that `sent()` puts into others, so that KIE knows them by no name of their own."""
    constants: ClassVar[dict[str, Any]] = {}
    """What a product API wants in the body besides the fields."""
    wants_callback: ClassVar[bool] = False
    """Whether KIE insists on a callBackUrl for this model, whichever way it is run."""
    legacy: ClassVar[str] = ""
    """For a model that KIE no longer documents: what to use instead."""
    usual_seconds: ClassVar[float] = 60
    """How long it usually takes."""

    @classmethod
    def made_of(cls) -> Iterator[type]:
        """The classes that the fields' types are made of."""
        for field in cls.model_fields.values():
            yield from (part for part in walk_annotation(field.annotation) if isinstance(part, type))

    @classmethod
    def usual_estimate(cls) -> Estimate:
        """What a call with default arguments costs; speech is counted as 1000 characters."""
        usual: dict[str, Any] = {"prompt": "x" * 1000}
        return cls.model_construct(**usual).estimate()

    def references(self) -> list[Ref]:
        """The files and earlier tasks this call refers to, in the order that it sends them."""
        found: list[Ref] = []

        def note(ref: Ref) -> str:
            found.append(ref)
            return ref

        self.sent(note)
        return found

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """The fields as KIE takes them, with each reference replaced by what it resolves to."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, context=resolve)

    @classmethod
    def unshown(cls) -> frozenset[str]:
        """Fields that KIE documents and no tool shows; they are sent as they are given."""
        return UNSHOWN - {field.serialization_alias or name for name, field in cls.model_fields.items()}

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that make these fields: the inverse of `sent`, for what people paste from KIE's pages.

        Our own names pass, and so does the snake case of a product API's camel case.
        """
        constant = {*cls.constants, "callBackUrl", "calBackUrl"} - {
            field.serialization_alias for field in cls.model_fields.values()
        }
        return arguments_from_wire(cls, {name: value for name, value in fields.items() if name not in constant})

    def ways(self) -> tuple[str, ...]:
        """The routes that take this very call."""
        return self.routes

    def estimate(self) -> Estimate:
        """What the call is likely to cost."""
        return self.price.estimate(self, self.units(), self.extra_credits())

    def units(self) -> float | None:
        """How many of the price's units the call buys; None when only KIE can tell."""
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
        """What a unit's price depends on, equal for calls that cost the same a unit; and how many units there are."""
        units, extra = self.units(), self.extra_credits()
        if not units or extra:
            # What it costs does not grow with the units alone.
            return self._told(("extra", extra), ("units", units)), 1
        counted = {"second": "duration", "image": "count"}.get(self.price.unit)
        return self._told(without=counted), units

    def _told(self, *more: tuple[str, Any], without: str | None = None) -> str:
        told = dict(more)
        for name in {*PRICED, *(field for rate in self.price.rates for field, _ in rate.when)} - {without}:
            value = getattr(self, name, None)
            if value is not None:
                # Of a file, or several, it matters that there is one.
                told[name] = value if type(value) in (bool, int, float, str) else bool(value)
        return json.dumps(told, sort_keys=True)

    def extra_credits(self) -> float:
        """Credits that do not depend on the units."""
        return 0


class TwoFrames(KieModel):
    """A model whose frames, `image` and `last_image`, KIE takes in one list."""

    folded = frozenset({"last_image"})

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """The last frame comes after the first."""
        fields = super().sent(resolve)
        if last := fields.pop("last_image", None):
            fields[type(self).model_fields["image"].serialization_alias or "image"].append(last)
        return fields

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The second of the list is the last frame."""
        match super().received(fields):
            case {"image": [first, last], **others}:
                return {**others, "image": first, "last_image": last}
            case given:
                return given


def arguments_from_wire(model: type[BaseModel], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same values under the model's own names; lists of one are opened where the model wraps them itself."""
    known: dict[str, str] = {}
    for name, field in model.model_fields.items():
        known |= {snake_case(field.serialization_alias or name): name, name: name}
    made = {}
    for key, value in fields.items():
        name = known.get(key) or known.get(snake_case(key), key)
        made[name] = _argument(model.model_fields[name], value) if name in model.model_fields else value
    return made


def _argument(field: FieldInfo, value: Any) -> Any:
    parts = [part for each in (field.annotation, *field.metadata) for part in walk_annotation(each)]
    if InList in parts and isinstance(value, list) and len(value) == 1:
        return value[0]
    structured = [part for part in parts if isinstance(part, type) and issubclass(part, Part)]
    if structured and isinstance(value, list):
        return [arguments_from_wire(structured[0], each) if isinstance(each, Mapping) else each for each in value]
    return value
