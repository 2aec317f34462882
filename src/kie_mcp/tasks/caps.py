"""The spending caps of a task, a day and a session, and the operator's other rules."""

from dataclasses import dataclass, field

from kie_mcp.catalog.credits import format_number
from kie_mcp.errors import CapReached
from kie_mcp.ledger.ledger import Spent
from kie_mcp.ledger.task import Task


@dataclass(frozen=True, slots=True)
class Caps:
    """The spending caps in credits; None means no cap."""

    task: float | None = None
    day: float | None = None
    session: float | None = None

    def check(self, task: Task, spent: Spent) -> None:
        """Raise an error when a task's reservation exceeds a cap.

        Args:
            task: The task to check.
            spent: Credits that earlier tasks of the day and of the session were charged or have reserved.

        Raises:
            CapReached: When the reservation exceeds a cap; the message names the cap and the credits left.
        """
        if self.task is not None and task.reserved > self.task:
            raise CapReached(
                f"{task.cost}, and KIE_MCP_MAX_CREDITS_PER_TASK is {format_number(self.task)}.",
                "Choose a cheaper model or smaller arguments, or have the user raise the cap.",
            )
        for used, cap, of in ((spent.day, self.day, "day"), (spent.session, self.session, "session")):
            if cap is not None and used + task.reserved > cap:
                raise CapReached(
                    f"{task.cost}, and {format_number(max(cap - used, 0))} of the {format_number(cap)} credits a {of} "
                    f"are left (KIE_MCP_MAX_CREDITS_PER_{of.upper()}; tasks under way count).",
                    "Tell the user: only they can raise the cap. spend_report shows what was spent.",
                )


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's rules on spending and repeated calls."""

    caps: Caps = field(default_factory=Caps)
    confirm_above: float = float("inf")
    """A person has to confirm every task whose reservation is higher than this number of credits."""
    repeat_window: float = 600
    """Seconds for which an equal call counts as repeated, or longer while the first call's task runs; 0 means never."""
