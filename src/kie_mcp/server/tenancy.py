"""What the app of one tenant needs to know of the others, of which its callers see nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kie_mcp.ledger.ledger import Ledger


@dataclass(frozen=True)
class Tenancy:
    """The place of one tenant among others."""

    name: str
    """Name of the tenant."""
    session: str
    """Id of this process in the tenant's ledger; it stays the same when the tenant's app is closed and opened again."""
    shares_account: bool
    """Whether the tenant uses the operator's KIE key, as others may."""
    open_ledger: "Callable[[], Awaitable[Ledger]]"
    """Opens the tenant's ledger."""
    open_common_ledger: "Callable[[], Awaitable[Ledger]]"
    """Returns the ledger that all tenants have in common; the first call opens it."""
