"""KIE's discovery API: which models there are, what they take and what they cost."""

from collections.abc import Iterable
from typing import Any, get_args

from pydantic.fields import FieldInfo

from kie_mcp.catalog.fields import AsText, InList
from kie_mcp.catalog.model import plain_schema
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.offers import OFFERS, Offer
from kie_mcp.sandbox.task import iso

Json = dict[str, Any]

BUCKET_SECONDS = 600
DAY_SECONDS = 24 * 60 * 60


def models(*, legacy: bool, task_types: Iterable[str] = (), provider: str = "", words: str = "") -> Json:
    """The models that answer to every filter given."""
    wanted = {each.casefold() for each in task_types if each}
    listed = [
        entry
        for entry in map(_entry, _offered(legacy=legacy).values())
        if (not wanted or wanted & {each.casefold() for each in entry["taskType"]})
        and provider.casefold() in ("", entry["provider"].casefold())
        and words.casefold() in f"{entry['model']} {entry['title']}".casefold()
    ]
    return {"total": len(listed), "models": listed}


def detail(of: str, model: str, now: float, *, legacy: bool) -> Json | None:
    """What one of the three detail reads answers; None for a model that is not there.

    Args:
        of: `schema`, `price` or `success-rate`.
        model: KIE's id.
        now: Seconds since 1970.
        legacy: Whether models that KIE documents no more are there.
    """
    if not (offer := _offered(legacy=legacy).get(model)):
        return None
    match of:
        case "schema":
            return {"model": model, "openapi": _openapi(offer)}
        case "price":
            return {"model": model, "pricingDesc": _price(offer)}
        case _:
            return {"model": model, "points": list(_points(now))}


def _offered(*, legacy: bool) -> dict[str, Offer]:
    return {offer.id: offer for offer in reversed(OFFERS[JOBS.create]) if legacy or not offer.model.legacy}


def _entry(offer: Offer) -> Json:
    return {
        "model": offer.id,
        "slug": offer.id,
        "title": offer.id.replace("/", " ").replace("-", " ").title(),
        "provider": offer.model.__module__.rpartition(".")[2].replace("_", " ").title(),
        "taskType": [offer.model.does.replace("-", " ").title().replace(" To ", " to ")],
        "description": offer.model.__doc__,
        "pricingDesc": _price(offer),
    }


def _price(offer: Offer) -> str | None:
    return str(offer.model.price) if offer.model.price.rates else None


def _points(now: float) -> Iterable[Json]:
    last = int(now) // BUCKET_SECONDS * BUCKET_SECONDS
    for start in range(last - DAY_SECONDS, last, BUCKET_SECONDS):
        span = {"start": iso(start), "end": iso(start + BUCKET_SECONDS)}
        yield {**span, "successRate": 100.0, "errorRate": 0.0, "isNormal": True}


def _openapi(offer: Offer) -> Json:
    body = {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string", "enum": [offer.id], "default": offer.id},
            "callBackUrl": {"type": "string", "format": "uri"},
            "input": _input(offer),
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


def _input(offer: Offer) -> Json:
    schemas = plain_schema(offer.model)["properties"]
    fields = offer.model.model_fields
    properties = {wire: _on_the_wire(fields[name], schemas[name]) for wire, name in offer.names.items()}
    return {"type": "object", "properties": properties, "required": sorted(offer.required)}


def _on_the_wire(field: FieldInfo, schema: Json) -> Json:
    if _is(field, AsText):
        # The limits of a number say nothing about a text.
        schema = {key: value for key, value in schema.items() if key not in ("minimum", "maximum")}
        texts: Json = {key: _as_text(schema[key]) for key in ("enum", "default") if key in schema}
        return {**schema, **texts, "type": "string"}
    if _is(field, InList):
        return {"type": "array", "items": schema, "maxItems": 1}
    return schema


def _as_text(value: Any) -> Any:
    return [str(each) for each in value] if isinstance(value, list) else str(value)


def _is(field: FieldInfo, kind: Any) -> bool:
    nested = (each for inner in get_args(field.annotation) for each in getattr(inner, "__metadata__", ()))
    return kind in (*field.metadata, *nested)
