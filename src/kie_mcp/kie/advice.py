"""Advice for messages: what the user can do on KIE's web pages or, in the sandbox, with files and settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """Texts that tell the owner of an account what to do about problems with tasks, credits and the API key."""

    task_list: str
    """Web page or folder where the owner finds all tasks with their ids."""
    top_up: str
    """Sentence or phrase that says how the owner gets more credits."""
    change_key: str
    """Sentence that tells the owner what to do when KIE refuses the API key."""

    @property
    def check_task(self) -> str:
        """Sentence that tells the owner what to do when it is unknown whether KIE accepted and billed a task."""
        return f"Do not repeat the call: look at {self.task_list}, then settle it with resolve_task."


KIE = Advice(
    task_list="https://kie.ai/logs",
    top_up="Top up at https://kie.ai/billing",
    change_key="Check KIE_API_KEY, and the key's IP list at https://kie.ai/api-key.",
)
KEY_OF_CALLER = "Check the KIE key that you send with each request, and its IP list at https://kie.ai/api-key."
"""Sentence that says what to do when KIE refuses a key that a caller of this server has sent."""
SANDBOX_KEY = "sandbox"
"""The API key of the sandbox; it differs from all keys that KIE gives to users."""
SANDBOX = Advice(
    task_list="the names of the files in sandbox/kie/tasks, in the sandbox's KIE_MCP_DATA_DIR",
    top_up="This is the sandbox: raise KIE_MCP_SANDBOX_CREDITS and start it again",
    change_key=f"This is the sandbox, whose key is {SANDBOX_KEY!r}: set KIE_API_KEY to that.",
)


def find_advice(key: str) -> Advice:
    """Return the advice for the owner of an API key: `SANDBOX` for the sandbox's key, and `KIE` for any other key."""
    return SANDBOX if key == SANDBOX_KEY else KIE
