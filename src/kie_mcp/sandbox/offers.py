"""Find the model that a create request names. An `Offer` is a model together with one of the routes that run it."""

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError

from kie_mcp.catalog.amount import exactly
from kie_mcp.catalog.fields import TaskRef, Track, find_file_type
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import Estimate, Unit
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.schema_check import SchemaCheck
from kie_mcp.catalog.sentences import LONGEST_SPEECH
from kie_mcp.catalog.wire_schema import wire_schema
from kie_mcp.kie.routes import JOBS, Route, find, wire_name

Json = Mapping[str, Any]

FALLBACK_CREDITS = 1.0
"""Credits that the sandbox charges for a task if KIE publishes no price of the model."""

CHECKED = ("type", "enum", "minimum", "maximum")
"""The keywords of a field's JSON Schema that the sandbox checks in create requests."""


@dataclass(frozen=True)
class Offer:
    """A model on one of the routes that run the model, for example Veo 3 on Veo's product API."""

    model: type[KieModel]
    route_id: str
    """Id of the route: `jobs`, `jobs:<id>`, the name of a product API, or `service:<path>`."""

    @cached_property
    def route(self) -> Route:
        """The route with the id `route_id`; it has the URL paths for create and status requests."""
        return find(self.route_id)

    @property
    def id(self) -> str:
        """The value of the field `model` in create requests on this route."""
        kind, _, other = self.route_id.partition(":")
        return other if kind == "jobs" and other else self.model.id

    @property
    def result_shape(self) -> str:
        """The name of the JSON structure of the product API's answers; `jobs` if the model has no product API."""
        return next((find(way).shape for way in self.model.routes if not way.startswith("jobs")), "jobs")

    @cached_property
    def argument_names(self) -> dict[str, str]:
        """For each field name that KIE uses on this route, kie-mcp's name of the field."""
        fields = self.model.model_fields.items()
        return {wire_name(field.serialization_alias or name, self.route_id): name for name, field in fields}

    @cached_property
    def required_fields(self) -> frozenset[str]:
        """The fields that a create request must have, under the names that KIE uses on this route."""
        sent = _required_wire_names(self.model)
        constants = set(self.model.constants) - {"model"} if self.route != JOBS else set()
        callback = {self.route.callback} if self.route.wants_callback or self.model.wants_callback else set()
        return frozenset({wire_name(name, self.route_id) for name in sent | constants}) | callback

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema that the sandbox publishes for the fields of a create request."""
        wire_properties = wire_schema(self.model)["properties"]
        required = self.required_fields - {self.route.callback}
        named = {wire_name(name, self.route_id): schema for name, schema in wire_properties.items()}
        return {"type": "object", "properties": {name: {} for name in required} | named, "required": sorted(required)}

    def matches(self, body: Json) -> bool:
        """Return True if a create request's body names this model, or names no model on a route that needs no name."""
        name = body.get("model")
        if name is not None and not isinstance(name, str):
            return False
        if self.route == JOBS:
            return bool(name == self.id)
        constants = self.model.constants
        accepted_names = {constants.get("model", self.model.id)}
        if self.route.shape == "service":
            accepted_names.add(self.model.id)
        if "model" in self.argument_names:
            accepted_names.update(_allowed_values(self.model, self.argument_names["model"]))
        # In a request to a product API, `model` may be missing: the API has a default model or only one model.
        named = name in accepted_names or (name is None and self.route.shape != "service")
        return named and all(body.get(key, value) == value for key, value in constants.items() if key != "model")

    def knows_all_fields(self, body: Json) -> bool:
        """Return True if the model accepts every field in the body of a create request."""
        also = {"model", self.route.callback} if self.route.shape == "service" else {self.route.callback}
        return set(body) <= {*self.argument_names, *self.required_fields, *self.model.constants, *also}

    def input_fields(self, body: Json) -> dict[str, Any]:
        """Return the fields for the model: the object `input` of the body on `jobs` routes, else the whole body."""
        fields = body.get("input") if self.route == JOBS else body
        return dict(fields) if isinstance(fields, Mapping) else {}

    def _missing_fields(self, body: Json) -> list[str]:
        """Return the names of required fields that the body of a create request does not have."""
        given = {**self.input_fields(body), self.route.callback: body.get(self.route.callback)}
        return sorted(name for name in self.required_fields if given.get(name) is None)

    def find_problem(self, body: Json) -> str:
        """Return KIE's error message if a field of a create request is missing, wrong or too long; otherwise, empty."""
        if missing := self._missing_fields(body):
            return f"{missing[0]} is required"
        # The values in the URL of a GET request are texts, whatever their type; `find_offers()` has checked the model.
        fields = {name: each for name, each in self.input_fields(body).items() if each is not None and name != "model"}
        if self.route.method == "POST" and (wrong := self._values_check.find_problems(fields)):
            return wrong[0]
        return "The text length cannot exceed the maximum limit" if self._has_too_long_text(body) else ""

    @cached_property
    def _values_check(self) -> SchemaCheck:
        """The check of the types, choices and limits of values, without those of texts and within lists."""
        properties = self.input_schema["properties"].items()
        checked = {name: {key: each[key] for key in CHECKED if key in each} for name, each in properties}
        return SchemaCheck({"properties": checked})

    def _has_too_long_text(self, body: Json) -> bool:
        """Return True if one text field, or all text of a speech request together, is longer than KIE accepts."""
        fields, properties = self.input_fields(body), self.input_schema["properties"]
        longest = {name: each["maxLength"] for name, each in properties.items() if "maxLength" in each}
        if any(len(text) > longest.get(name, math.inf) for name, text in fields.items() if isinstance(text, str)):
            return True
        if self.model.task_type != "text-to-speech":
            return False
        try:
            return len(self.model.model_validate(self._received(body)).split()) > 1
        except ValidationError:
            # The model class may have refused the request for another reason than a long text, so the text is measured.
            return _count_characters(fields) > LONGEST_SPEECH

    def parse_arguments(self, body: Json) -> dict[str, Any]:
        """Return the arguments of a create request with kie-mcp's field names; a missing argument has its default.

        Values that the model class refuses are returned unchanged, because KIE may accept them.
        """
        given = self._received(body)
        try:
            return dict(self.model.model_validate(given))
        except ValidationError:
            return dict(self.model.model_construct(**given))

    def find_sources(self, body: Json) -> list[TaskRef | Track]:
        """Return the earlier tasks, and songs of earlier tasks, on which a create request follows."""
        if not any(issubclass(each, TaskRef | Track) for each in self.model.argument_types()):
            return []
        with contextlib.suppress(ValidationError):
            refs = self.model.model_validate(self._received(body)).references()
            return [ref for ref in refs if isinstance(ref, TaskRef | Track) and ref.source]
        return []

    def _received(self, body: Json) -> dict[str, Any]:
        frame = {"model", self.route.callback, *self.model.hidden_fields()} - set(self.argument_names)
        fields = {name: value for name, value in self.input_fields(body).items() if name not in frame}
        try:
            return self.model.received(fields)
        except ValueError:
            # The model class may refuse what KIE accepts.
            return fields

    def count_pictures(self, body: Json) -> int:
        """Return how many pictures a create request gets, which are those that it pays for; 1 for other results."""
        if self.model.kind == "image" and self.model.price.unit == "image":
            with contextlib.suppress(ValidationError):
                return int(self.model.model_validate(self._received(body)).count_units().low)
        count = str(self.parse_arguments(body).get("count") or 1)
        return int(count) if count.isdecimal() else 1

    def price(self, body: Json) -> float:
        """Return the price, in credits, of the task that a create request with this body starts."""
        estimate = self._estimate(body)
        return FALLBACK_CREDITS if estimate.low is None else estimate.low

    def _estimate(self, body: Json) -> Estimate:
        price, fields = self.model.price, self.model.model_fields
        if price.unit != "second" or not any(find_file_type(fields[name]) for name in price.of if name in fields):
            # Only the model class knows what KIE counts: the text of a dialogue is in several fields, and some models
            # make several pictures unless told. The seconds of files are not measured here.
            with contextlib.suppress(ValidationError):
                return self.model.model_validate(self._received(body)).estimate()
        call = SimpleNamespace(**self.parse_arguments(body))
        return self.model.price.estimate(call, exactly(_count_units(self.model.price.unit, call)))


