"""Confirmation: give the caller an id with which the call can be repeated after a person has agreed to its cost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from kie_mcp.errors import ConfirmationNeeded
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task, new_id

CONFIRMATION_SECONDS = 300
"""Seconds for which a confirmation (the user's consent to the cost of a call) is valid."""


@asynccontextmanager
async def offer_confirmation(ledger: Ledger, task: Task, confirm: str) -> AsyncIterator[None]:
    """If the `async with` block raises `ConfirmationNeeded`, add a new confirmation id for the task to the error.

    Args:
        ledger: The ledger, which records the new id.
        task: The task that needs a confirmation; it was not sent to KIE yet.
        confirm: The confirmation id that the caller gave; empty if the caller gave none. If the block raises the error
            although an id was given, this id was not valid.
    """
    try:
        yield
    except ConfirmationNeeded as needed:
        id_, minutes = new_id("c"), CONFIRMATION_SECONDS // 60
        await ledger.confirmations.add(id_, task.idempotency_key, task.created, CONFIRMATION_SECONDS)
        stale = "That confirmation has expired, was used already, or was for another call. " if confirm else ""
        raise replace(
            needed,
            message=f"{stale}{needed.message}",
            next_step=f"Ask the user. If they agree, make the same call with confirm: {id_!r} within {minutes} "
            f"minutes, once. Where nobody can be asked, only the operator can raise {needed.setting}.",
            confirm=id_,
        ) from None
