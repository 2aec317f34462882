"""One task on its way, from being asked for until its files are saved.

What is paid for is never lost: the row is on disk before KIE is asked and KIE's id before anybody is answered. What
may have been paid for is never sent again: a create whose answer got lost becomes `unknown`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
import httpx2

from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError, AuthError, KieMcpError, NotOffered, UnknownOutcome
from kie_mcp.kie import routes, status
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.routes import Route
from kie_mcp.kie.status import Status
from kie_mcp.ledger.ledger import Ledger, LedgerError
from kie_mcp.ledger.task import KEPT_FOR, Result, State, Task
from kie_mcp.media import midi
from kie_mcp.tasks import failures, polling
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.uploads import Uploader

logger = logging.getLogger(__name__)

GRACE = 90
"""Seconds that KIE may not know a new task, or name no result of one that succeeded, before that is believed."""
FRESH = 3
"""Seconds for which a look is good enough for whoever asks."""
MISSED = 3
"""How often KIE has to say then that it does not know the task; a second lies between."""
BETWEEN_REPEATS = 30
"""Seconds that KIE wants between two of the same request, where that is how one asks."""
REPEATED_FOR = 3600
"""Seconds after which such a task is given up: a 4K clip takes ten minutes, and no code of KIE's says never."""
BALANCE_SECONDS = 5
"""How long a task waits for what its account has."""
GONE_UPLOAD = 451
"""KIE's code for a file that it could not fetch."""
UNWRITTEN_PAUSE = 30
"""Seconds at most between two attempts to write down what the ledger refused."""
SAVE_PAUSES = (5, 30, 120, 600, 3600)
"""Seconds between attempts to save; the last one for ever, until KIE has deleted the files."""

MIDI_MODEL = "ai-music-api/generate-midi-from-audio"
"""The model whose result is notes as JSON, which are saved as a MIDI file."""

Change = Callable[[Task], Awaitable[None]]
Bodies = Callable[[Mapping[Any, str]], Mapping[str, dict[str, Any]]]
"""The requests to try, by way, once it is known what each reference is for KIE."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every task needs."""

    client: KieClient
    ledger: Ledger
    publisher: Uploader
    saver: Downloader | None
    clock: Clock
    on_change: Change | None = None

    async def write(self, task: Task) -> None:
        """Write a task's present state down, and tell who wants to know."""
        await self.ledger.save(task)
        if self.on_change:
            await self.on_change(task)

    async def balance(self) -> float | None:
        """The credits on the account, if KIE tells at once."""
        with anyio.move_on_after(BALANCE_SECONDS), suppress(ApiError):
            return await self.client.credits()
        return None


