"""KIE's discovery API: which models there are, what they take and what they cost."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kie_mcp.catalog import dynamic_model
from kie_mcp.catalog.fields import Kind
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.offers import OFFERS, Offer
from kie_mcp.sandbox.task import iso

Json = dict[str, Any]

BUCKET_SECONDS = 600
DAY_SECONDS = 24 * 60 * 60


@dataclass
class Discovery:
    """What the sandbox says it offers; a test may add models, drop some, and let some fail."""

    legacy: bool = False
    """Whether models that KIE documents no more are there."""
    strangers: dict[str, Offer] = field(default_factory=dict)
    """Models that the catalogue does not have, by id."""
    schemas: dict[str, Json | None] = field(default_factory=dict)
    """Their schemas, as they were given."""
    dropped: set[str] = field(default_factory=set)
    """Models that are not there any more."""
    success: dict[str, float] = field(default_factory=dict)
    """How many per cent of a model's tasks succeed, where it is not all."""
    prices: dict[str, str] = field(default_factory=dict)
    """What a model costs in KIE's words, where it is not what the catalogue knows."""

    def add(self, id_: str, schema: Json | None, *, kind: Kind = "image", does: str = "text-to-image") -> None:
        """Offer a model that the catalogue does not have; without a schema, as KIE does with some."""
        model = (
            dynamic_model.model_from_schema(id_, schema, kind=kind, does=does)
            if schema
            else dynamic_model.unchecked_model(id_, kind=kind, does=does)
        )
        self.strangers[id_] = Offer(model, "jobs")
        self.schemas[id_] = schema

    def stranger(self, path: str, body: Json) -> list[Offer]:
        """The model that a request asks for, if the catalogue does not have it."""
        offer = self.strangers.get(str(body.get("model"))) if path == JOBS.create else None
        return [offer] if offer else []

    def models(self, *, task_types: Iterable[str] = (), provider: str = "", words: str = "") -> Json:
        """The models that answer to every filter given."""
        wanted = {each.casefold() for each in task_types if each}
        listed = [
            entry
            for entry in map(self._entry, self._offered().values())
            if (not wanted or wanted & {each.casefold() for each in entry["taskType"]})
            and provider.casefold() in ("", entry["provider"].casefold())
            and words.casefold() in f"{entry['model']} {entry['title']}".casefold()
        ]
        return {"total": len(listed), "models": listed}

    def detail(self, of: str, model: str, now: float) -> Json | None:
        """What one of the three detail reads answers; None for a model that is not there.

        Args:
            of: `schema`, `price` or `success-rate`.
            model: KIE's id.
            now: Seconds since 1970.
        """
        if not (offer := self._offered().get(model)):
            return None
        match of:
            case "schema":
                schema = self.schemas.get(model, offer.input_schema)
                return {"model": model, "openapi": _openapi(offer, schema) if schema else None}
            case "price":
                return {"model": model, "pricingDesc": self._price(offer)}
            case "success-rate":
                return {"model": model, "points": list(_points(now, self.success.get(model, 100.0)))}
            case _:
                return None

    def _offered(self) -> dict[str, Offer]:
        built_in = {offer.id: offer for offer in reversed(OFFERS[JOBS.create]) if self.legacy or not offer.model.legacy}
        return {id_: offer for id_, offer in (built_in | self.strangers).items() if id_ not in self.dropped}

    def _entry(self, offer: Offer) -> Json:
        return {
            "model": offer.id,
            "slug": offer.id,
            "title": offer.id.replace("/", " ").replace("-", " ").title(),
            "provider": offer.model.__module__.rpartition(".")[2].replace("_", " ").title(),
            "taskType": [offer.model.does.replace("-", " ").title().replace(" To ", " to ")],
            "description": offer.model.__doc__,
            "pricingDesc": self._price(offer),
        }

    def _price(self, offer: Offer) -> str | None:
        known = str(offer.model.price) if offer.model.price.rates else None
        return self.prices.get(offer.id, known)


def _points(now: float, rate: float) -> Iterable[Json]:
    last = int(now) // BUCKET_SECONDS * BUCKET_SECONDS
    for start in range(last - DAY_SECONDS, last, BUCKET_SECONDS):
        span = {"start": iso(start), "end": iso(start + BUCKET_SECONDS)}
        yield {**span, "successRate": rate, "errorRate": 100.0 - rate, "isNormal": rate > 50}


def _openapi(offer: Offer, schema: Json) -> Json:
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