def _build_offers() -> Iterable[Offer]:
    for model in MODELS.values():
        service = (f"service:{model.service}",) if model.service else ()
        yield from (Offer(model, way) for way in (*model.routes, *service))


OFFERS: dict[str, list[Offer]] = {}
"""For each URL path of create requests, the models that run there; models on the route `service` come last."""

for _offer in sorted(_build_offers(), key=lambda offer: offer.route.shape == "service"):
    OFFERS.setdefault(_offer.route.create, []).append(_offer)


def find_offers(path: str, body: Json) -> list[Offer]:
    """Return the model and route (an `Offer`) that fit a create request.

    Args:
        path: The URL path of the create request.
        body: The body of the create request.

    Returns:
        An empty list if no model fits; two offers if the request fits two routes, with the likelier route first.
    """
    fitting = [offer for offer in OFFERS[path] if offer.matches(body)]
    return [offer for offer in fitting if offer.knows_all_fields(body)] or fitting[:1]


@cache
def _allowed_values(model: type[KieModel], name: str) -> list[Any]:
    values: list[Any] = model.plain_schema()["properties"][name]["enum"]
    return values


def _required_wire_names(model: type[KieModel]) -> set[str]:
    """Return KIE's names of the fields that every request has: required ones, and those that `KieModel.sent()` adds."""
    required = {field.serialization_alias or name for name, field in model.model_fields.items() if field.is_required()}
    if not (call := build_minimal_call(model)):
        return required
    sent = set(call.sent(str))
    return required & sent | sent - set(call.model_dump(by_alias=True, exclude_none=True))


def build_minimal_call(model: type[KieModel]) -> KieModel | None:
    """Build an instance of a model class with an example value for each required field, and a prompt if needed.

    Returns:
        The instance, or None if the model class does not accept these values.
    """
    schema = model.plain_schema()
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
    """Return how many price units a request has, such as 8 for the unit `"second"` and a `duration` of 8."""
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


def _count_characters(value: Any) -> int:
    """Return the total number of characters in all texts of a JSON value."""
    match value:
        case str():
            return len(value)
        case dict():
            return sum(map(_count_characters, value.values()))
        case list():
            return sum(map(_count_characters, value))
        case _:
            return 0


def _parse_amount(value: Any) -> float:
    try:
        return max(float(value), 1)
    except (TypeError, ValueError):
        return 1
