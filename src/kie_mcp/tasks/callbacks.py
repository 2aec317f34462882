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
    tenant: str = ""
    """Name of the tenant whose tasks these are; empty if there is only one."""
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
        if not self.secret:
            return self.url
        name = f"{self.tenant}.{id_}" if self.tenant else id_
        return f"{self.url.rstrip('/')}{PATH}/{name}/{self._derive_token(name)}"

    def is_address(self, name: str, token: str) -> bool:
        """Return whether the last two parts of a path are those of the address of a task, of any tenant."""
        return self.are_received and hmac.compare_digest(self._derive_token(name).encode(), token.encode())

    def _derive_token(self, name: str) -> str:
        return urlsafe_b64encode(hmac.digest(self.secret, name.encode(), hashlib.sha256)).decode().rstrip("=")
