"""Callbacks: the URL that KIE calls when a task has ended, and whether such calls arrive at this server."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

PATH = "/callbacks"
"""Beginning of the URL paths for callbacks."""


@dataclass(slots=True)
class Callbacks:
    """The URLs for KIE's callbacks; if this process receives the callbacks, each task has its own URL."""

    url: str = ""
    """The public URL of this server; empty if KIE should send no callbacks.

    If `secret` is empty, this is instead the URL of another receiver of callbacks, which the operator runs.
    """
    secret: bytes = field(default=b"", repr=False)
    """The secret from which the tasks' URLs are derived; empty if this process receives no callbacks."""
    tenant: str = ""
    """Name of the tenant that owns the tasks; empty if there is only one tenant."""
    arrive: bool = False
    """Whether KIE's callbacks arrive at the moment, so that tasks are polled only rarely.

    The first callback sets the value to True. If a poll finds that a task has ended, and no callback has arrived for
    this task, the value becomes False.
    """

    @property
    def are_received(self) -> bool:
        """Whether this process receives callbacks."""
        return bool(self.secret)

    def find_address(self, id_: str) -> str:
        """Return the callback URL of the task with this ledger id; empty if KIE should send no callback.

        Without the secret, nobody can guess the URL of a task.
        """
        if not self.secret:
            return self.url
        name = f"{self.tenant}.{id_}" if self.tenant else id_
        return f"{self.url.rstrip('/')}{PATH}/{name}/{self._derive_token(name)}"

    def is_address(self, name: str, token: str) -> bool:
        """Return whether the token in a callback's URL path belongs to the name (tenant and task id) in this path."""
        return self.are_received and hmac.compare_digest(self._derive_token(name).encode(), token.encode())

    def _derive_token(self, name: str) -> str:
        return urlsafe_b64encode(hmac.digest(self.secret, name.encode(), hashlib.sha256)).decode().rstrip("=")