class Watcher:
    """One task, however many wait for it."""

    def __init__(self, task: Task, parts: Parts, usual: DurationEstimate) -> None:
        self.task = task
        self.usual = usual
        self.answered = anyio.Event()
        """When KIE has accepted the task or refused it."""
        self.error: KieMcpError | None = None
        """Why it was not accepted."""
        self.over = anyio.Event()
        """When there is nothing to wait for any more, though a file may still be missing."""
        self._parts = parts
        # The time of day may be set meanwhile, so it is asked once.
        age = max(parts.clock.time() - task.created, 0)
        self._heard = parts.clock.monotonic()
        self._born = self._heard - age
        """When KIE last said that the task goes on; at first, since when it has been asked."""
        self._missed = 0
        self._failed_looks = 0
        self._unwritten: Exception | None = None
        """Why the row is not as the task is."""
        self._looked = self._heard
        self._asked = anyio.Event()

    def ask(self) -> None:
        """Look at the task at once, if it was not looked at just now; try again to save what could not be saved."""
        if self.over.is_set() and not self.task.saved:
            self._reopen()
            self._asked.set()
        elif self._parts.clock.monotonic() - self._looked >= (BETWEEN_REPEATS if self.task.request else FRESH):
            self._asked.set()

    @property
    def _age(self) -> float:
        """Seconds since the task was asked for."""
        return self._parts.clock.monotonic() - self._born

    def _reopen(self) -> None:
        if self.over.is_set():
            self.over = anyio.Event()

    async def _rest(self, wait: Callable[[float], Awaitable[object]], seconds: float) -> None:
        """Wait, until somebody asks."""
        self._asked = anyio.Event()
        await self._parts.clock.first(self._asked.wait, partial(wait, seconds))

    async def create(self, order: Order, bodies: Bodies) -> None:
        """Have KIE run the task, which is on disk as prepared."""
        task = self.task
        try:
            try:
                await self._publish_and_ask(order, bodies)
            except KieMcpError as error:
                if isinstance(error, UnknownOutcome):
                    error.message += await self._balance_tells()
                self.error = failures.with_alternative(error, order.call, task)
                await self._end("unknown" if isinstance(error, UnknownOutcome) else "failed", error)
        except Exception as error:
            # Other tasks run in the same group: nothing may end it.
            logger.exception("task %s", task.id)
            self.error = failures.broken(task, error)
            if self.error.billed is False:
                await self._end("failed", self.error)
        finally:
            if self._unwritten and not self.error:
                self.error = None if task.final else failures.broken(task, self._unwritten)
            self.answered.set()

    async def see_through(self, *, at_once: bool) -> None:
        """Bring the task to its end, and its files to the disk.

        Args:
            at_once: Whether nobody has looked at it for some time.
        """
        task = self.task
        try:
            match task.state:
                case "prepared":
                    await self._end("failed", failures.NOT_SENT)
                case "submitting":
                    lost = failures.lost(await self._balance_tells())
                    await self._end("unknown", lost)
            while not task.final:
                route = routes.find(task.route)
                await self._rest(self._parts.clock.sleep, 0 if at_once else self._pause(route))
                at_once = False
                if self._unwritten:
                    await self._write()
                await self._look(route)
            if task.state == "succeeded" and not task.saved and self._parts.saver:
                await self._collect(self._parts.saver)
            self.over.set()
            pause = 1
            while self._unwritten:
                await self._parts.clock.idle(pause)
                pause = min(2 * pause, UNWRITTEN_PAUSE)
                await self._write()
        except Exception:
            # The row keeps its old state, so that the next start or question takes the task up again.
            logger.exception("task %s", task.id)

    async def _publish_and_ask(self, order: Order, bodies: Bodies) -> None:
        """Upload what is local, then send the create; again with fresh uploads when KIE did not find an old one."""
        task, refs = self.task, order.call.references()
        sent_to = await self._parts.publisher.resolve(refs)
        task.balance = await self._parts.balance()
        try:
            await self._create(bodies(sent_to))
        except ApiError as error:
            if error.code != GONE_UPLOAD or not await self._parts.publisher.forget(sent_to.values()):
                raise
            logger.info("task %s: %s", task.id, error)
            await self._create(bodies(await self._parts.publisher.resolve(refs)))

    async def _create(self, bodies: Mapping[str, dict[str, Any]]) -> None:
        """Send the body of the first way that KIE has."""
        task = self.task
        for tried, (way, body) in enumerate(bodies.items(), start=1):
            route = routes.find(way)
            task.route, task.request = way, body if route.repeated else None
            try:
                await self._ask(route, body)
            except NotOffered:
                # Nothing was created there; the next way may still exist.
                if tried == len(bodies):
                    raise
            else:
                return

    async def _ask(self, route: Route, body: Mapping[str, Any]) -> None:
        """Have KIE run the task; what is known of it then is on disk."""
        task = self.task
        if route.at_once or route.repeated:
            answer = await self._parts.client.ask(route, body, task.id)
            task.state = "running"
            await self._learn(route, status.read(route.shape, answer))
        else:
            task.kie_id = await self._parts.client.create(route.create, body, task.id)
            task.state = "running"
        if not task.final:
            await self._write()

    def _pause(self, route: Route) -> float:
        """Seconds until the next look."""
        if self._failed_looks:
            return min(0.5 * 2.0 ** min(self._failed_looks - 1, 7), 60)
        if self._missed and self._age > GRACE:
            return 1
        return max(polling.next_poll(self._age, self.usual), BETWEEN_REPEATS if route.repeated else 0)

    async def _look(self, route: Route) -> None:
        """Ask KIE once how the task is."""
        task, client = self.task, self._parts.client
        self._looked = self._parts.clock.monotonic()
        try:
            if route.repeated:
                answer = await client.ask_again(route, task.request or {})
            else:
                answer = await client.status(route.status, task.kie_id or "")
        except ApiError as error:
            told = logger.warning if isinstance(error, AuthError) else logger.info
            told("task %s cannot be asked after: %s", task.id, error)
            self._failed_looks += 1
            if error.retry_after:
                await self._parts.clock.sleep(error.retry_after)
        else:
            self._failed_looks = 0
            await self._learn(route, status.read(route.shape, answer))

    async def _learn(self, route: Route, seen: Status) -> None:
        """Write down what KIE says of the task, if that is the end of it."""
        task, now = self.task, self._parts.clock.monotonic()
        shape = status.SHAPES[route.shape]
        self._missed = self._missed + 1 if seen.state == "missing" else 0
        match seen.state:
            # Some say no more than yes.
            case "succeeded" if seen.media or seen.texts or not (shape.media or shape.texts):
                task.results = [Result(media.url, id=media.id, label=media.label) for media in seen.media]
                task.texts = list(seen.texts)
                await self._end("succeeded", charged=seen.credits)
            case "succeeded" if route.at_once or now - self._heard > GRACE:
                await self._end("failed", failures.EMPTY, charged=seen.credits)
            case "failed":
                await self._end("failed", failures.failure(seen), charged=seen.credits)
            case "missing" if self._age > GRACE and self._missed >= MISSED:
                await self._end("expired", failures.GONE)
            case "running" if route.repeated and self._age > REPEATED_FOR:
                await self._end("failed", failures.unfinished(seen))
            case "running" if self._age > KEPT_FOR:
                await self._end("expired", failures.GONE)
            case "running":
                self._heard = now

    async def _end(self, state: State, error: KieMcpError | None = None, charged: float | None = None) -> None:
        task = self.task
        if task.state == "running":
            task.credits = await self._fall_of_balance() if charged is None else charged
        task.state = state
        if error and task.credits is not None and error.billed is None and state == "failed":
            error = replace(error, billed=task.credits > 0)
        task.error = error.as_dict() if error else None
        task.finished = self._parts.clock.time()
        to_save = task.results or (task.texts and task.model == MIDI_MODEL)
        task.saved = state != "succeeded" or self._parts.saver is None or not to_save
        await self._write()

    async def _write(self) -> None:
        """Write the task's present state down; what the ledger refuses is tried again later."""
        task = self.task
        if self._unwritten:
            task.note = ""
        try:
            await self._parts.write(task)
        except LedgerError as error:
            logger.warning("task %s cannot be written down: %s", task.id, failures.reason(error))
            self._unwritten = error
            task.note = f"Not written down: {failures.reason(error)}."
        else:
            self._unwritten = None

    async def _fall_of_balance(self) -> float | None:
        """The credits that are gone since before the task, if nothing else can have taken them."""
        task, ledger = self.task, self._parts.ledger
        with suppress(LedgerError):
            if task.balance is not None and await ledger.runs_alone(task):
                after = await self._parts.balance()
                # While that was asked, another one may have begun; and with more than before, somebody topped up.
                if after is not None and after <= task.balance and await ledger.runs_alone(task):
                    return round(task.balance - after, 2)
        return None

    async def _balance_tells(self) -> str:
        """Whether the account shows that a create was accepted."""
        fall = await self._fall_of_balance()
        if fall is None:
            return ""
        if fall:
            return f" The balance fell by {fall:g} credits around the call, so it probably was."
        return " The balance is the same as before the call, so it probably was not."

    async def _collect(self, saver: Downloader) -> None:
        """Save the files; whatever goes wrong here leaves the task succeeded and is tried again."""
        attempt = 0
        while not await self._save(saver):
            self.over.set()
            await self._rest(self._parts.clock.idle, SAVE_PAUSES[min(attempt, len(SAVE_PAUSES) - 1)])
            attempt += 1
            self._reopen()

    async def _save(self, saver: Downloader) -> bool:
        task, refused = self.task, None
        try:
            if task.model == MIDI_MODEL and task.texts:
                _write_notes(task, saver)
            await saver.save(task)
        except (OSError, httpx2.HTTPError, KieMcpError) as error:
            refused = error
        undescribed = await self._describe(saver)
        if not refused:
            task.saved, task.note = True, undescribed
        elif self._age > KEPT_FOR:
            await self._end("expired", failures.not_saved(refused))
            return True
        else:
            task.note = f"Not saved: {failures.reason(refused)}. It is tried again; the links stay good for 14 days."
        await self._write()
        return task.saved

    async def _describe(self, saver: Downloader) -> str:
        """Write beside each file what it is; the reason where that fails, which harms no file."""
        try:
            saver.describe(self.task, await self._parts.ledger.sources(self.task))
        except (OSError, LedgerError) as error:
            return f"The JSON beside the files could not be written: {failures.reason(error)}."
        return ""


def _write_notes(task: Task, saver: Downloader) -> None:
    """Make files of the notes; what are no notes stays text."""
    try:
        files = [midi.file(text) for text in task.texts]
    except ValueError:
        return
    task.results = [saver.write(task, number, content, "audio/midi") for number, content in enumerate(files, start=1)]
    task.texts = []
