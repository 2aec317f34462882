"""A clock for tests: time passes only when everybody waits for it."""

import asyncio

import anyio
import anyio.lowlevel
import anyio.to_thread
import sqlalchemy as sa

from kie_mcp.clock import Clock


async def a_moment() -> None:
    """Let others do what they are about to; whoever polls without it never lets time pass."""
    await anyio.sleep(0.002)


class JumpingClock(Clock):
    """Time that passes only when everybody waits for it."""

    lent = 0
    """Connections to ledgers that are in use, and whatever else takes no time."""
    asking = 0
    """Who asks right now whether everybody waits for time."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self._wakes: list[float] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        wake = self.now + seconds
        self._wakes.append(wake)
        try:
            while self.now < wake:
                await a_moment()
                if wake == min(self._wakes) and await _nobody_works() and wake == min(self._wakes):
                    self.now = max(self.now, wake)
        finally:
            self._wakes.remove(wake)

    async def idle(self, seconds: float) -> None:
        """Wait for time to pass; it does not for this."""
        wake = self.now + seconds
        while self.now < wake:
            await a_moment()


async def _nobody_works() -> bool:
    """Whether everybody waits for time."""
    loop = asyncio.get_running_loop()
    JumpingClock.asking += 1
    try:
        while not (JumpingClock.lent or anyio.to_thread.current_default_thread_limiter().borrowed_tokens):
            # Whoever can go on does so first; of those who can, the others who ask this only ask.
            await anyio.lowlevel.checkpoint()
            if len(loop._ready) < JumpingClock.asking:  # type: ignore[attr-defined]
                return not JumpingClock.lent
        return False
    finally:
        JumpingClock.asking -= 1


@sa.event.listens_for(sa.Pool, "checkout")
def lend(*_: object) -> None:
    JumpingClock.lent += 1


@sa.event.listens_for(sa.Pool, "checkin")
def give_back(*_: object) -> None:
    JumpingClock.lent -= 1
