"""Elicitation: ask the user to confirm the cost of a task, in the protocol of 2026-07-28 and in earlier protocols.

In the protocol of 2026-07-28, a tool call answers with the question, and the client repeats the call with the user's
answer. In earlier protocols, the server asks while the call is running.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import Enum
from typing import Any, TypeVar

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from kie_mcp.catalog.credits import format_credits
from kie_mcp.errors import ConfirmationNeeded, KieMcpError
from kie_mcp.server.app import App, Context, ToolCall
from kie_mcp.tasks.runner import CONFIRMATION_SECONDS

INPUT_KEY = "spend"
"""Key of the question in `inputRequests`, and of the user's answer in `inputResponses`."""
FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"spend": {"type": "boolean", "title": "Spend the credits"}},
    "required": ["spend"],
}
"""The form has no default, so that its box is not ticked beforehand."""
UNATTENDED_SECONDS = 1
"""No person answers sooner; clients without a person (`claude -p`, `codex exec`) do, within 0.1 s."""

Outcome = TypeVar("Outcome")


class Declined(KieMcpError):
    """The user declined the cost; nothing was sent."""

    category = "declined"


class Reply(Enum):
    """What a client's answer to the question means."""

    AGREED = "the user agreed"
    DECLINED = "the user declined"
    UNATTENDED = "the client answered by itself"


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
        ConfirmationNeeded: When the client has no way to ask its user, or nobody was asked, so that the client's model
            has to ask.
        Declined: When the user declined.
    """
    reply, confirmed = read_reply(call)
    if reply is Reply.DECLINED:
        raise _declined()
    try:
        return await run(confirmed or confirm)
    except ConfirmationNeeded as needed:
        if reply is Reply.UNATTENDED:
            raise _nobody_was_asked(needed) from None
        if question := await request_confirmation(call.context, needed):
            return question
        return await run(needed.confirm)


def read_reply(call: ToolCall) -> tuple[Reply | None, str]:
    """Return the user's answer from a repeated call (2026-07-28), and the id of the confirmation if the user agreed.

    The answer is None when the call contains none, because the user was not asked.
    """
    answer = (call.params.input_responses or {}).get(INPUT_KEY)
    if answer is None or not call.params.request_state:
        return None, ""
    confirm, asked = _parse_state(call.params.request_state)
    clock = call.context.lifespan_context.clock
    arrived = clock.time() - (clock.monotonic() - call.arrived)
    reply = interpret_answer(answer, arrived - asked)
    return reply, confirm if reply is Reply.AGREED else ""


def interpret_answer(answer: object, seconds: float) -> Reply:
    """Return what an answer means that came some seconds after the question; only an express yes agrees."""
    accepted = isinstance(answer, ElicitResult) and answer.action == "accept" and answer.content
    # Some clients send the values of a form as text.
    if accepted and accepted.get("spend") in (True, "true"):
        return Reply.AGREED
    return Reply.UNATTENDED if seconds < UNATTENDED_SECONDS else Reply.DECLINED


async def request_confirmation(context: Context, needed: ConfirmationNeeded) -> InputRequiredResult | None:
    """Ask the user to confirm a cost.

    Returns:
        The question, which the client asks before it repeats the call (2026-07-28). None when the user was asked during
        this call and accepted (earlier protocols).

    Raises:
        ConfirmationNeeded: When the client cannot ask its user, answered by itself or gave no valid answer, so that the
            client's model has to ask.
        Declined: When the user declined.
    """
    if not _can_elicit(context):
        raise needed
    app = context.lifespan_context
    message = f"{needed.message} {await _describe_balance(app)}Go ahead?"
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        form = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=FORM_SCHEMA))
        state = f"{needed.confirm} {app.clock.time()}"
        return InputRequiredResult(input_requests={INPUT_KEY: form}, request_state=state)
    answer, asked = None, app.clock.monotonic()
    with anyio.move_on_after(CONFIRMATION_SECONDS):
        try:
            answer = await context.session.elicit_form(message, FORM_SCHEMA, related_request_id=context.request_id)
        except (MCPError, ValidationError):
            # The client declared elicitation but refused this question, or its answer is malformed.
            raise needed from None
    if not answer:
        raise needed
    reply = interpret_answer(answer, app.clock.monotonic() - asked)
    if reply is Reply.UNATTENDED:
        raise _nobody_was_asked(needed)
    if reply is Reply.DECLINED:
        raise _declined()
    return None


def _parse_state(state: str) -> tuple[str, float]:
    """Return the id of the confirmation and the time of the question from `requestState`, as the client sent it."""
    confirm, _, asked = state.partition(" ")
    try:
        return confirm, float(asked)
    except ValueError:
        return confirm, -math.inf


async def _describe_balance(app: App) -> str:
    """Return a sentence about the balance; it is empty when KIE does not tell the balance soon."""
    balance = await (await app.runner()).read_balance()
    return "" if balance is None else f"The balance is {format_credits(balance)}. "


def _can_elicit(context: Context) -> bool:
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # An empty capability means that the client can show forms, as in the first version of elicitation.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _declined() -> Declined:
    return Declined("The user did not agree to the cost.", "Nothing was sent. Ask what to do instead.")


def _nobody_was_asked(needed: ConfirmationNeeded) -> ConfirmationNeeded:
    """Return the error for a client that answered the question without showing it to a person."""
    return replace(
        needed,
        message=f"{needed.message} Nobody was asked: the client answered the question by itself.",
        next_step=f"{needed.next_step} Where nobody can be asked, the operator may raise KIE_MCP_CONFIRM_ABOVE.",
    )
