"""The success rate of a model in the last hour, looked at before a paid call."""

import math
from collections.abc import Iterator
from contextlib import suppress

import anyio

from kie_mcp.catalog import search
from kie_mcp.catalog.model import KieModel
from kie_mcp.errors import ApiError, KieMcpError
from kie_mcp.kie.discovery import Discovery
from kie_mcp.kie.routes import listed

PATIENCE = 5
"""Seconds that a call waits for what KIE says of its model's health."""
HEALTHY = 0.5
"""The success rate of the last hour below which a call is not made unasked."""
LIKE_PRICE = 3
"""How many times dearer or cheaper a substitute may be."""


class Unhealthy(KieMcpError):
    """The model fails more often than not just now; nothing was sent."""

    category = "unhealthy"


async def check_health(live: Discovery, model: type[KieModel], *, patience: float = PATIENCE) -> None:
    """Refuse to spend on a model that fails more often than not just now.

    Args:
        live: What KIE tells.
        model: What would be run.
        patience: Seconds that this may take.

    Raises:
        Unhealthy: With a substitute. When KIE does not tell, nothing is refused.
    """
    ids = sorted(listed(model))
    if not ids:
        return
    rate, substitute = None, ""
    # Its figures are read one a second: they are worth no longer wait.
    with anyio.move_on_after(patience), suppress(ApiError):
        rate = await live.success_rate(ids[0])
        if not _works(rate):
            substitute = await _substitute(live, model)
    if rate is None or _works(rate):
        return
    raise Unhealthy(
        f"{model.id} succeeded in {rate:.0%} of its tasks in the last hour, so it was not started.",
        f"{substitute}To run it all the same, repeat the call with anyway: true.",
    )


async def _substitute(live: Discovery, model: type[KieModel]) -> str:
    """Of the built-in models of the same mode and a like price, the nearest in price that KIE offers and that works."""
    offered, ids = await live.models(), listed(model).keys()
    alike = sorted(_alike(model), key=lambda found: found[0])
    for _, entry in alike:
        others = sorted(listed(entry.model).keys() & offered.keys() - ids)
        if others and _works(await live.success_rate(others[0])):
            price = entry.model.usual_estimate()
            return f"Take {entry.model.id} instead ({entry.family.tool}, about {price} credits). "
    return ""


def _alike(model: type[KieModel]) -> Iterator[tuple[float, search.Entry]]:
    """The models of the same mode, with how many times dearer or cheaper they are, where that is known and not much."""
    cost = model.usual_estimate().low
    for entry in search.ENTRIES:
        if entry.model.does == model.does and entry.model is not model and not entry.model.legacy:
            price = entry.model.usual_estimate().low
            factor = max(cost / price, price / cost) if cost and price else math.inf
            if factor <= LIKE_PRICE or not cost or not price:
                yield factor, entry


def _works(rate: float | None) -> bool:
    return rate is None or rate >= HEALTHY
