"""Probes for load balancers and container platforms: liveness and readiness.

Probes need no authentication. Therefore, an answer contains only the names and results of the checks, and the result
of the request to KIE is cached.
"""

import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio.to_thread
import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kie_mcp.clock import Clock
from kie_mcp.errors import KieMcpError
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.server.app import App

CHECK_SECONDS = 3
"""Maximum seconds for each check; a check that takes longer has failed."""
FRESH_SECONDS = 15
"""Seconds for which the result of a request to KIE is cached."""
LEAST_BYTES = 200_000_000
"""Minimum free bytes on a disk; with less, the disk may be too full for new results, so the check fails."""

StartSoon = Callable[..., object]
"""The type of a function that runs an asynchronous function with its arguments in the background."""


class _Check:
    """One check; it runs only once at a time, also if several probes wait for it."""

    def __init__(self, function: Callable[[], Awaitable[bool]], clock: Clock, start_soon: StartSoon) -> None:
        self._function = function
        self._clock = clock
        self._start_soon = start_soon
        self._ended: anyio.Event | None = None
        self._is_ok = False

    async def passes(self) -> bool:
        """Return whether the check succeeds within `CHECK_SECONDS`; a check that is not ready by then goes on."""
        # The check runs in the background, because a transaction of the ledger cannot be cancelled.
        if not self._ended or self._ended.is_set():
            self._ended, self._is_ok = anyio.Event(), False
            self._start_soon(self._run, self._ended)
        ended = self._ended
        await self._clock.wait_for_first(ended.wait, partial(self._clock.sleep, CHECK_SECONDS))
        return ended.is_set() and self._is_ok

    async def _run(self, ended: anyio.Event) -> None:
        try:
            with suppress(Exception):
                self._is_ok = await self._function()
        finally:
            ended.set()


class Probes:
    """Answers `/healthz` and `/readyz`."""

    def __init__(
        self,
        app: App,
        open_ledger: Callable[[], Awaitable[Ledger]] | None = None,
        start_soon: StartSoon | None = None,
    ) -> None:
        """Store the arguments.

        Args:
            app: The app of the server.
            open_ledger: Returns the ledger that all tenants share; None if there are no tenants.
            start_soon: Runs the checks in the background; None to run them in that of `app`.
        """
        self._app = app
        self._open_ledger = open_ledger
        self._asked_at = float("-inf")
        self._answered = False
        checks = {"database": self._check_database, "kie": self._check_kie, "disk": self._check_disk}
        self._checks = {
            name: _Check(function, app.clock, start_soon or app.start_soon) for name, function in checks.items()
        }

    def build_routes(self) -> list[Route]:
        """Return the routes of the probes."""
        return [Route("/healthz", self._tell_health), Route("/readyz", self._tell_readiness)]

    async def _tell_health(self, _: Request) -> Response:
        """Answer that the process is alive, without any check."""
        return JSONResponse({"status": "ok"})

    async def _tell_readiness(self, _: Request) -> Response:
        """Check the database, KIE and the disk, and answer with status 503 if one of them cannot be used."""
        found = {name: "ok" if await check.passes() else "failed" for name, check in self._checks.items()}
        is_ready = set(found.values()) == {"ok"}
        return JSONResponse({"status": "ok" if is_ready else "failed", "checks": found}, 200 if is_ready else 503)

    async def _check_database(self) -> bool:
        ledger = await self._open_ledger() if self._open_ledger else (await self._app.runner()).ledger
        await ledger.find("")
        return True

    async def _check_kie(self) -> bool:
        """Return whether KIE answers; send a request only if the last result is too old."""
        clock = self._app.clock
        if clock.monotonic() - self._asked_at >= FRESH_SECONDS:
            self._asked_at, self._answered = clock.monotonic(), False
            with suppress(KieMcpError, httpx2.HTTPError):
                await self._ask_kie()
                self._answered = True
        return self._answered

    async def _ask_kie(self) -> None:
        """Read the balance; if only callers have KIE keys, send a request that needs no key instead.

        Raises:
            KieMcpError: When KIE does not return the balance, for example because the key is wrong.
            httpx2.HTTPError: When KIE does not answer.
        """
        app = self._app
        if not self._open_ledger:
            await (await app.runner()).client.read_balance()
            return
        is_paid_by_callers = app.settings.caller_keys or app.settings.account_keys == "person"
        async with app.build_client_of("" if is_paid_by_callers else app.settings.key) as client:
            if is_paid_by_callers:
                await client.http.head(client.base_url)
            else:
                await client.read_balance()

    async def _check_disk(self) -> bool:
        return await anyio.to_thread.run_sync(lambda: all(map(_is_usable, self._folders())))

    def _folders(self) -> Iterator[Path]:
        settings = self._app.settings
        yield settings.data_dir
        # A bucket for results is not checked, because the server also works while the bucket cannot be reached, and
        # saves the results later.
        if settings.save and not settings.storage:
            yield settings.output_dir


def _is_usable(folder: Path) -> bool:
    """Return whether a folder, or its nearest existing parent folder, is writable and has enough free space."""
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return os.access(place, os.W_OK | os.X_OK) and shutil.disk_usage(place).free >= LEAST_BYTES
