"""Asking the person at the client whether a task may cost what it costs, in both eras of the protocol."""

from typing import Any

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
from kie_mcp.server.app import Context
from kie_mcp.tasks.runner import CONFIRMED_FOR

KEY = "spend"
"""What the question is called in a call that comes back with its answer."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"spend": {"type": "boolean", "title": "Spend the credits", "default": True}},
}


class Declined(KieMcpError):
    """The person does not want to pay that much; nothing was sent."""

    category = "declined"


def brought(params: CallToolRequestParams) -> str:
    """The confirmation that a call brings along after its person was asked (2026-07-28); empty when nobody was.

    Raises:
        Declined: When the person said no.
    """
    answer = (params.input_responses or {}).get(KEY)
    if answer is None or not params.request_state:
        return ""
    _hold_to(answer)
    return params.request_state


async def ask(context: Context, needed: ConfirmationNeeded) -> InputRequiredResult | None:
    """Have the person agree to what is needed.

    Returns:
        What to answer so that the client asks; nothing when the person was asked here and agreed.

    Raises:
        ConfirmationNeeded: When this client cannot ask: its model has to.
        Declined: When the person said no.
    """
    if not _can_ask(context):
        raise needed
    message = f"{needed.message} Go ahead?"
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        form = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=SCHEMA))
        return InputRequiredResult(input_requests={KEY: form}, request_state=needed.confirm)
    answer = None
    with anyio.move_on_after(CONFIRMED_FOR):
        try:
            answer = await context.session.elicit_form(message, SCHEMA, related_request_id=context.request_id)
        except (MCPError, ValidationError):
            # It says that it can, and cannot now; or what it answers makes no sense.
            raise needed from None
    if not answer:
        raise needed
    _hold_to(answer)
    return None


def _can_ask(context: Context) -> bool:
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # Without further words it means forms.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _hold_to(answer: object) -> None:
    said = answer if isinstance(answer, ElicitResult) else ElicitResult(action="cancel")
    # A client may leave the default out.
    if said.action != "accept" or (said.content or {}).get("spend", True) not in (True, "true"):
        raise Declined("The user did not agree to the cost.", "Nothing was sent. Ask what to do instead.")
