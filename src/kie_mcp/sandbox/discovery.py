"""The sandbox's imitation of KIE's discovery API, which lists models, schemas, prices and success rates."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kie_mcp.catalog import dynamic_model
from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.published_schema import UnusableSchema, read_schema
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.fake_task import to_iso
from kie_mcp.sandbox.offers import OFFERS, Offer

Json = dict[str, Any]

BUCKET_SECONDS = 600
"""Length in seconds of the periods for which KIE publishes success rates: one rate for each ten minutes."""
DAY_SECONDS = 24 * 60 * 60


@dataclass
class Discovery:
    """Lists the sandbox's models; tests may add and remove models, and set their prices and success rates."""

    legacy: bool = False
    """True if the list includes models that KIE no longer documents."""
    extra_models: dict[str, Offer] = field(default_factory=dict)
    """Models that `add_model` added, with their ids as keys; kie-mcp's built-in catalogue lacks these models."""
    extra_schemas: dict[str, Json | None] = field(default_factory=dict)
    """For each model id in `extra_models`, the JSON Schema of the model's input; None for a model without a schema."""
    removed: set[str] = field(default_factory=set)
    """Ids of models that the sandbox neither lists nor runs any longer."""
    success_rates: dict[str, float] = field(default_factory=dict)
    """For each model id, the success rate in per cent; a model without an entry has 100 per cent."""
    prices: dict[str, str] = field(default_factory=dict)
    """For each model id, a price text; a model without an entry gets the built-in catalogue's price as text."""

    def add_model(
        self, id_: str, schema: Json | None, *, kind: Kind = "image", task_type: str = "text-to-image"
    ) -> None:
        """Add a model that kie-mcp's built-in catalogue does not have.

        Args:
            id_: KIE's id of the model.
            schema: The JSON Schema of the model's input; None if KIE publishes no schema for the model.
            kind: The kind of result that the model makes.
            task_type: The model's mode, such as `text-to-image`.
        """
        model = dynamic_model.unchecked_model(id_, kind=kind, task_type=task_type)
        # A schema that kie-mcp cannot use is published too, so that tests can show how kie-mcp handles such a schema.
        with suppress(UnusableSchema):
            if schema:
                model = dynamic_model.model_from_schema(id_, read_schema(schema), kind=kind, task_type=task_type)
        self.extra_models[id_] = Offer(model, "jobs")
        self.extra_schemas[id_] = schema

    def find_extra_model(self, path: str, body: Json) -> list[Offer]:
        """Return a list with the model of `extra_models` that a create request names, or an empty list."""
        offer = self.extra_models.get(str(body.get("model"))) if path == JOBS.create else None
        return [offer] if offer else []

    def list_models(self, *, task_types: Iterable[str] = (), provider: str = "", words: str = "") -> Json:
        """Return a JSON object with the models that match all filters; the case of letters is ignored.

        Args:
            task_types: KIE's task types, such as `Text to Image`; a model must have one of them. Empty for any type.
            provider: KIE's name of the vendor, such as `Google`; if empty, all vendors match.
            words: A text that must occur in the model's id or title.
        """
        wanted = {each.casefold() for each in task_types if each}
        listed = [
            entry
            for entry in map(self._build_entry, self._listed_offers().values())
            if (not wanted or wanted & {each.casefold() for each in entry["taskType"]})
            and provider.casefold() in ("", entry["provider"].casefold())
            and words.casefold() in f"{entry['model']} {entry['title']}".casefold()
        ]
        return {"total": len(listed), "models": listed}

    def read_detail(self, of: str, model: str, now: float) -> Json | None:
        """Return the schema, the price or the success rates of a model, or None if the sandbox lists no such model.

        Args:
            of: What to return: `schema`, `price` or `success-rate`.
            model: KIE's id of the model.
            now: The time, in seconds since 1970.
        """
        if not (offer := self._listed_offers().get(model)):
            return None
        match of:
            case "schema":
                schema = self.extra_schemas.get(model, offer.input_schema)
                return {"model": model, "openapi": _build_openapi(offer, schema) if schema else None}
            case "price":
                return {"model": model, "pricingDesc": self._price(offer)}
            case "success-rate":
                return {"model": model, "points": list(_success_points(now, self.success_rates.get(model, 100.0)))}
            case _:
                return None

    def _listed_offers(self) -> dict[str, Offer]:
        built_in = {offer.id: offer for offer in reversed(OFFERS[JOBS.create]) if self.legacy or not offer.model.legacy}
        return {id_: offer for id_, offer in (built_in | self.extra_models).items() if id_ not in self.removed}

    def _build_entry(self, offer: Offer) -> Json:
        return {
            "model": offer.id,
            "slug": offer.id,
            "title": offer.id.replace("/", " ").replace("-", " ").title(),
            "provider": offer.model.__module__.rpartition(".")[2].replace("_", " ").title(),
            "taskType": [offer.model.task_type.replace("-", " ").title().replace(" To ", " to ")],
            "description": offer.model.__doc__,
            "pricingDesc": self._price(offer),
        }

    def _price(self, offer: Offer) -> str | None:
        rates = str(offer.model.price).split("; ") if offer.model.price.rates else []
        known = "; ".join(rate.replace(" ", " credits ", 1) for rate in rates) or None
        return self.prices.get(offer.id, known)


def _success_points(now: float, rate: float) -> Iterable[Json]:
    """Yield a JSON object with the success rate for each ten minutes of the last day; `rate` is in per cent."""
    last = int(now) // BUCKET_SECONDS * BUCKET_SECONDS
    for start in range(last - DAY_SECONDS, last, BUCKET_SECONDS):
        span = {"start": to_iso(start), "end": to_iso(start + BUCKET_SECONDS)}
        yield {**span, "successRate": rate, "errorRate": 100.0 - rate, "isNormal": rate > 50}


def _build_openapi(offer: Offer, schema: Json) -> Json:
    """Build an OpenAPI document like the one that KIE publishes for a model; it contains the input's JSON Schema."""
    body = {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string", "enum": [offer.id], "default": offer.id},
            "callBackUrl": {"type": "string", "format": "uri"},
            "input": schema,
        },
    }
    operation = {
        "summary": offer.id,
        "operationId": offer.id.replace("/", "-"),
        "parameters": [],
        "requestBody": {"content": {"application/json": {"schema": body}}, "required": True},
        "responses": {"200": {"description": "The task was accepted."}},
        "security": [{"BearerAuth": []}],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": offer.id, "description": offer.model.__doc__, "version": "1.0.0"},
        "paths": {JOBS.create: {"post": operation}},
        "components": {"securitySchemes": {"BearerAuth": {"type": "http", "scheme": "bearer"}}},
        "servers": [{"url": "https://api.kie.ai"}],
        "security": [{"BearerAuth": []}],
    }
