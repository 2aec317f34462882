"""The common ledger of all tenants: it has their reservations and leases, the rate limits, and the stored KIE keys."""

from kie_mcp.config import Settings
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.server.opening import Opening


class CommonLedger:
    """Opens the common ledger at the first call of `open()`, and keeps it open until `close()`."""

    def __init__(self, settings: Settings) -> None:
        """Store the settings, which say where the ledger is."""
        self._settings = settings
        self._opening = Opening()
        self._opened: Ledger | None = None

    async def open(self) -> Ledger:
        """Return the ledger; the first call opens it.

        Raises:
            ConfigurationError: When the ledger cannot be opened.
        """
        async with self._opening.attempt():
            if not self._opened:
                settings = self._settings
                place, url, schema = settings.state_dir, settings.ledger_url, settings.ledger_schema
                self._opened = await Ledger.open(place, url=url, schema=schema)
            return self._opened

    async def close(self) -> None:
        """Close the ledger if it is open."""
        if self._opened:
            await self._opened.close()
            self._opened = None
