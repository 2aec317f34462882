"""Callbacks: the URL that KIE calls when a task has ended, and whether such calls arrive."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

PATH = "/callbacks"
"""Beginning of the URL paths for callbacks."""


@dataclass(slots=True)
class Callbacks:
    """The URLs for KIE's callbacks; if this process receives them, each task has its own URL."""

    url: str = ""
    """The URL of this server as KIE reaches it; without `secret`, the URL of the operator's own receiver, or empty."""
    secret: bytes = field(default=b"", repr=False)
    """The secret from which the tasks' URLs are derived; empty if this process receives no callbacks."""
    tenant: str = ""
    """Name of the tenant whose tasks these are; empty if there is only one."""
    arrive: bool = False
    """Whether KIE's callbacks arrive at the moment, so that tasks are polled only rarely.

    It becomes true with the first callback, and false when polling notices the end of a task without a callback.
    """

    @property
    def are_received(self) -> bool:
        """Whether this process receives callbacks."""
        return bool(self.secret)

    def find_address(self, id_: str) -> str:
        """Return the URL that KIE is to call for the task with this id of the ledger; empty if there is none.

        Without the secret, nobody can guess the URL of a task.
        """
        if not self.secret:
            return self.url
        name = f"{self.tenant}.{id_}" if self.tenant else id_
        return f"{self.url.rstrip('/')}{PATH}/{name}/{self._derive_token(name)}"

    def is_address(self, name: str, token: str) -> bool:
        """Return whether the last two parts of a path belong to the URL of a task, of any tenant."""
        return self.are_received and hmac.compare_digest(self._derive_token(name).encode(), token.encode())

    def _derive_token(self, name: str) -> str:
        return urlsafe_b64encode(hmac.digest(self.secret, name.encode(), hashlib.sha256)).decode().rstrip("=")
