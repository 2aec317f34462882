"""Recorder: saves the state of one task of KIE's, and at its end also its charge and how long it took."""

import logging
from dataclasses import replace
from typing import Any

from kie_mcp.ledger.ledger import LedgerError
from kie_mcp.ledger.task import Task
from kie_mcp.tasks import charges, failures, polling
from kie_mcp.tasks.base_watcher import BaseWatcher
from kie_mcp.tasks.midi_results import MIDI_MODEL
from kie_mcp.tasks.polling import DurationEstimate
from kie_mcp.tasks.services import Services
from kie_mcp.tasks.transitions import Transition

logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = 1
"""The time of day counts as set back if it lags behind the monotonic clock by more than this number of seconds."""


class Recorder(BaseWatcher):
    """Saves the state of one task; the class `Watcher` decides what the state is."""

    def __init__(self, task: Task, services: Services, duration: DurationEstimate) -> None:
        super().__init__(task, services, duration)
        # The age is computed from the time of day only here. Later ages come from the monotonic clock, because somebody
        # may set the time of day while the task runs.
        age = max(services.clock.time() - task.created, 0)
        self._created_at = services.clock.monotonic() - age
        """Time, by the monotonic clock, at which KIE accepted the task; if not known, the time of the tool call."""
        self._running_at: float | None = None
        """Time, by the monotonic clock, of KIE's last answer that the task runs; None before such an answer."""
        self._ledger_error: Exception | None = None
        """The error of the last attempt to save the task; None if the last attempt was successful."""
        self._own_notes: dict[str, str] = {}
        """Maps the note "Not written down: …" of a failed save to the task's earlier note, which is saved instead."""

    @property
    def _age(self) -> float:
        """Seconds since KIE accepted the task, measured by the monotonic clock."""
        return self._services.clock.monotonic() - self._created_at

    def _estimate_seconds(self) -> float | None:
        """Estimate how many seconds the ended task took; None if this watcher never saw the task running."""
        if self._running_at is None:
            return None
        return polling.estimate_seconds(self._age, self._running_at - self._created_at)

    async def _finish(self, transition: Transition, impossible_charge: str = "") -> None:
        """Save a task's final state and charge; the charge comes from KIE's answer or, if missing, from the balance."""
        task, state, error = self.task, transition.state, transition.error
        if task.state == "running":
            await self._set_charge(transition, impossible_charge)
        task.state = state
        if error and task.credits is not None and error.billed is None and state == "failed":
            error = replace(error, billed=task.credits > 0)
        task.error = error.as_dict() if error else None
        task.finished = self._services.clock.time()
        has_files = task.results or (task.texts and task.model == MIDI_MODEL)
        task.saved = state != "succeeded" or self._services.downloader is None or not has_files
        await self._save_task()
        self._services.balance.refresh_soon()

    @property
    def _clock_was_set_back(self) -> bool:
        """Whether the system clock was set back. If so, the ledger's times do not show which tasks ran in parallel."""
        return self._services.clock.time() - self.task.created < self._age - CLOCK_TOLERANCE

    async def _set_charge(self, transition: Transition, impossible: str) -> None:
        """Set the task's charge: KIE's figure or, if that is missing or implausible, the fall of the balance."""
        task, charged = self.task, transition.charged
        if charged is not None and not charges.is_plausible(task, charged):
            charged, impossible = None, f"{charged:,.10g}"
        if charged is None and not self._clock_was_set_back:
            charged = await self._services.balance.measure_charge(task, succeeded=transition.state == "succeeded")
        if charged is not None and charges.is_plausible(task, charged):
            task.credits = charged
        elif impossible:
            charges.keep_reservation(task, impossible)

    async def _save_task(self, **changes: Any) -> None:
        """Save the task's current state; if this fails, store the error, so that `follow()` tries again.

        Args:
            **changes: New values of the task's attributes. The task gets them only after the attempt to save, so that
                callers do not see them earlier.
        """
        task = self.task
        changes["note"] = note = self._own_notes.get(task.note, task.note)
        try:
            changed = replace(task, **changes)
            await self._services.save(changed, self._recorded, as_watcher=True)
        except LedgerError as error:
            logger.warning("task %s cannot be written down: %s", task.id, failures.describe_cause(error))
            self._ledger_error = error
            changes["note"] = f"Not written down: {failures.describe_cause(error)}."
            self._own_notes = {changes["note"]: note}
        else:
            self._ledger_error, self._recorded = None, changed
        for name, value in changes.items():
            setattr(task, name, value)
