"""Spending caps (the most credits for a task, a day and a session), and the operator's other rules on spending."""

from dataclasses import dataclass, field, replace

from kie_mcp.catalog.credits import format_credits, format_number
from kie_mcp.errors import CapReached, ConfirmationNeeded
from kie_mcp.ledger.ledger import Spent
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.permission import check_permission, find_budget


@dataclass(frozen=True, slots=True)
class Caps:
    """The most credits that one task, one day and one session may cost; None means no cap."""

    task: float | None = None
    day: float | None = None
    session: float | None = None

    def for_caller(self) -> "Caps":
        """Return the caps of the current request's caller: the budget in the access token replaces the day's cap.

        Raises:
            ConfigurationError: When this budget is not a number.
        """
        budget = find_budget()
        return replace(self, day=budget.credits) if budget else self

    def check(self, task: Task, spent: Spent) -> None:
        """Raise an error if the caller may only read, or if a task's reservation exceeds what is left of a cap.

        Args:
            task: The task to check, with its reservation.
            spent: Credits that the earlier tasks of the day and of the session cost or have reserved.

        Raises:
            NotAllowed: When the caller of the current request may only read.
            ConfigurationError: When the caller's access token has a budget that is not a number.
            CapReached: When the reservation exceeds what is left of a cap; the message names the cap and what is left.
        """
        # Every call that creates something runs this method before anything is sent, so the caller's rights are checked
        # here.
        check_permission()
        day, budget = self.for_caller().day, find_budget()
        if self.task is not None and task.reserved > self.task:
            raise CapReached(
                f"{task.cost}, and KIE_MCP_MAX_CREDITS_PER_TASK is {format_number(self.task)}.",
                "Choose a cheaper model or smaller arguments, or have the user raise the cap.",
            )
        for used, cap, of in ((spent.day, day, "day"), (spent.session, self.session, "session")):
            # The difference is rounded, because sums of credits have rounding errors, such as 46.03 + 22.96 > 68.99.
            if cap is not None and round(used + task.reserved - cap, 6) > 0:
                source, owner = f"KIE_MCP_MAX_CREDITS_PER_{of.upper()}", "they"
                if budget and of == "day":
                    source = f"the claim {budget.claim} in the caller's access token"
                    owner = "the administrator of their accounts"
                raise CapReached(
                    f"{task.cost}, and {describe_left(cap - used, cap, of)} ({source}; tasks under way count).",
                    f"Tell the user: only {owner} can raise the cap. spend_report shows what was spent.",
                )


def describe_left(left: float, cap: float, of: str) -> str:
    """Return a text about the credits that are left of a cap, such as `30 of the 100 credits a day are left`."""
    return f"{format_number(max(left, 0))} of the {format_number(cap)} credits a {of} are left"


def check_cap_of_all(cap: float | None, task: Task, spent: float) -> None:
    """Raise an error if a task's reservation exceeds what is left of the cap of all tenants together.

    Args:
        cap: The most credits that all tenants may spend together in 24 hours; None means no cap.
        task: The task to check, with its reservation.
        spent: Credits that the earlier tasks of all tenants cost or have reserved in these 24 hours.

    Raises:
        CapReached: When too little is left of the cap; the message does not tell what other tenants have spent.
    """
    if cap is not None and round(spent + task.reserved - cap, 6) > 0:
        raise CapReached(
            f"{task.cost}, and all callers of this server together have less than that left for today "
            "(KIE_MCP_MAX_CREDITS_PER_DAY_ALL; tasks under way count).",
            "Tell the user: only the operator of the server can raise the cap. Tomorrow, the same call may work.",
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's rules on spending and repeated calls."""

    caps: Caps = field(default_factory=Caps)
    confirm_above: float = float("inf")
    """Number of credits above which a person has to confirm the cost of a task before the task is created."""
    confirm_hourly: float = 0
    """Limit of credits per hour: a person has to confirm a task that would exceed this limit; 0 means no limit.

    Each task that a person has confirmed resets the counted credits to 0.
    """
    repeat_window: float = 600
    """Seconds in which an equal call returns the task of the first call instead of a new task; 0 means never.

    While the task of the first call still runs, equal calls return this task even after this time.
    """

    def check(self, task: Task, spent: Spent) -> None:
        """Raise an error if a task exceeds a cap, or if a person has to confirm its cost and has not done so.

        Args:
            task: The task to check, with its reservation; `task.confirmed` says whether a person has confirmed it.
            spent: Credits that the earlier tasks cost or have reserved.

        Raises:
            CapReached: When the reservation exceeds what is left of a cap.
            ConfirmationNeeded: When a person has to confirm the cost; the error has no confirmation id yet.
        """
        self.caps.check(task, spent)
        if task.confirmed or not task.reserved:
            return
        before = f" {format_credits(spent.hour)} were spent in the last hour without asking." if spent.hour else ""
        if task.reserved > self.confirm_above:
            raise ConfirmationNeeded(
                f"{task.cost}: so much needs the user's word.{before}",
                setting="KIE_MCP_CONFIRM_ABOVE",
                credits=task.reserved,
            )
        if self.confirm_hourly and spent.hour + task.reserved > self.confirm_hourly:
            raise ConfirmationNeeded(
                f"{task.cost}.{before} Above {format_number(self.confirm_hourly)} in an hour, "
                "the next call needs the user's word.",
                setting="KIE_MCP_CONFIRM_HOURLY",
                credits=task.reserved,
            )
