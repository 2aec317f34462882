"""Elicitation: ask the user to confirm the cost of a task, in the protocol of 2026-07-28 and in earlier protocols.

In the protocol of 2026-07-28, a tool call answers with the question, and the client repeats the call with the user's
answer. In earlier protocols, the server asks while the call is running.
"""

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
"""Key of the question in `inputRequests`, and of the user's answer in `inputResponses`."""
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
    """Run a function that may need the user's confirmation, and ask the user when it does.

    Args:
        call: The tool call. In the protocol of 2026-07-28, a repeated call contains the user's answer.
        confirm: The call's `confirm` argument, which is the id of a confirmation; empty when left out.
        run: The function to run; it takes the id of a confirmation. It raises ConfirmationNeeded before it sends
            anything when that confirmation is missing or not valid.

    Returns:
        What `run` returned, or the question that the client has to put to the user.

    Raises:
        ConfirmationNeeded: When the client has no way to ask its user, so that the client's model has to ask.
        Declined: When the user declined.
    """
    try:
        return await run(confirmation_from_request(call.params) or confirm)
    except ConfirmationNeeded as needed:
        if question := await request_confirmation(call.context, needed):
            return question
        return await run(needed.confirm)


def confirmation_from_request(params: CallToolRequestParams) -> str:
    """Return the id of the confirmation that the user gave, from a repeated call (2026-07-28).

    The id is empty when the call contains no answer, because the user was not asked.

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
        The question, which the client asks before it repeats the call (2026-07-28). None when the user was asked during
        this call and accepted (earlier protocols).

    Raises:
        ConfirmationNeeded: When the client cannot ask its user, or gave no valid answer, so that the client's model has
            to ask.
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
            # The client declared elicitation but refused this question, or its answer is malformed.
            raise needed from None
    if not answer:
        raise needed
    _require_accept(answer)
    return None


def _can_elicit(context: Context) -> bool:
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # An empty capability means that the client can show forms, as in the first version of elicitation.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _require_accept(answer: object) -> None:
    """Raise Declined unless the user's answer accepts the cost."""
    result = answer if isinstance(answer, ElicitResult) else ElicitResult(action="cancel")
    # A client may leave out a field whose default the user did not change; the default of this field is true.
    if result.action != "accept" or (result.content or {}).get("spend", True) not in (True, "true"):
        raise Declined("The user did not agree to the cost.", "Nothing was sent. Ask what to do instead.")
