"""The request body of a call, built without sending it."""

from typing import Any

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import MadeId, Ref, Track
from kie_mcp.kie import routes


def resolve(ref: Ref) -> str:
    """Return made-up values: a URL for a file, KIE's id for task t_1, its second track's id; made ids are unchanged."""
    if isinstance(ref, MadeId):
        return str(ref)
    return "audio-2" if isinstance(ref, Track) else {"t_1": "kie-1"}.get(ref, f"https://files.example/{ref}")


def body(family: Family, arguments: dict[str, Any], route_index: int = 0) -> dict[str, Any]:
    """Return the body that a call sends on one of its routes, the first by default."""
    call = family.parse(arguments)
    return routes.build_body(call, call.route_ids()[route_index], resolve)
