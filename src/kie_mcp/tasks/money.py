"""What a call is likely to cost, what may be spent, and what was."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import AS_OF, Estimate
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.errors import CapReached
from kie_mcp.ledger.records import Spent
from kie_mcp.ledger.task import Task

LIVE = re.compile(
    r"(?P<credits>\d[\d,]*(?:\.\d+)?) *credits?\b(?: *\([^)]*\))?(?: *(?:/|per\b|an?\b|for\b|every\b) *(?P<unit>\w+))?",
    re.IGNORECASE,
)
"""A figure in KIE's words: `10 credits/s`, `1,200 credits ($6) per video`."""
SECOND = {"s", "sec", "second"}
PICTURE = {"image", "picture"}
COUNTS = ("count", "num_images", "max_images")
"""Fields that say how many pictures a call buys."""
WHOLE = {"", "video", "clip", "song", "task", "call", "request", "generation", "time"}
"""What a call buys one of."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a call is likely to cost."""

    estimate: Estimate
    basis: str
    """Where the figure comes from."""
    reserve: float
    """Credits that caps and confirmations count on; where the price is unknown, the highest of the like."""

    @property
    def known(self) -> tuple[float, float] | None:
        """From and to, where that is known."""
        low, high = self.estimate.low, self.estimate.high
        return None if low is None or high is None else (low, high)

    def __str__(self) -> str:
        if self.known:
            return f"about {self.estimate} credits ({self.basis})"
        return f"an unknown number of credits, for caps counted as {self.reserve:,.10g} ({self.basis})"


def quote(call: KieModel, charges: Sequence[float], live_price: str = "") -> Quote:
    """Tell what a call is likely to cost: what was charged before beats KIE's list, and the list KIE's prose.

    Args:
        call: What would be run.
        charges: Credits that the last calls of the same tariff were charged for a unit.
        live_price: KIE's own words on the price.
    """
    if charges:
        _, units = call.tariff()
        figure = round(median(charges) * units, 2)
        basis = f"median of your last {len(charges)}" if len(charges) > 1 else "what the last one was charged"
        return Quote(Estimate(figure, figure), basis, figure)
    for estimate, basis in ((call.estimate(), f"price list {AS_OF}"), (_live(call, live_price), "live price")):
        if estimate.high is not None:
            return Quote(estimate, basis, estimate.high)
    return Quote(Estimate(None, None), "KIE publishes no figure", highest(call))


def highest(call: KieModel) -> float:
    """What the dearest of the models behind the same tool costs; of the same kind, where no price of them is known."""
    family = next((family.models for family in FAMILIES if type(call) in family.models), ())
    alike = (model for model in MODELS.values() if model.kind == call.kind)
    return _dearest(family) or _dearest(alike)


def _dearest(models: Iterable[type[KieModel]]) -> float:
    return max((model.usual_estimate().high or 0 for model in models), default=0)


def _live(call: KieModel, words: str) -> Estimate:
    """The figures in KIE's words, if each of them is of something that can be counted here."""
    figures = [
        round(float(found["credits"].replace(",", "")) * _counted(call, (found["unit"] or "").lower()), 2)
        for found in LIVE.finditer(words)
    ]
    if not figures or any(map(math.isnan, figures)):
        return Estimate(None, None)
    return Estimate(min(figures), max(figures))


def _counted(call: KieModel, unit: str) -> float:
    """How many of a unit the call buys; NaN where nobody can tell."""
    one = unit.removesuffix("s")
    if one in SECOND or unit in SECOND:
        return _number(getattr(call, "duration", None))
    if one in PICTURE:
        return next((_number(told) for name in COUNTS if (told := getattr(call, name, None)) is not None), 1)
    return 1 if one in WHOLE else math.nan


def _number(told: object) -> float:
    try:
        figure = float(str(told))
    except ValueError:
        return math.nan
    # -1 lets KIE choose.
    return figure if figure > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be spent; None is no limit."""

    task: float | None = None
    day: float | None = None
    session: float | None = None

    def check(self, task: Task, spent: Spent) -> None:
        """Refuse a task that would cost too much.

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
    """What the operator allows."""

    caps: Caps = field(default_factory=Caps)
    confirm_above: float = float("inf")
    """Credits of one task above which a person is asked."""
    repeat_window: float = 600
    """Seconds for which the same call again is the same task, or longer while that runs; 0 makes each call another."""


def together(tasks: Sequence[Task]) -> Task:
    """What stands for several tasks where their cost is weighed; it is never run."""
    first, *_ = tasks
    reserved = sum(task.reserved for task in tasks)
    return replace(
        first,
        model=" and ".join(task.model for task in tasks),
        estimate=(reserved, reserved),
        basis="together" if len(tasks) > 1 else first.basis,
        reserved=reserved,
        fingerprint=" ".join(sorted(task.fingerprint for task in tasks)),
    )
