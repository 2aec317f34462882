"""Before a paid call, check which share of the model's tasks at KIE succeeded in the last hour.

If a model's last known success rate is at least MIN_SUCCESS_RATE, the create request is sent at once, and the rate is
read again in the background. If it is lower, the server asks KIE for the current rate before it refuses the model.
"""

import math
from collections.abc import Iterator
from contextlib import suppress

import anyio

from kie_mcp.catalog import search
from kie_mcp.catalog.credits import format_credits
from kie_mcp.catalog.model import KieModel
from kie_mcp.errors import ApiError, KieMcpError
from kie_mcp.kie.discovery import Discovery
from kie_mcp.kie.routes import listed_ids

HEALTH_TIMEOUT_SECONDS = 5
"""Maximum seconds that a tool call waits for KIE's success rates."""
MIN_SUCCESS_RATE = 0.5
"""Success rate in the last hour, from 0 to 1, below which a model is run only if the call has `anyway: true`."""
MAX_PRICE_FACTOR = 3
"""Maximum price ratio of a model and its substitute: the substitute may cost 1/3 to 3 times as much."""


class Unhealthy(KieMcpError):
    """The model failed more often than it succeeded in the last hour; no create request was sent."""

    category = "unhealthy"


async def refresh(discovery: Discovery, model: type[KieModel]) -> None:
    """Read a model's success rate from KIE for the next call, unless the rate was read in the last minutes."""
    if ids := sorted(listed_ids(model)):
        with suppress(ApiError):
            await discovery.read_success_rate(ids[0])


async def check_health(
    discovery: Discovery, model: type[KieModel], *, timeout_seconds: float = HEALTH_TIMEOUT_SECONDS
) -> None:
    """Raise an error if a model failed more often than it succeeded in the last hour; if this is unknown, do nothing.

    The current success rate is read from KIE only if the last known rate is low. If KIE does not answer within the
    timeout, no error is raised.

    Args:
        discovery: Reads KIE's list of models and their success rates.
        model: The model that the call would run.
        timeout_seconds: Maximum seconds to wait for KIE's success rates.

    Raises:
        Unhealthy: When the model fails too often. The error's `next_step` names a substitute if one was found.
    """
    ids = sorted(listed_ids(model))
    known = await discovery.recall_success_rate(ids[0]) if ids else None
    if not known or _is_healthy(known.rate):
        return
    rate, substitute = None, ""
    # The timeout is for all requests together: KIE accepts only one request for success rates a second, and the search
    # for a substitute may need several.
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
    """Return a sentence that names a substitute: a healthy built-in model of the same mode with the nearest price.

    The sentence is empty if no such model is found.
    """
    offered, ids = await discovery.read_models(), listed_ids(model).keys()
    similar = sorted(_similar_models(model), key=lambda found: found[0])
    for _, entry in similar:
        others = sorted(listed_ids(entry.model).keys() & offered.keys() - ids)
        if others and _is_healthy(await discovery.read_success_rate(others[0])):
            price = entry.model.default_estimate()
            cost = "unknown credits" if price.low is None else format_credits(price.low, price.high)
            return f"Take {entry.model.id} instead ({entry.family.tool}, about {cost}). "
    return ""


def _similar_models(model: type[KieModel]) -> Iterator[tuple[float, search.Entry]]:
    """Yield all other models of the same mode, each with its price ratio: the higher price divided by the lower one.

    Legacy models and models whose ratio is above `MAX_PRICE_FACTOR` are left out. If the price of one of the two models
    is unknown or depends on a file, the model is yielded with an infinite ratio.
    """
    cost = _usual_cost(model)
    for entry in search.list_entries():
        if entry.model.task_type == model.task_type and entry.model is not model and not entry.model.legacy:
            price = _usual_cost(entry.model)
            factor = max(cost / price, price / cost) if cost and price else math.inf
            if factor <= MAX_PRICE_FACTOR or not cost or not price:
                yield factor, entry


def _usual_cost(model: type[KieModel]) -> float | None:
    """Return the lowest price, in credits, of a call with default arguments.

    Return None if the price depends on the length of a file, because this length is unknown here.
    """
    estimate = model.default_estimate()
    return None if estimate.assumed else estimate.low


def _is_healthy(rate: float | None) -> bool:
    return rate is None or rate >= MIN_SUCCESS_RATE
