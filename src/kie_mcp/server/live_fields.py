"""Find fields that KIE has added to a built-in model, or removed from it, since the model's class was written."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from kie_mcp.catalog.dynamic_model import DynamicModel
from kie_mcp.catalog.fields import snake_case
from kie_mcp.catalog.hidden_fields import HIDDEN_FIELDS
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.published_schema import Schema, UnusableSchema, merge_alternatives
from kie_mcp.errors import KieMcpError
from kie_mcp.kie.drift import accepts, schema_differences
from kie_mcp.kie.routes import listed_ids, wire_name
from kie_mcp.tasks.order import Order
from kie_mcp.text import shorten

if TYPE_CHECKING:
    from kie_mcp.server.app import App

LIVE_TIMEOUT_SECONDS = 5
"""Maximum seconds that a tool call waits for an answer from KIE with a model's price text or schema."""
LONGEST_CHANGES = 200
"""Maximum number of characters in the field `live_changes` of the answer of `describe_model`."""


class LiveFields(NamedTuple):
    """KIE's schema of a built-in model; this schema has fields that the model's class does not have."""

    schema: Schema
    """KIE's schema of the model's input."""
    route: str
    """Id of the route whose requests may contain the new fields."""


async def find_live_fields(
    app: "App", model: type[KieModel], names: Iterable[str], route: str = ""
) -> LiveFields | None:
    """Return KIE's schema of a built-in model if this schema has all of the given fields, and they are new.

    A field that the class reads as one of its own, such as `image_url`, is not new: the call has given it twice.

    Args:
        app: The running server.
        model: The class of the built-in model.
        names: KIE's names of the fields.
        route: Id of the only route to consider; empty for any route.

    Returns:
        The schema and the route, or None if the schema is unknown, or one of the fields is not in it or not new.
    """
    listed = listed_ids(model).items()
    id_, route_id = next(((id_, route_id) for id_, route_id in listed if route in ("", route_id)), ("", ""))
    schema = None
    with suppress(KieMcpError, UnusableSchema):
        if id_:
            discovery = await app.discovery()
            with anyio.move_on_after(LIVE_TIMEOUT_SECONDS) as timeout:
                schema = await discovery.read_schema(id_)
            if timeout.cancelled_caught:
                schema = await discovery.recall_schema(id_)
    known = merge_alternatives(schema).get("properties", {}) if schema else {}
    are_new = all(name in known and not accepts(model, name, known[name]) for name in names)
    return LiveFields(schema, route_id) if schema and are_new else None


async def keep_known_hidden(
    app: "App", model: type[KieModel], fields: Mapping[str, Any], route: str = ""
) -> dict[str, Any]:
    """Return those of a call's hidden fields that KIE's schema of the model has; all if the schema is unknown.

    No request is sent to KIE: the schema is from the cache or from the snapshot.

    Args:
        app: The running server.
        model: The class of the built-in model.
        fields: The hidden fields of the call; the keys are KIE's names.
        route: Id of the only route to consider; empty for any route.

    Raises:
        ValueError: When the schema lacks a field that is not just a switch that is off.
    """
    listed = listed_ids(model).items()
    id_ = next((id_ for id_, route_id in listed if route in ("", route_id)), "")
    schema = await (await app.discovery()).recall_schema(id_) if id_ and HIDDEN_FIELDS.keys() & fields.keys() else None
    if not schema:
        return dict(fields)
    known = {
        *map(snake_case, merge_alternatives(schema).get("properties", {})),
        *model.hidden_fields().keys() - HIDDEN_FIELDS.keys(),
    }
    kept = {name: value for name, value in fields.items() if name in known or snake_case(name) in known}
    if lost := [name for name in fields.keys() - kept.keys() if fields[name] is not False]:
        raise ValueError(f"{model.id} does not take {' and '.join(sorted(lost))}")
    return kept


async def add_dropped_note(app: "App", order: Order) -> Order:
    """Return the order; if KIE's schema lacks some of the order's fields, add a note that names these fields.

    No request is sent to KIE: the schema is from the cache or from the snapshot.
    """
    model, route_id = type(order.call), order.route or order.call.route_ids()[0]
    kind, _, other_id = route_id.partition(":")
    if kind != "jobs" or issubclass(model, DynamicModel):
        return order
    schema = await (await app.discovery()).recall_schema(other_id or order.call.id)
    if not schema:
        return order
    known = merge_alternatives(schema).get("properties", {})
    given = {name: model.model_fields[name] for name in order.call.model_fields_set - model.merged_fields}
    known = {*known, *model.unpublished}
    dropped = [
        name for name, field in given.items() if wire_name(field.serialization_alias or name, route_id) not in known
    ]
    if not dropped:
        return order
    return replace(order, notes=(*order.notes, f"KIE's schema no longer has {', '.join(sorted(dropped))}."))


async def describe_changes(app: "App", model: type[KieModel], only_route: str) -> dict[str, str]:
    """Describe how KIE's current schema differs from the class of a built-in model.

    Args:
        app: The running server.
        model: The class of the built-in model.
        only_route: Id of the only route to consider; empty for all routes.

    Returns:
        A dictionary with the key `live_changes`. The dictionary is empty if nothing differs or KIE does not answer.
    """
    changes: list[str] = []
    usable = model.model_construct().route_ids()
    for id_, route in listed_ids(model).items():
        if only_route in ("", route) and route in usable:
            with suppress(KieMcpError, UnusableSchema), anyio.move_on_after(LIVE_TIMEOUT_SECONDS):
                if schema := await (await app.discovery()).read_schema(id_):
                    changes += schema_differences(model, route, schema)
    return {"live_changes": shorten("; ".join(changes), LONGEST_CHANGES)} if changes else {}
