"""Elicitation: ask the user to confirm the cost of a task, in the protocol of 2026-07-28 and in those before it."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from kie_mcp.errors import ConfirmationNeeded, KieMcpError
from kie_mcp.server.app import Context, ToolCall
from kie_mcp.tasks.runner import CONFIRMATION_SECONDS

INPUT_KEY = "spend"
"""The key of the question in `inputRequests`, and of its answer in `inputResponses`."""
FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"spend": {"type": "boolean", "title": "Spend the credits", "default": True}},
}

Outcome = TypeVar("Outcome")


class Declined(KieMcpError):
    """The user declined the cost; nothing was sent."""

    category = "declined"


async def run_confirmed(
    call: ToolCall, confirm: str, run: Callable[[str], Awaitable[Outcome]]
) -> Outcome | InputRequiredResult:
    """Run something that may need the user's confirmation, and ask for the confirmation if it does.

    Args:
        call: The tool call; a repeated call of 2026-07-28 brings the user's answer in it.
        confirm: The confirmation that the call has as an argument; empty when it has none.
        run: Called with a confirmation; raises ConfirmationNeeded, before anything is sent, when it needs another.

    Returns:
        What `run` returned, or the question that the client has to put to the user.

    Raises:
        ConfirmationNeeded: When the client cannot ask its user: its model has to.
        Declined: When the user declined.
    """
    try:
        return await run(confirmation_from_request(call.params) or confirm)
    except ConfirmationNeeded as needed:
        if question := await request_confirmation(call.context, needed):
            return question
        return await run(needed.confirm)


def confirmation_from_request(params: CallToolRequestParams) -> str:
    """Return the confirmation that a repeated call of 2026-07-28 brings; empty when the user was not asked.

    Raises:
        Declined: When the user declined.
    """
    answer = (params.input_responses or {}).get(INPUT_KEY)
    if answer is None or not params.request_state:
        return ""
    _require_accept(answer)
    return params.request_state


async def request_confirmation(context: Context, needed: ConfirmationNeeded) -> InputRequiredResult | None:
    """Ask the user to confirm a cost.

    Returns:
        The question, for the client to ask and then repeat the call (2026-07-28). None when the user was asked within
        this call, and accepted (protocols before).

    Raises:
        ConfirmationNeeded: When this client cannot ask, or gave no answer that makes sense: its model has to ask.
        Declined: When the user declined.
    """
    if not _can_elicit(context):
        raise needed
    message = f"{needed.message} Go ahead?"
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        form = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=FORM_SCHEMA))
        return InputRequiredResult(input_requests={INPUT_KEY: form}, request_state=needed.confirm)
    answer = None
    with anyio.move_on_after(CONFIRMATION_SECONDS):
        try:
            answer = await context.session.elicit_form(message, FORM_SCHEMA, related_request_id=context.request_id)
        except (MCPError, ValidationError):
            # The client declares elicitation but refuses it now, or its answer is malformed.
            raise needed from None
    if not answer:
        raise needed
    _require_accept(answer)
    return None


def _can_elicit(context: Context) -> bool:
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # An empty capability means forms, as in the first version of elicitation.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _require_accept(answer: object) -> None:
    """Raise Declined unless the answer accepts the cost."""
    result = answer if isinstance(answer, ElicitResult) else ElicitResult(action="cancel")
    # A client may leave out a field that keeps its default, which is true.
    if result.action != "accept" or (result.content or {}).get("spend", True) not in (True, "true"):
        raise Declined("The user did not agree to the cost.", "Nothing was sent. Ask what to do instead.")
