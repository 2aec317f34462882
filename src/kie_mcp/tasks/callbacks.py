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
        return f"{self.url.rstrip('/')}{PATH}/{id_}/{self._derive_token(id_)}" if self.secret else self.url

    def is_address(self, id_: str, token: str) -> bool:
        """Return whether the last two parts of a path belong to the URL of a task."""
        return self.are_received and hmac.compare_digest(self._derive_token(id_).encode(), token.encode())

    def _derive_token(self, id_: str) -> str:
        return urlsafe_b64encode(hmac.digest(self.secret, id_.encode(), hashlib.sha256)).decode().rstrip("=")
