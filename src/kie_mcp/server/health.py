"""Health check before a paid call: the success rate of the model in the last hour."""

import math
from collections.abc import Iterator
from contextlib import suppress

import anyio

from kie_mcp.catalog import search
from kie_mcp.catalog.model import KieModel
from kie_mcp.errors import ApiError, KieMcpError
from kie_mcp.kie.discovery import Discovery
from kie_mcp.kie.routes import listed_ids

HEALTH_TIMEOUT_SECONDS = 5
"""Seconds that a call waits for KIE's figures of its model's health."""
MIN_SUCCESS_RATE = 0.5
"""The success rate of the last hour below which a call is refused, unless it has `anyway: true`."""
MAX_PRICE_FACTOR = 3
"""A substitute may cost up to this many times more or less than the model."""


class Unhealthy(KieMcpError):
    """The model fails more often than it succeeds just now; nothing was sent."""

    category = "unhealthy"


async def check_health(
    discovery: Discovery, model: type[KieModel], *, timeout_seconds: float = HEALTH_TIMEOUT_SECONDS
) -> None:
    """Refuse to spend on a model that fails more often than it succeeds just now.

    Args:
        discovery: Where KIE's success rates are read.
        model: The model that the call would run.
        timeout_seconds: Seconds that this may take.

    Raises:
        Unhealthy: When the model fails too often; the next step names a substitute. When KIE cannot be asked within
            the timeout, nothing is refused.
    """
    ids = sorted(listed_ids(model))
    if not ids:
        return
    rate, substitute = None, ""
    # KIE is asked for one figure a second, and the paid call should not wait long for advice.
    with anyio.move_on_after(timeout_seconds), suppress(ApiError):
        rate = await discovery.read_success_rate(ids[0])
        if not _is_healthy(rate):
            substitute = await _suggest_substitute(discovery, model)
    if rate is None or _is_healthy(rate):
        return
    raise Unhealthy(
        f"{model.id} succeeded in {rate:.0%} of its tasks in the last hour, so it was not started.",
        f"{substitute}To run it all the same, repeat the call with anyway: true.",
    )


async def _suggest_substitute(discovery: Discovery, model: type[KieModel]) -> str:
    """Name the healthy built-in model of the same mode whose price is nearest, in a sentence; empty without one."""
    offered, ids = await discovery.read_models(), listed_ids(model).keys()
    similar = sorted(_similar_models(model), key=lambda found: found[0])
    for _, entry in similar:
        others = sorted(listed_ids(entry.model).keys() & offered.keys() - ids)
        if others and _is_healthy(await discovery.read_success_rate(others[0])):
            price = entry.model.default_estimate()
            return f"Take {entry.model.id} instead ({entry.family.tool}, about {price} credits). "
    return ""


def _similar_models(model: type[KieModel]) -> Iterator[tuple[float, search.Entry]]:
    """Yield the models of the same mode with their price factor: at most `MAX_PRICE_FACTOR`, or infinite if unknown."""
    cost = model.default_estimate().low
    for entry in search.ENTRIES:
        if entry.model.does == model.does and entry.model is not model and not entry.model.legacy:
            price = entry.model.default_estimate().low
            factor = max(cost / price, price / cost) if cost and price else math.inf
            if factor <= MAX_PRICE_FACTOR or not cost or not price:
                yield factor, entry


def _is_healthy(rate: float | None) -> bool:
    return rate is None or rate >= MIN_SUCCESS_RATE
