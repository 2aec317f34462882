"""The caller of one HTTP request: whose tasks the request sees, and whose KIE key pays for them."""

from dataclasses import dataclass

from pydantic import SecretStr

from kie_mcp.tasks.permission import Budget

SCOPE = "kie_mcp.caller"
"""Name of the entry in a request's ASGI scope that contains the `Caller`."""


@dataclass(frozen=True)
class Caller:
    """The sender of one HTTP request."""

    tenant: str
    """Name of the tenant, with the characters a-z, 0-9 and `-`; a caller with an empty name is refused."""
    may_spend: bool = True
    """Whether the caller may make and change things, and so spend credits; if False, the caller may only read."""
    budget: Budget | None = None
    """The caller's own cap for a day; None if the cap in the settings holds."""
    key: SecretStr | None = None
    """The KIE key that pays for this caller's tasks; None if the key in the settings pays."""
    person: str = ""
    """The subject of the caller's account at the OpenID provider; empty if it is unknown."""
