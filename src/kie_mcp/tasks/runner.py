"""Runner: submits tasks, waits for tasks, and takes over tasks of dead processes.

Before a task is submitted, the runner checks idempotency, spending caps and confirmation. Several processes may share
one ledger. Each process holds a lease on its tasks, and renews the lease by heartbeat.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from kie_mcp.background import Background
from kie_mcp.catalog.fields import parse_task_id
from kie_mcp.clock import Clock
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.ledger import Check, Ledger, LedgerError
from kie_mcp.ledger.task import PENDING, Task, new_id
from kie_mcp.tasks import adoption, failures
from kie_mcp.tasks.balance import Balance
from kie_mcp.tasks.batch import Batch, Item
from kie_mcp.tasks.batch_watcher import reopen, reopen_ended_batches
from kie_mcp.tasks.callbacks import Callbacks
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.confirmation import CONFIRMATION_SECONDS, offer_confirmation
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.durations import estimate_task
from kie_mcp.tasks.money import Quote, combine_tasks
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.parent_watcher import Recorded, Started
from kie_mcp.tasks.parts import recount
from kie_mcp.tasks.permission import check_permission
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.pricing import Pricing
from kie_mcp.tasks.references import References
from kie_mcp.tasks.repeats import Repeats
from kie_mcp.tasks.search import SEARCH_WAIT_SECONDS, Searches
from kie_mcp.tasks.services import Change, Services
from kie_mcp.tasks.storage import Storage
from kie_mcp.tasks.takeover import HEARTBEAT_SECONDS, Takeover
from kie_mcp.tasks.uploads import Uploader
from kie_mcp.tasks.waiting import Report, Waiting
from kie_mcp.tasks.watchers import AnyWatcher, Watchers, build_watcher, prepared

CREATE_WAIT_SECONDS = 3
"""Default seconds that `Runner.get()` waits for KIE to answer the create request of a task."""


class Runner:
    """Runs tasks, and keeps their state in the ledger, so that another process can take over the tasks."""

    def __init__(
        self,
        client: KieClient,
        ledger: Ledger,
        uploader: Uploader,
        downloader: Downloader | None,
        background: Background,
        *,
        storage: Storage,
        rules: Rules | None = None,
        callbacks: Callbacks | None = None,
        usual_seconds: float | None = None,
        on_change: Change | None = None,
        find_kind: adoption.KindFinder | None = None,
        clock: Clock,
        process: str = "",
    ) -> None:
        """Store the objects that the runner uses; no task is run yet.

        Args:
            client: The client of KIE's API.
            ledger: The ledger, which all processes may share.
            uploader: Uploads local files to KIE.
            downloader: Downloads results; if None, results stay at KIE.
            background: Runs the watchers.
            storage: Keeps the saved results.
            rules: The operator's rules on spending and repeated calls.
            callbacks: The URLs that KIE calls when a task has ended; if None, KIE sends no callbacks.
            usual_seconds: Expected seconds for every task; if None, each model has its own expected duration.
            on_change: Called after a task's new state is saved. It must neither raise an error nor wait.
            find_kind: A function that returns the kind of results of a model that is not built in; an adopted task may
                have such a model.
            clock: The source of time.
            process: The id of this process in the ledger; if empty, a new id is created.
        """
        self.client, self.ledger, self.clock = client, ledger, clock
        self.uploader, self.storage = uploader, storage
        self.references = References(uploader, ledger, clock, storage)
        self.id = process or new_id("s")
        """The id of this process in the ledger, under which the process holds its lease."""
        self._pricing = Pricing(ledger, self.references, clock, self.id)
        self.balance = Balance(client, ledger, clock, background)
        self.callbacks = callbacks or Callbacks()
        parts = (client, ledger, uploader, self.references, downloader, self.balance, clock, on_change)
        self._services = Services(*parts, self.callbacks, self.id)
        self._background = background
        self.rules = rules or Rules()
        self._repeats = Repeats(ledger, self.references, uploader, self.rules.repeat_window, clock)
        self._usual_seconds = usual_seconds
        self._searches = Searches(client, ledger, clock, background, find_kind)
        self._watchers = Watchers()
        self._takeover = Takeover(ledger, self.id, clock)
        self._waiting = Waiting(self._watchers, self.get, self._takeover.wait_for_change, clock)

    async def submit(self, order: Order, *, confirm: str = "", seconds: float | None = None) -> Task:
        """Create a task at KIE, and return the task when KIE has accepted it.

        On some routes, the task has already ended when KIE accepts it. If KIE does not answer the create request in
        time, the returned task is still `prepared` or `submitting`. The create request then continues, and a later
        `get()` returns the new state. A repeated call returns the existing task, whose id differs from the order's id.

        Args:
            order: The call to run.
            confirm: The id from an earlier `ConfirmationNeeded` error, if a person has agreed to the cost; else empty.
            seconds: Most seconds to wait for KIE's answer to the create request; None means no limit.

        Raises:
            KieMcpError: When KIE did not accept the task; the error says whether KIE charged credits.
        """
        with failures.explain_ledger_errors():
            contents, idempotency_key, repeated = await self._repeats.look_up(order)
            if repeated:
                return await self.get(repeated.id, seconds=seconds)
            task = await self._pricing.build_task(order, idempotency_key, contents)
            watcher = await self._build_watcher(task)
            async with prepared(watcher, order, self._watchers):
                repeated = await self._record(watcher, confirm, self.rules)
        if repeated:
            return await self.get(repeated.id, seconds=seconds)
        # The create request is sent from the task group, so that it continues if the caller cancels this call.
        self._start(watcher, order)
        await watcher.wait_for_create(seconds)
        if watcher.error:
            raise watcher.error
        return watcher.task

    async def build_items(self, orders: Sequence[Order]) -> list[Item]:
        """Return the items of a batch. An item that repeats an earlier call has the earlier task and costs nothing.

        Raises:
            KieMcpError: When an order exceeds the cap of one task, or cannot be run.
        """
        items = []
        with failures.explain_ledger_errors():
            for order in orders:
                contents, idempotency_key, repeated = await self._repeats.look_up(order)
                task = repeated or await self._pricing.build_task(order, idempotency_key, contents)
                if not repeated:
                    self.rules.caps.check(task, await self.ledger.spent(task))
                items.append(Item.build(order, idempotency_key, 0 if repeated else task.reserved))
                items[-1].task_id = repeated.id if repeated else ""
        return items

    async def submit_batch(self, batch: Batch, *, confirm: str = "") -> Task:
        """Start a batch and return its task; a repeated call returns the task of the existing batch.

        Args:
            batch: The batch. `build_items()` has checked each item against the cap of one task.
            confirm: The id from an earlier `ConfirmationNeeded` error, if a person has agreed to the cost; else empty.

        Raises:
            KieMcpError: When the batch exceeds a cap or needs a confirmation.
        """
        with failures.explain_ledger_errors():
            watcher = await self._build_watcher(batch.build_task(self.id, self.clock.time()))
            rules = replace(self.rules, caps=replace(self.rules.caps, task=None))
            if repeated := await self._record(watcher, confirm, rules):
                return await self.get(repeated.id)
        self._start(watcher)
        return watcher.task

    async def start_part(self, order: Order, parent: Task, key: str, on_recorded: Recorded | None = None) -> Started:
        """Start a part of a parent task, or an item of a batch; `PartRunner.start_part()` has the description."""
        with failures.explain_ledger_errors():
            task = await self._pricing.build_task(order, key, {})
            task.parent, task.confirmed = parent.id if parent.in_parts else None, parent.confirmed
            watcher = await self._build_watcher(task)
            # A part uses an earlier, equal task of any age. An item uses one that is newer than its batch, or in the
            # repeat window: if the clock was set back, a task of this batch may seem older than the batch.
            since = min(parent.created, parent.created if self._repeats.since is None else self._repeats.since)
            if repeated := await self._add(watcher, repeats_since=0 if parent.in_parts else since):
                return Started(await self.get(repeated.id, seconds=None))
        self._start(watcher, order)
        if on_recorded:
            await on_recorded()
        await watcher.create_settled.wait()
        return Started(task, watcher.error)

    async def find_repeated(self, order: Order) -> Task | None:
        """Return the existing task if the order repeats an earlier call, else None; nothing is sent to KIE.

        Raises:
            InvalidCall: When a file that an argument names cannot be read, or the model does not accept the file.
        """
        return (await self._repeats.look_up(order))[2]

    async def quote(self, order: Order) -> Quote:
        """Return the quote of a call, which is an estimate of its cost; no request is sent to KIE."""
        return await self._pricing.quote(order)

    async def authorize(self, orders: Sequence[Order], confirm: str = "") -> dict[str, str]:
        """Check the total cost of several calls against the caps, and require one confirmation for all of them.

        No request is sent to KIE.

        Args:
            orders: The calls to run. A call that repeats an earlier one is not counted.
            confirm: The id from an earlier `ConfirmationNeeded` error, if a person has agreed to all calls; else empty.

        Returns:
            For each order id, the id of a confirmation for this order; empty if no confirmation is needed.

        Raises:
            KieMcpError: When the calls exceed a cap, need a confirmation, or one of them cannot be run.
        """
        tasks = []
        with failures.explain_ledger_errors():
            for order in orders:
                contents, idempotency_key, repeated = await self._repeats.look_up(order)
                if not repeated:
                    tasks.append(await self._pricing.build_task(order, idempotency_key, contents))
                    self.rules.caps.check(tasks[-1], await self.ledger.spent(tasks[-1]))
            if not tasks:
                return {}
            total = combine_tasks(tasks)
            rules = replace(self.rules, caps=replace(self.rules.caps, task=None))
            ids = {task.id: new_id("c") for task in tasks}
            keys = {ids[task.id]: task.idempotency_key for task in tasks}
            async with offer_confirmation(self.ledger, total, confirm):
                confirmed = await self.ledger.split_confirmation(
                    total, confirm, partial(rules.check, total), keys, CONFIRMATION_SECONDS
                )
            return ids if confirmed else {}

    async def get(
        self, id_: str, *, seconds: float | None = CREATE_WAIT_SECONDS, search_seconds: float = SEARCH_WAIT_SECONDS
    ) -> Task:
        """Return a task, and make sure that this process or another one watches the task.

        A task that is not in the ledger is searched for at KIE and added to the ledger (adopted). A search that takes
        longer than `search_seconds` continues in the background, and the next call gets its result.

        Args:
            id_: The task's id in the ledger, or KIE's id of the task.
            seconds: Maximum seconds to wait for KIE's answer to the create request; None means no limit.
            search_seconds: Maximum seconds to wait for the end of a search at KIE.

        Raises:
            InvalidCall: When there is no such task.
            ApiError: When the task is not in the ledger, and KIE has not said (yet) whether KIE knows the task.
        """
        id_ = parse_task_id(id_)
        task = await self.ledger.find(id_)
        if not task:
            task = await self._searches.find(id_, search_seconds)
        # If the ledger cannot be written, the task is still returned, and the heartbeat tries to write again.
        with suppress(LedgerError):
            if task.is_batch and task.saved:
                task = await reopen(self.ledger, task)
            if not task.saved and task.id not in self._watchers:
                await self._take_over(task)
        if not (watcher := self._watchers.get(task.id)):
            return task if task.saved else await self.ledger.find(task.id) or task
        if watcher.task.state in PENDING:
            await watcher.wait_for_create(seconds)
        watcher.poll_soon()
        return watcher.task

    def handle_callback(self, id_: str) -> bool:
        """Poll a task at once, because its callback arrived; return False if this process does not watch the task."""
        return self._watchers.handle_callback(id_)

    async def wait(
        self, tasks: Sequence[Task], seconds: float, report: Report | None = None, *, first: bool = False
    ) -> list[Task]:
        """Wait until tasks have ended, as `Waiting.wait()` says."""
        return await self._waiting.wait(tasks, seconds, report, first=first)

    async def resolve(self, id_: str, outcome: str) -> Task:
        """Set the outcome of a task whose outcome is unknown, or add the results that an ended task lacks.

        Args:
            id_: The task's id in the ledger, or KIE's id of the task.
            outcome: `not created`, KIE's id of the task, or URLs of its results.

        Raises:
            NotAllowed: When the caller of the current request may only read.
            InvalidCall: When the task's outcome and results are known already, or KIE does not know the id.
            ApiError: When KIE's answer does not say whether KIE knows the task.
        """
        check_permission()
        task = replace(before := replace(await self.get(id_)))
        await adoption.settle(self.client, self.ledger, task, outcome, now=self.clock.time())
        await self._services.save_settled(task, before)
        self._watchers.note_settled(task)
        await recount(self.ledger, task)
        return await self.get(task.id)

    async def estimate_duration(self, task: Task) -> DurationEstimate:
        """Estimate the duration of a task, as `estimate_task()` does."""
        if watcher := self._watchers.get(task.id):
            return watcher.duration
        return await estimate_task(self.ledger, task, self._usual_seconds)

    def stop_edit(self, id_: str) -> None:
        """Stop an edit that this process makes. Do nothing for other tasks, because KIE cannot stop them."""
        if watcher := self._watchers.get(id_):
            watcher.stop()

    def is_busy(self, task: Task) -> bool:
        """Return True while a task runs, and while its files are downloaded for the first time."""
        return not task.final or (task.id in self._watchers and not task.note)

    async def resume(self, look_seconds: float = HEARTBEAT_SECONDS) -> None:
        """Take over the tasks of dead processes, delete the files they left, and listen for changes in the ledger."""
        self.balance.refresh_soon()
        self._background.start(self._services.remove_leftovers)
        self._background.start(self.ledger.database.listen)
        await self._takeover.take_over_claimable(self._watchers, self._take_over)
        self._background.start(self._takeover.run, self._watchers, self._take_over, look_seconds)
        self._background.start(reopen_ended_batches, self.ledger, self, self.clock.time())

    @property
    def watched(self) -> Mapping[str, AnyWatcher]:
        """The tasks that this process watches; the keys are the ids of the tasks in the ledger."""
        return self._watchers

    async def settle_creates(self) -> None:
        """Wait until all create requests that were sent are settled: answered by KIE, or of unknown outcome."""
        # During each wait, another task may send its create request, so the watchers are looked at again.
        while sent := [each for each in self._watchers.values() if each.is_submitting]:
            await sent[0].create_settled.wait()

    async def release_lease(self) -> None:
        """Release this process's lease, so that other processes can take over its tasks at once."""
        await self._takeover.release_lease()

    async def _build_watcher(self, task: Task) -> AnyWatcher:
        return build_watcher(task, self._services, await self.estimate_duration(task), self)

    async def _add(
        self, watcher: AnyWatcher, repeats_since: float | None, confirm: str = "", check: Check | None = None
    ) -> Task | None:
        """Save a new task's row, and keep its watcher; for a repeated call, return the earlier task instead."""
        if self._background.is_ending:
            raise failures.not_sent_error()
        # The watcher is stored before the row is saved, because `get()` must find a watcher for each saved task.
        self._watchers[watcher.task.id] = watcher
        is_added = False
        try:
            repeated = await self.ledger.add(watcher.task, repeats_since=repeats_since, confirm=confirm, check=check)
            is_added = not repeated
            return repeated
        finally:
            if not is_added:
                del self._watchers[watcher.task.id]

    async def _record(self, watcher: AnyWatcher, confirm: str, rules: Rules) -> Task | None:
        """Save the row of a watcher's task, and use up the confirmation; for a repeated call, return the earlier task.

        Raises:
            CapReached: When the task exceeds a cap.
            ConfirmationNeeded: When a person has to confirm the cost, and `confirm` is no valid confirmation id.
        """
        await self._takeover.renew_lease()
        check = partial(rules.check, watcher.task)
        async with offer_confirmation(self.ledger, watcher.task, confirm):
            return await self._add(watcher, self._repeats.since, confirm, check)

    async def _take_over(self, known: Task) -> None:
        """Watch a task that no live process watches, and store in the ledger that this process watches it now."""
        if (known.final and not self._services.downloader) or self._background.is_ending:
            # The task has ended, so only its files may be missing. Without a downloader, they cannot be downloaded.
            return
        await self._takeover.renew_lease()
        task = await self.ledger.leases.claim(known.id, self.id, self.clock.time())
        watcher = await self._build_watcher(task or known)
        if task and task.id not in self._watchers:
            self._watchers[task.id] = watcher
            self._start(watcher)

    def _start(self, watcher: AnyWatcher, order: Order | None = None) -> None:
        """Run a watcher; if this server is ending, refuse a new order, and leave other tasks to another process."""
        if not self._background.start(self._run, watcher, order):
            self._watchers.remove(watcher)
            if order:
                raise failures.not_sent_error()

    async def _run(self, watcher: AnyWatcher, order: Order | None) -> None:
        """Create a task from its order, if there is an order (not after a takeover); follow the task to its end."""
        try:
            if order:
                address = self.callbacks.find_address(order.id)
                bodies = partial(order.build_bodies, service=self.client.service, callback_url=address)
                await watcher.start(order, bodies)
            await watcher.follow(poll_now=not order)
            with suppress(LedgerError):
                await recount(self.ledger, watcher.task)
        finally:
            self._watchers.remove(watcher)
