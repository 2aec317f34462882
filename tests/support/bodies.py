"""What calls send, without a KIE to send it to."""

from typing import Any

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Ref, Track
from kie_mcp.kie import routes


def resolve(ref: Ref) -> str:
    """Where a file is, what KIE calls task t_1, and the second song of it."""
    return "audio-2" if isinstance(ref, Track) else {"t_1": "kie-1"}.get(ref, f"https://files.example/{ref}")


def body(family: Family, arguments: dict[str, Any], way: int = 0) -> dict[str, Any]:
    """The body by one of the call's ways, the first by default."""
    call = family.parse(arguments)
    return routes.body(call, call.ways()[way], resolve)
