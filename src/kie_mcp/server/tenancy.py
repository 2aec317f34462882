"""Facts that the app of one tenant needs about itself and about the ledger that all tenants share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kie_mcp.kie.rate_limit import ReadLimiters
    from kie_mcp.ledger.ledger import Ledger


@dataclass(frozen=True)
class Tenancy:
    """One of several tenants: its identity, and functions that open its own ledger and the shared ledger."""

    name: str
    """Name of the tenant."""
    session: str
    """Id of this process in the tenant's ledger; it stays the same when the tenant's app is closed and opened again."""
    shares_account: bool
    """Whether the tenant uses the operator's KIE key, which other tenants may use too."""
    has_ledger: "Callable[[], Awaitable[bool]]"
    """Returns whether the tenant has a ledger already."""
    open_ledger: "Callable[[], Awaitable[Ledger]]"
    """Opens the tenant's ledger; creates the ledger if there is none."""
    open_common_ledger: "Callable[[], Awaitable[Ledger]]"
    """Returns the ledger that all tenants share; the first call opens this ledger."""
    open_read_limiters: "Callable[[], Awaitable[ReadLimiters]]"
    """Returns the rate limiters for status reads; all tenants share them, because several may use one KIE account."""
