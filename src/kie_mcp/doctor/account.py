"""Check the API key, the balance at KIE, this machine's clock, and the rules that limit spending."""

import stat
import sys
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from shlex import quote

import anyio
import httpx2

from kie_mcp.catalog.credits import format_credits, format_worth
from kie_mcp.config import Settings
from kie_mcp.doctor.finding import Finding
from kie_mcp.errors import ApiError, ConfigurationError
from kie_mcp.kie.advice import Advice
from kie_mcp.kie.client import KieClient

KIE_SECONDS = 15
"""Timeout of the request to KIE, in seconds."""
MAX_CLOCK_SECONDS = 300
"""The user is warned if this machine's clock and KIE's clock differ by at least this many seconds."""
CHECK_NETWORK = "Check the network, the proxy and KIE_MCP_BASE_URL, then try again."
EXAMPLE_DAY_CAP = 1000


def check_key(settings: Settings) -> Finding:
    """Report whether the settings have a key that looks like an API key, without showing the key itself."""
    try:
        key = settings.key
    except ConfigurationError as error:
        return Finding.from_error("key", error)
    if settings.sandbox:
        return Finding("key", "ok", "The sandbox is used (KIE_MCP_SANDBOX), so no key is needed and nothing is paid.")
    if settings.api_key:
        return Finding("key", "ok", f"It is set and has {len(key)} characters.")
    if settings.keyring:
        return Finding("key", "ok", f"It is in the keyring and has {len(key)} characters.")
    file = settings.key_file
    if file and sys.platform != "win32" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        text = f"It is in {file}, which other users of this machine may open."
        return Finding("key", "note", text, f"chmod 600 {quote(str(file))}")
    return Finding("key", "ok", f"It is in {file} and has {len(key)} characters.")


async def check_kie(settings: Settings, seconds: float = KIE_SECONDS) -> list[Finding]:
    """Ask KIE for the balance; report the answer, and the difference between KIE's clock and this machine's.

    If there is no key, or the sandbox is used, no request is sent.

    Args:
        settings: The settings.
        seconds: Timeout of the request, in seconds.
    """
    dates: list[str] = []

    async def note_date(response: httpx2.Response) -> None:
        dates.append(response.headers.get("Date", ""))

    try:
        key = settings.key
    except ConfigurationError:
        return []
    if settings.sandbox:
        return []
    try:
        async with KieClient(key, base_url=settings.base_url, service=settings.route == "service") as client:
            client.http.event_hooks = {"response": [note_date]}
            with anyio.fail_after(seconds):
                balance = await client.read_balance()
    except ConfigurationError as error:
        answer = Finding.from_error("KIE", error)
    except ApiError as error:
        answer = Finding("KIE", "mend", error.message, error.next_step if dates else CHECK_NETWORK)
    except TimeoutError:
        answer = Finding("KIE", "mend", f"KIE did not answer within {seconds:g} seconds.", CHECK_NETWORK)
    except httpx2.InvalidURL:
        answer = Finding("KIE", "mend", "KIE_MCP_BASE_URL is no address of a server.", "Mend it, or leave it out.")
    else:
        answer = _judge_balance(balance, client.advice)
    return [answer, *(_judge_clock(date) for date in dates[-1:] if date)]


def check_spending_rules(settings: Settings, caps_of_clients: Mapping[str, float | None]) -> Finding:
    """Report the spending caps and which costs the user has to confirm; recommend a daily cap where there is none.

    Args:
        settings: The settings of this shell.
        caps_of_clients: For each client that has kie-mcp, the daily cap in its configuration, or None for no cap.
    """
    caps = {
        "one task": settings.max_credits_per_task,
        "any 24 hours": settings.max_credits_per_day,
        "one run of the server": settings.max_credits_per_session,
        **{f"any 24 hours, in {client}": cap for client, cap in caps_of_clients.items()},
    }
    questions = f"The user is asked above {format_credits(settings.confirm_above)} for one task"
    if settings.confirm_hourly:
        questions += f", and above {format_credits(settings.confirm_hourly)} within an hour"
    details = (
        f"{questions}.",
        *(f"Cap for {of}: {format_credits(cap)}." for of, cap in caps.items() if cap is not None),
    )
    without = [client for client, cap in caps_of_clients.items() if cap is None]
    # Clients start the server without the settings of this shell.
    unlimited = without or (not caps_of_clients and settings.max_credits_per_day is None)
    if unlimited and not settings.sandbox:
        where = f" in {', '.join(without)}" if without else ""
        text = f"No cap for a day is set{where}, so an agent that goes on and on can spend the whole balance."
        worth = format_worth(EXAMPLE_DAY_CAP)
        step = f"Set KIE_MCP_MAX_CREDITS_PER_DAY, for example to {EXAMPLE_DAY_CAP}{worth and f' ({worth})'}."
        return Finding("spending", "note", text, step, details)
    return Finding("spending", "ok", details[0], details=details[1:])


def _judge_balance(balance: float, advice: Advice) -> Finding:
    if balance <= 0:
        return Finding("KIE", "note", "KIE accepts the key; no credits are left.", f"{advice.top_up}.")
    return Finding("KIE", "ok", f"KIE accepts the key; {format_credits(balance)} are left.")


def _judge_clock(date: str) -> Finding:
    """Report the difference between this machine's clock and the header `Date` of KIE's answer, in seconds."""
    try:
        ahead = time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return Finding("clock", "ok", "KIE's answer has no time to compare with.")
    if abs(ahead) < MAX_CLOCK_SECONDS:
        return Finding("clock", "ok", f"It differs from KIE's by {abs(ahead):.0f} seconds.")
    text = (
        f"It is {abs(ahead):,.0f} seconds {'ahead of' if ahead > 0 else 'behind'} KIE's, so times in answers are wrong."
    )
    return Finding("clock", "note", text, "Let this machine's clock be set from the network.")
