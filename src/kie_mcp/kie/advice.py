"""Next steps outside of this server: on KIE's web pages, or in the files and settings of the sandbox."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """What the owner of an account can do about the usual problems with tasks, credits and the key."""

    task_list: str
    """The place that shows all tasks with their ids."""
    top_up: str
    """How to get more credits."""
    change_key: str
    """What to do about a key that is refused."""

    @property
    def check_task(self) -> str:
        """What to do about a task that may have been made and billed."""
        return f"Do not repeat the call: look at {self.task_list}, then settle it with resolve_task."


KIE = Advice(
    task_list="https://kie.ai/logs",
    top_up="Top up at https://kie.ai/billing",
    change_key="Check KIE_API_KEY, and the key's IP list at https://kie.ai/api-key.",
)
SANDBOX_KEY = "sandbox"
"""The sandbox's key; KIE gives nobody such a key."""
SANDBOX = Advice(
    task_list="the names of the files in sandbox/kie/tasks, in the sandbox's KIE_MCP_DATA_DIR",
    top_up="This is the sandbox: raise KIE_MCP_SANDBOX_CREDITS and start it again",
    change_key=f"This is the sandbox, whose key is {SANDBOX_KEY!r}: set KIE_API_KEY to that.",
)


def find_advice(key: str) -> Advice:
    """Return the advice for the owner of an API key: the sandbox's for the sandbox's key, else KIE's."""
    return SANDBOX if key == SANDBOX_KEY else KIE
