"""What the sandbox runs and what it asks of a request: all of it follows from the catalogue."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import Unit
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.schema import plain_schema
from kie_mcp.catalog.wire_schema import wire_schema
from kie_mcp.kie.routes import JOBS, Route, find, spelled

Json = Mapping[str, Any]

FLAT_PRICE = 1.0
"""Credits for what KIE publishes no figure of."""


@dataclass(frozen=True)
class Offer:
    """One model run one way."""

    model: type[KieModel]
    way: str
    """`jobs`, `jobs:<id>`, a product's name, or `service:<path>`."""

    @cached_property
    def route(self) -> Route:
        """Where it is asked for."""
        return find(self.way)

    @property
    def id(self) -> str:
        """What the request calls the model."""
        kind, _, other = self.way.partition(":")
        return other if kind == "jobs" and other else self.model.id

    @property
    def makes(self) -> str:
        """The shape in which the model's product API answers, whichever way it is run; else `jobs`."""
        return next((find(way).shape for way in self.model.routes if not way.startswith("jobs")), "jobs")

    @cached_property
    def names(self) -> dict[str, str]:
        """Our name of each field that the request may have, by its name there."""
        fields = self.model.model_fields.items()
        return {spelled(field.serialization_alias or name, self.way): name for name, field in fields}

    @cached_property
    def required(self) -> frozenset[str]:
        """What the request must have, in its spelling."""
        sent = _always_sent(self.model)
        constants = set(self.model.constants) - {"model"} if self.route != JOBS else set()
        callback = {self.route.callback} if self.route.wants_callback or self.model.wants_callback else set()
        return frozenset({spelled(name, self.way) for name in sent | constants}) | callback

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """What KIE's documentation would say of the request's fields."""
        wired = wire_schema(self.model)["properties"]
        required = self.required - {self.route.callback}
        named = {spelled(name, self.way): schema for name, schema in wired.items()}
        return {"type": "object", "properties": {name: {} for name in required} | named, "required": sorted(required)}

    def fits(self, body: Json) -> bool:
        """Whether the request is for this model."""
        name = body.get("model")
        if self.route == JOBS:
            return bool(name == self.id)
        constants = self.model.constants
        known = {constants.get("model", self.model.id)}
        if self.route.shape == "service":
            known.add(self.model.id)
        if "model" in self.names:
            known.update(_admitted(self.model, self.names["model"]))
        # The product APIs have a default model, or only one.
        named = name in known or (name is None and self.route.shape != "service")
        return named and all(body.get(key, value) == value for key, value in constants.items() if key != "model")

    def knows(self, body: Json) -> bool:
        """Whether every field of the request is the model's, in this way's spelling."""
        also = {"model", self.route.callback} if self.route.shape == "service" else {self.route.callback}
        return set(body) <= {*self.names, *self.required, *self.model.constants, *also}

    def fields(self, body: Json) -> dict[str, Any]:
        """The fields of the request, without its frame; empty if it has none."""
        fields = body.get("input") if self.route == JOBS else body
        return dict(fields) if isinstance(fields, Mapping) else {}

    def missing(self, body: Json) -> list[str]:
        """The required fields that the request lacks."""
        given = {**self.fields(body), self.route.callback: body.get(self.route.callback)}
        return sorted(name for name in self.required if given.get(name) is None)

    def said(self, body: Json) -> dict[str, Any]:
        """The request's fields in our names and words, defaults included; KIE overlooks what it does not know."""
        frame = {"model", self.route.callback, *self.model.unshown()} - set(self.names)
        given = self.model.received({name: value for name, value in self.fields(body).items() if name not in frame})
        try:
            return dict(self.model.model_validate(given))
        except ValidationError:
            return dict(self.model.model_construct(**given))

    def credits(self, body: Json) -> float:
        """What the request costs."""
        call = SimpleNamespace(**self.said(body))
        estimate = self.model.price.estimate(call, _units(self.model.price.unit, call))
        return FLAT_PRICE if estimate.low is None else estimate.low


def _offers() -> Iterable[Offer]:
    for model in MODELS.values():
        service = (f"service:{model.service}",) if model.service else ()
        yield from (Offer(model, way) for way in (*model.routes, *service))


OFFERS: dict[str, list[Offer]] = {}
"""All offers by the path that runs them, product APIs before the list's pattern."""

for _offer in sorted(_offers(), key=lambda offer: offer.route.shape == "service"):
    OFFERS.setdefault(_offer.route.create, []).append(_offer)


def choose(path: str, body: Json) -> list[Offer]:
    """What a request asks for: none, one, or two where two ways look alike, the likelier first."""
    fitting = [offer for offer in OFFERS[path] if offer.fits(body)]
    return [offer for offer in fitting if offer.knows(body)] or fitting[:1]


@cache
def _admitted(model: type[KieModel], name: str) -> list[Any]:
    values: list[Any] = plain_schema(model)["properties"][name]["enum"]
    return values


def _always_sent(model: type[KieModel]) -> set[str]:
    """The names on the wire of the required fields, and of what the model sends besides its fields."""
    required = {field.serialization_alias or name for name, field in model.model_fields.items() if field.is_required()}
    if not (call := _simplest(model)):
        return required
    sent = set(call.sent(str))
    return required & sent | sent - set(call.model_dump(by_alias=True, exclude_none=True))


def _simplest(model: type[KieModel]) -> KieModel | None:
    schema = plain_schema(model)
    needed = {name: _example(schema["properties"][name]) for name in schema.get("required", ())}
    for more in ({}, {"prompt": "x"}):
        with contextlib.suppress(ValidationError):
            return model.model_validate(needed | more)
    return None


def _example(schema: dict[str, Any]) -> Any:
    match schema["type"]:
        case "array":
            return [_example(schema["items"])] * schema.get("minItems", 1)
        case "object":
            return {name: _example(schema["properties"][name]) for name in schema.get("required", ())}
        case "integer" | "number":
            return schema.get("minimum", 1)
        case _:
            return "x"


def _units(unit: Unit, call: SimpleNamespace) -> float:
    match unit:
        case "second":
            return _number(getattr(call, "duration", None))
        case "image":
            return _number(getattr(call, "count", None))
        case "1000 characters":
            return len(str(getattr(call, "prompt", ""))) / 1000
        case _:
            return 1


def _number(value: Any) -> float:
    try:
        return max(float(value), 1)
    except (TypeError, ValueError):
        return 1
