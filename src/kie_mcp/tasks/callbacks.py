"""Callbacks: the address that KIE calls when a task has ended, and whether KIE's calls arrive."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

PATH = "/callbacks"
"""Beginning of the paths of all tasks' addresses."""


@dataclass(slots=True)
class Callbacks:
    """The addresses for KIE's callbacks: one for each task, if this process receives them."""

    url: str = ""
    """The URL of this server as KIE reaches it; without `secret`, the URL of the operator's own receiver, or empty."""
    secret: bytes = field(default=b"", repr=False)
    """The secret from which the addresses of tasks are derived; empty if this process receives no callbacks."""
    arrive: bool = False
    """Whether KIE's callbacks arrive at the moment, so that tasks are polled only rarely.

    It is true from the first callback on, until polling notices the end of a task of which no callback has told.
    """

    @property
    def are_received(self) -> bool:
        """Whether this process receives callbacks."""
        return bool(self.secret)

    def find_address(self, id_: str) -> str:
        """Return the URL that KIE is to call for the task with this id of the ledger; empty if there is none.

        Nobody who does not know the secret can guess the address of a task.
        """
        return f"{self.url.rstrip('/')}{PATH}/{id_}/{self._derive_token(id_)}" if self.secret else self.url

    def is_address(self, id_: str, token: str) -> bool:
        """Return whether the last two parts of a path are those of the address of a task."""
        return self.are_received and hmac.compare_digest(self._derive_token(id_).encode(), token.encode())

    def _derive_token(self, id_: str) -> str:
        return urlsafe_b64encode(hmac.digest(self.secret, id_.encode(), hashlib.sha256)).decode().rstrip("=")
