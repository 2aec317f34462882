"""Probes for load balancers and container platforms: liveness and readiness.

Anybody may send these requests, so an answer only names what does not work, and KIE is rarely asked.
"""

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kie_mcp.errors import KieMcpError
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.server.app import App

CHECK_SECONDS = 3
"""Seconds in which each check has to succeed."""
FRESH_SECONDS = 15
"""Seconds for which KIE's answer to a check counts for later checks, too."""
LEAST_BYTES = 200_000_000
"""Free bytes on a disk below which new results may not be saved."""


class Probes:
    """Answers `/healthz` and `/readyz`."""

    def __init__(self, app: App, open_ledger: Callable[[], Awaitable[Ledger]] | None = None) -> None:
        """Store the parts of the server.

        Args:
            app: The app of the server.
            open_ledger: Gives the ledger that the tenants have in common, if each has a key of its own for KIE, which
                is then not asked; None if there are no tenants.
        """
        self._app = app
        self._open_ledger = open_ledger
        self._asking = anyio.Lock()
        self._asked_at = float("-inf")
        self._answered = False

    def build_routes(self) -> list[Route]:
        """Return the routes of the probes."""
        return [Route("/healthz", self._tell_health), Route("/readyz", self._tell_readiness)]

    async def _tell_health(self, _: Request) -> Response:
        """Answer that the process is alive, without any check."""
        return JSONResponse({"status": "ok"})

    async def _tell_readiness(self, _: Request) -> Response:
        """Check the database, KIE and the disk, and answer with status 503 if one of them cannot be used."""
        checks: dict[str, Callable[[], Awaitable[bool]]] = {
            "database": self._check_database,
            "disk": self._check_disk,
        }
        if not self._open_ledger:
            checks["kie"] = self._check_kie
        found = dict.fromkeys(checks, "failed")
        for name, check in checks.items():
            with suppress(Exception), anyio.move_on_after(CHECK_SECONDS):
                found[name] = "ok" if await check() else "failed"
        is_ready = set(found.values()) == {"ok"}
        return JSONResponse({"status": "ok" if is_ready else "failed", "checks": found}, 200 if is_ready else 503)

    async def _check_database(self) -> bool:
        ledger = await self._open_ledger() if self._open_ledger else (await self._app.runner()).ledger
        await ledger.find("")
        return True

    async def _check_kie(self) -> bool:
        """Return whether KIE answers with the balance; ask again only if the last answer is too old."""
        clock = self._app.clock
        async with self._asking:
            if clock.monotonic() - self._asked_at >= FRESH_SECONDS:
                self._asked_at, self._answered = clock.monotonic(), False
                with suppress(KieMcpError):
                    await (await self._app.runner()).client.read_balance()
                    self._answered = True
        return self._answered

    async def _check_disk(self) -> bool:
        return all(map(_is_usable, self._folders()))

    def _folders(self) -> Iterator[Path]:
        settings = self._app.settings
        yield settings.data_dir
        # Without its bucket, a server still works: results are saved later.
        if settings.save and not settings.storage:
            yield settings.output_dir


def _is_usable(folder: Path) -> bool:
    """Return whether files can be written to a folder, or to the folder in which it will be made."""
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return os.access(place, os.W_OK | os.X_OK) and shutil.disk_usage(place).free >= LEAST_BYTES
