"""Drift: differences between the built-in models and the schemas that KIE publishes today."""

from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.published_schema import Schema, UnusableSchema, merge_alternatives
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.wire_schema import wire_schema
from kie_mcp.errors import ApiError
from kie_mcp.kie.discovery import Discovery
from kie_mcp.kie.routes import listed_ids, wire_name
from kie_mcp.kie.snapshot import Snapshot
from kie_mcp.text import one_line

LIMITS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")


@dataclass(frozen=True, slots=True)
class ModelDrift:
    """The differences between one built-in model and the schema that KIE publishes for this model."""

    id: str
    """KIE's id of the model."""
    changes: tuple[str, ...] = ()
    """Descriptions of the differences, such as "seed is gone"; empty when there is no difference."""


@cache
def list_built_in() -> dict[str, tuple[type[KieModel], str]]:
    """Return the class and the route id of each built-in model; the key is the model's id in KIE's list.

    If several classes have the same id, the first of them is used.
    """
    models = reversed([*MODELS.values()])
    return {id_: (model, route_id) for model in models for id_, route_id in listed_ids(model).items()}


async def compare_models(published: Discovery | Snapshot, only: Collection[str] = ()) -> AsyncIterator[ModelDrift]:
    """Yield the drift of each model; the models that are new in KIE's list, or gone from it, come first.

    Args:
        published: The source of KIE's schemas: the discovery API, which returns one schema a second, or a snapshot.
        only: KIE's ids of the models to compare; when left out, all models are compared.

    Raises:
        ApiError: When KIE's list of models cannot be read.
    """
    offered = await published.read_models()
    built_in = list_built_in()
    wanted = only or dict.fromkeys([*offered, *built_in])
    for id_ in wanted:
        # `built_in` lacks the models that only a product API runs. So a model is new only if `MODELS` lacks it, too.
        if id_ not in built_in and id_ not in MODELS:
            yield ModelDrift(id_, ("new at KIE" if id_ in offered else "neither at KIE nor built in",))
        elif id_ not in offered and id_ in built_in and not built_in[id_][0].legacy:
            yield ModelDrift(id_, ("gone from KIE's list",))
    for id_ in wanted:
        if id_ in built_in and id_ in offered:
            yield ModelDrift(id_, await _schema_changes(published, id_))


async def _schema_changes(published: Discovery | Snapshot, id_: str) -> tuple[str, ...]:
    try:
        theirs = await published.read_schema(id_)
    except (ApiError, UnusableSchema) as error:
        return (f"its schema cannot be read ({error})",)
    return tuple(map(one_line, schema_differences(*list_built_in()[id_], theirs))) if theirs else ()


def schema_differences(model: type[KieModel], route_id: str, published: Schema) -> Iterator[str]:
    """Yield the differences between a model class and KIE's schema of the model's input, such as "seed is gone"."""
    theirs = {"required": [], **merge_alternatives(published)}
    ours = {wire_name(name, route_id): field for name, field in wire_schema(model)["properties"].items()}
    required = theirs["required"]
    for name, field in theirs["properties"].items():
        if name in ours:
            yield from (f"{name} {change}" for change in _field_changes(ours[name], field))
        elif not field.get("deprecated") and name not in model.hidden_fields() and not accepts(model, name, field):
            yield f"{name} is new{' and required' if name in required else ''}"
            continue
        if name in required and _may_omit(model, route_id, name, theirs):
            yield f"{name} is required"
    for name in sorted(ours.keys() - theirs["properties"].keys() - model.unpublished):
        yield f"{name} is gone"


def accepts(model: type[KieModel], name: str, field: Schema) -> bool:
    """Return whether the class accepts KIE's field under this name and converts it to one of its own fields."""
    return set(model.received({name: _example(field)})) <= model.model_fields.keys()


def _may_omit(model: type[KieModel], route_id: str, name: str, theirs: Schema) -> bool:
    """Return whether the class can send a request without the field `name`, although KIE requires this field.

    The request for this check has all other fields that KIE requires.
    """
    others = [each for each in theirs["required"] if each != name]
    example_call = {each: _example(theirs["properties"].get(each, {})) for each in others}
    try:
        sent = model.model_validate(model.received(example_call)).sent(str)
    except ValueError:
        return False
    return name not in {wire_name(each, route_id) for each in sent}


def _example(field: Schema) -> Any:
    """Return a value that the schema of a field allows."""
    if choices := field.get("enum"):
        return choices[0]
    match field.get("type"):
        case "array":
            return [_example(field.get("items") or {})] * max(field.get("minItems", 1), 1)
        case "object":
            return {name: _example(each) for name, each in (field.get("properties") or {}).items()}
        case "boolean":
            # A switch that is on may need other fields.
            return False
        case "integer" | "number":
            return field.get("minimum", 1)
        case _:
            return "x" * max(field.get("minLength", 1), 1)


def _field_changes(ours: Schema, theirs: Schema) -> Iterator[str]:
    accepted, offered = set(map(str, ours.get("enum", ()))), set(map(str, theirs.get("enum") or ()))
    if offered and accepted and offered != accepted:
        more, less = ", ".join(sorted(offered - accepted)), ", ".join(sorted(accepted - offered))
        yield "; ".join(filter(None, (more and f"also takes {more}", less and f"no longer takes {less}")))
    for limit in LIMITS:
        if isinstance(theirs.get(limit), int | float) and limit in ours and ours[limit] != theirs[limit]:
            yield f"has {limit} {theirs[limit]:g}, not {ours[limit]:g}"
