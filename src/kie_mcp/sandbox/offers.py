"""Offers, made from the catalogue: which models the sandbox runs on which routes, and the fields they need."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError

from kie_mcp.catalog.amount import exactly
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import Unit
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.schema import plain_schema
from kie_mcp.catalog.wire_schema import wire_schema
from kie_mcp.kie.routes import JOBS, Route, find, wire_name

Json = Mapping[str, Any]

FALLBACK_CREDITS = 1.0
"""Credits that the sandbox charges for a model for which KIE publishes no price."""


@dataclass(frozen=True)
class Offer:
    """One model on one of the routes that run it."""

    model: type[KieModel]
    route_id: str
    """Id of the route: `jobs`, `jobs:<id>`, the name of a product API, or `service:<path>`."""

    @cached_property
    def route(self) -> Route:
        """The route of this offer."""
        return find(self.route_id)

    @property
    def id(self) -> str:
        """The name of the model in the request."""
        kind, _, other = self.route_id.partition(":")
        return other if kind == "jobs" and other else self.model.id

    @property
    def result_shape(self) -> str:
        """Shape of the status answers of the model's product API, on every route; `jobs` if it has no product API."""
        return next((find(way).shape for way in self.model.routes if not way.startswith("jobs")), "jobs")

    @cached_property
    def argument_names(self) -> dict[str, str]:
        """This server's name of each field that a request may have, by KIE's name of the field on this route."""
        fields = self.model.model_fields.items()
        return {wire_name(field.serialization_alias or name, self.route_id): name for name, field in fields}

    @cached_property
    def required_fields(self) -> frozenset[str]:
        """KIE's names, on this route, of the fields that a request must have."""
        sent = _required_wire_names(self.model)
        constants = set(self.model.constants) - {"model"} if self.route != JOBS else set()
        callback = {self.route.callback} if self.route.wants_callback or self.model.wants_callback else set()
        return frozenset({wire_name(name, self.route_id) for name in sent | constants}) | callback

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the request's fields, as KIE would publish it."""
        wire_properties = wire_schema(self.model)["properties"]
        required = self.required_fields - {self.route.callback}
        named = {wire_name(name, self.route_id): schema for name, schema in wire_properties.items()}
        return {"type": "object", "properties": {name: {} for name in required} | named, "required": sorted(required)}

    def matches(self, body: Json) -> bool:
        """Return whether the request is for this model."""
        name = body.get("model")
        if self.route == JOBS:
            return bool(name == self.id)
        constants = self.model.constants
        accepted_names = {constants.get("model", self.model.id)}
        if self.route.shape == "service":
            accepted_names.add(self.model.id)
        if "model" in self.argument_names:
            accepted_names.update(_allowed_values(self.model, self.argument_names["model"]))
        # A request to a product API may leave out the model: the API has a default model, or only one model.
        named = name in accepted_names or (name is None and self.route.shape != "service")
        return named and all(body.get(key, value) == value for key, value in constants.items() if key != "model")

    def knows_all_fields(self, body: Json) -> bool:
        """Return whether the model has a field for every field of the request."""
        also = {"model", self.route.callback} if self.route.shape == "service" else {self.route.callback}
        return set(body) <= {*self.argument_names, *self.required_fields, *self.model.constants, *also}

    def input_fields(self, body: Json) -> dict[str, Any]:
        """Return the model's fields in the request; on the route `jobs`, they are inside the object `input`."""
        fields = body.get("input") if self.route == JOBS else body
        return dict(fields) if isinstance(fields, Mapping) else {}

    def missing_fields(self, body: Json) -> list[str]:
        """Return the names of the required fields that the request lacks."""
        given = {**self.input_fields(body), self.route.callback: body.get(self.route.callback)}
        return sorted(name for name in self.required_fields if given.get(name) is None)

    def parse_arguments(self, body: Json) -> dict[str, Any]:
        """Return the request's arguments under this server's names; missing arguments have their defaults.

        Invalid values are accepted, as KIE accepts them.
        """
        frame = {"model", self.route.callback, *self.model.hidden_fields()} - set(self.argument_names)
        given = self.model.received(
            {name: value for name, value in self.input_fields(body).items() if name not in frame}
        )
        try:
            return dict(self.model.model_validate(given))
        except ValidationError:
            return dict(self.model.model_construct(**given))

    def price(self, body: Json) -> float:
        """Return the price of the request in credits."""
        call = SimpleNamespace(**self.parse_arguments(body))
        estimate = self.model.price.estimate(call, exactly(_count_units(self.model.price.unit, call)))
        return FALLBACK_CREDITS if estimate.low is None else estimate.low


def _build_offers() -> Iterable[Offer]:
    for model in MODELS.values():
        service = (f"service:{model.service}",) if model.service else ()
        yield from (Offer(model, way) for way in (*model.routes, *service))


OFFERS: dict[str, list[Offer]] = {}
"""All offers, by the path of the create; in each list, the offers on the route `service` come last."""

for _offer in sorted(_build_offers(), key=lambda offer: offer.route.shape == "service"):
    OFFERS.setdefault(_offer.route.create, []).append(_offer)


def find_offers(path: str, body: Json) -> list[Offer]:
    """Return the offers that match a request: none, one, or two if two routes take such requests.

    The likelier offer comes first.
    """
    fitting = [offer for offer in OFFERS[path] if offer.matches(body)]
    return [offer for offer in fitting if offer.knows_all_fields(body)] or fitting[:1]


@cache
def _allowed_values(model: type[KieModel], name: str) -> list[Any]:
    values: list[Any] = plain_schema(model)["properties"][name]["enum"]
    return values


def _required_wire_names(model: type[KieModel]) -> set[str]:
    """Return KIE's names of the required fields, and of the fields that `KieModel.sent()` adds to every request."""
    required = {field.serialization_alias or name for name, field in model.model_fields.items() if field.is_required()}
    if not (call := build_minimal_call(model)):
        return required
    sent = set(call.sent(str))
    return required & sent | sent - set(call.model_dump(by_alias=True, exclude_none=True))


def build_minimal_call(model: type[KieModel]) -> KieModel | None:
    """Build a call with example values for the required fields; None if such a call is not valid.

    If the call is valid only with a prompt, it gets a prompt too.
    """
    schema = plain_schema(model)
    needed = {name: _example_value(schema["properties"][name]) for name in schema.get("required", ())}
    for more in ({}, {"prompt": "x"}):
        with contextlib.suppress(ValidationError):
            return model.model_validate(needed | more)
    return None


def _example_value(schema: dict[str, Any]) -> Any:
    match schema.get("type"):
        case "array":
            return [_example_value(schema["items"])] * schema.get("minItems", 1)
        case "object":
            return {name: _example_value(schema["properties"][name]) for name in schema.get("required", ())}
        case "integer" | "number":
            return schema.get("minimum", 1)
        case _:
            return "x"


def _count_units(unit: Unit, call: SimpleNamespace) -> float:
    """Return the number of price units of a request; a duration or count that is no number counts as 1."""
    match unit:
        case "second":
            return _parse_amount(getattr(call, "duration", None))
        case "image":
            return _parse_amount(getattr(call, "count", None))
        case "1000 characters":
            return len(str(getattr(call, "prompt", ""))) / 1000
        case "million tokens":
            return len(str(getattr(call, "prompt", ""))) / 1e6
        case _:
            return 1


def _parse_amount(value: Any) -> float:
    try:
        return max(float(value), 1)
    except (TypeError, ValueError):
        return 1
