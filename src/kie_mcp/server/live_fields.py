"""Fields that KIE has added to a built-in model, or dropped, since the model's class was written."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import anyio

from kie_mcp.catalog.dynamic_model import DynamicModel
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.published_schema import Schema, UnusableSchema, merge_alternatives
from kie_mcp.errors import KieMcpError
from kie_mcp.kie.drift import schema_differences
from kie_mcp.kie.routes import listed_ids, wire_name
from kie_mcp.server import formatting
from kie_mcp.tasks.order import Order

if TYPE_CHECKING:
    from kie_mcp.server.app import App

LIVE_TIMEOUT_SECONDS = 5
"""Maximum seconds that a call waits for KIE's price text or schema of the call's model."""
LONGEST_CHANGES = 200
"""Maximum characters of the text `live_changes` in the description of a model."""


class LiveFields(NamedTuple):
    """Fields that a built-in model does not have, but KIE's schema of the model does."""

    schema: Schema
    """KIE's schema of the model's input."""
    route: str
    """Id of the route that takes these fields."""


async def find_live_fields(
    app: "App", model: type[KieModel], names: Iterable[str], route: str = ""
) -> LiveFields | None:
    """Look for fields in KIE's schema of a built-in model; return None if one is missing or the schema is unknown.

    Args:
        app: The running server.
        model: The model.
        names: KIE's names of the fields.
        route: Id of the route that the call names; empty for any.
    """
    listed = listed_ids(model).items()
    id_, way = next(((id_, way) for id_, way in listed if route in ("", way)), ("", ""))
    schema = None
    with suppress(KieMcpError, UnusableSchema):
        if id_:
            discovery = await app.discovery()
            with anyio.move_on_after(LIVE_TIMEOUT_SECONDS) as timeout:
                schema = await discovery.read_schema(id_)
            if timeout.cancelled_caught:
                schema = await discovery.recall_schema(id_)
    known = merge_alternatives(schema).get("properties", {}) if schema else {}
    return LiveFields(schema, way) if schema and all(name in known for name in names) else None


async def add_dropped_note(app: "App", order: Order) -> Order:
    """Return the order with a note on fields of the call that KIE's last known schema no longer has.

    KIE is not asked: the schema is from the cache or from the snapshot.
    """
    model, way = type(order.call), order.route or order.call.ways()[0]
    kind, _, other_id = way.partition(":")
    if kind != "jobs" or issubclass(model, DynamicModel):
        return order
    schema = await (await app.discovery()).recall_schema(other_id or order.call.id)
    if not schema:
        return order
    known = merge_alternatives(schema).get("properties", {})
    given = {name: model.model_fields[name] for name in order.call.model_fields_set - model.folded}
    dropped = [name for name, field in given.items() if wire_name(field.serialization_alias or name, way) not in known]
    if not dropped:
        return order
    return replace(order, notes=(*order.notes, f"KIE's schema no longer has {', '.join(sorted(dropped))}."))


async def describe_changes(app: "App", model: type[KieModel], way: str) -> dict[str, str]:
    """Return the differences between a built-in model and KIE's schema of today, as the field `live_changes`.

    The result is empty when there are no differences, or when KIE does not answer.
    """
    changes: list[str] = []
    for id_, route in listed_ids(model).items():
        if way in ("", route):
            with suppress(KieMcpError, UnusableSchema), anyio.move_on_after(LIVE_TIMEOUT_SECONDS):
                if schema := await (await app.discovery()).read_schema(id_):
                    changes += schema_differences(model, route, schema)
    return {"live_changes": formatting.shorten("; ".join(changes), LONGEST_CHANGES)} if changes else {}
