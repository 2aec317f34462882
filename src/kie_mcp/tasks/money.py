"""Money: the quote of a call, its reservation, and the spending caps of a task, a day and a session."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import AS_OF, Estimate
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.errors import CapReached
from kie_mcp.ledger.ledger import Spent
from kie_mcp.ledger.task import Task

LIVE_PRICE = re.compile(
    r"(?P<credits>\d[\d,]*(?:\.\d+)?) *credits?\b(?: *\([^)]*\))?(?: *(?:/|per\b|an?\b|for\b|every\b) *(?P<unit>\w+))?",
    re.IGNORECASE,
)
"""A price in KIE's words: `10 credits/s`, `1,200 credits ($6) per video`."""
SECOND_UNITS = {"s", "sec", "second"}
PICTURE_UNITS = {"image", "picture"}
COUNT_FIELDS = ("count", "num_images", "max_images")
"""Fields that hold the number of pictures a call makes."""
WHOLE_UNITS = {"", "video", "clip", "song", "task", "call", "request", "generation", "time"}
"""Units of which a call buys one."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote: what a call is likely to cost, in credits."""

    estimate: Estimate
    basis: str
    """Where the estimate comes from, in words."""
    reserve: float
    """Credits to reserve, which caps and confirmations count with; the highest similar price where none is known."""

    @property
    def known(self) -> tuple[float, float] | None:
        """Lowest and highest credits; None where they are unknown."""
        low, high = self.estimate.low, self.estimate.high
        return None if low is None or high is None else (low, high)

    def __str__(self) -> str:
        if self.known:
            return f"about {self.estimate} credits ({self.basis})"
        return f"an unknown number of credits, for caps counted as {self.reserve:,.10g} ({self.basis})"


def quote(call: KieModel, charges: Sequence[float], live_price: str = "") -> Quote:
    """Quote a call: earlier charges count before the price list, and the price list before KIE's live price.

    Args:
        call: The call.
        charges: Credits per unit that the last calls with the same price key were charged.
        live_price: The price in KIE's words.
    """
    if charges:
        _, units = call.tariff()
        figure = round(median(charges) * units, 2)
        basis = f"median of your last {len(charges)}" if len(charges) > 1 else "what the last one was charged"
        return Quote(Estimate(figure, figure), basis, figure)
    for estimate, basis in (
        (call.estimate(), f"price list {AS_OF}"),
        (_parse_live_price(call, live_price), "live price"),
    ):
        if estimate.high is not None:
            return Quote(estimate, basis, estimate.high)
    return Quote(Estimate(None, None), "KIE publishes no figure", highest_similar_estimate(call))


def highest_similar_estimate(call: KieModel) -> float:
    """Return the highest estimate among the models of the same tool, in credits; else among those of the same kind."""
    family = next((family.models for family in FAMILIES if type(call) in family.models), ())
    alike = (model for model in MODELS.values() if model.kind == call.kind)
    return _highest_estimate(family) or _highest_estimate(alike)


def _highest_estimate(models: Iterable[type[KieModel]]) -> float:
    return max((model.default_estimate().high or 0 for model in models), default=0)


def _parse_live_price(call: KieModel, words: str) -> Estimate:
    """Parse KIE's live price; the estimate is unknown unless each of its units can be counted."""
    figures = [
        round(float(found["credits"].replace(",", "")) * _count_units(call, (found["unit"] or "").lower()), 2)
        for found in LIVE_PRICE.finditer(words)
    ]
    if not figures or any(map(math.isnan, figures)):
        return Estimate(None, None)
    return Estimate(min(figures), max(figures))


def _count_units(call: KieModel, unit: str) -> float:
    """Count the units that a call buys; NaN where the call does not tell."""
    one = unit.removesuffix("s")
    if one in SECOND_UNITS or unit in SECOND_UNITS:
        return _positive_number(getattr(call, "duration", None))
    if one in PICTURE_UNITS:
        return next(
            (_positive_number(value) for name in COUNT_FIELDS if (value := getattr(call, name, None)) is not None), 1
        )
    return 1 if one in WHOLE_UNITS else math.nan


def _positive_number(value: object) -> float:
    try:
        figure = float(str(value))
    except ValueError:
        return math.nan
    # -1 lets KIE choose.
    return figure if figure > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Caps:
    """The spending caps in credits; None is no cap."""

    task: float | None = None
    day: float | None = None
    session: float | None = None

    def check(self, task: Task, spent: Spent) -> None:
        """Raise when a task's reservation exceeds a cap.

        Args:
            task: The task.
            spent: Credits that were charged or are reserved already.

        Raises:
            CapReached: With the cap, and how much of it is left.
        """
        if self.task is not None and task.reserved > self.task:
            raise CapReached(
                f"{task.cost}, and KIE_MCP_MAX_CREDITS_PER_TASK is {self.task:,.10g}.",
                "Choose a cheaper model or smaller arguments, or have the user raise the cap.",
            )
        for used, cap, of in ((spent.day, self.day, "day"), (spent.session, self.session, "session")):
            if cap is not None and used + task.reserved > cap:
                raise CapReached(
                    f"{task.cost}, and {max(cap - used, 0):,.10g} of the {cap:,.10g} credits a {of} are left "
                    f"(KIE_MCP_MAX_CREDITS_PER_{of.upper()}; tasks under way count).",
                    "Tell the user: only they can raise the cap. spend_report shows what was spent.",
                )


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's rules on spending and repeated calls."""

    caps: Caps = field(default_factory=Caps)
    confirm_above: float = float("inf")
    """Reserved credits of one task above which a person has to confirm it."""
    repeat_window: float = 600
    """Seconds after a call in which an equal call is a repeated one, or longer while its task runs; 0: never."""


def combine_tasks(tasks: Sequence[Task]) -> Task:
    """Return one task that stands for several ones where their cost is checked; it is never run."""
    first, *_ = tasks
    reserved = sum(task.reserved for task in tasks)
    return replace(
        first,
        model=" and ".join(task.model for task in tasks),
        estimate=(reserved, reserved),
        basis="together" if len(tasks) > 1 else first.basis,
        reserved=reserved,
        idempotency_key=" ".join(sorted(task.idempotency_key for task in tasks)),
    )
