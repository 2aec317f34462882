"""Examine everything, and remove all secrets from what was found."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import reduce

from kie_mcp.catalog.credits import set_worth
from kie_mcp.config import Settings
from kie_mcp.doctor import account, environment, storage
from kie_mcp.doctor.clients import check_clients
from kie_mcp.doctor.finding import Finding
from kie_mcp.doctor.updates import check_for_update
from kie_mcp.errors import ConfigurationError
from kie_mcp.install.clients import CLIENTS, find_folders
from kie_mcp.kie.key_filter import make_key_filter
from kie_mcp.text import one_line

SECRETS = ("KIE_API_KEY", "KIE_AI_API_KEY", "KIE_MCP_HTTP_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Settings whose values no finding may show."""
AROUND_SECRET = re.compile(r"[\s'\"`=]+")
"""Matches what may separate a secret from other words in a setting, such as the word Bearer: blanks, quotes and `=`."""


async def examine(*, asks_for_update: bool = True) -> list[Finding]:
    """Examine this machine's kie-mcp; nothing is created or changed.

    At most, KIE is asked for the balance, the package index for the newest version, each client's kie-mcp is started,
    and an object is written to the bucket for results and deleted again.

    Args:
        asks_for_update: Whether the package index is asked.
    """
    checked, settings = environment.check_settings()
    findings = [environment.check_versions(), *(await check_for_update() if asks_for_update else ()), checked]
    if settings:
        set_worth(settings.usd_per_credit)
        findings += [account.check_key(settings), *await account.check_kie(settings)]
    findings += [await environment.check_proxies()]
    if settings:
        findings += [
            storage.check_allowed_folders(settings),
            storage.check_output_folder(settings),
            *([await storage.check_bucket(settings)] if settings.storage else []),
            storage.check_data_folder(settings),
            await storage.check_ledger(settings),
            account.check_spending_rules(settings),
        ]
    findings += [await environment.check_ffmpeg(), *await check_clients(CLIENTS, find_folders())]
    hide = _make_filter(settings)
    return [_clean(each, hide) for each in findings]


def _make_filter(settings: Settings | None) -> Callable[[str], str]:
    """Return a function that removes all secrets from a text; a user may have put one into the wrong setting."""
    secrets = [part for name in SECRETS for part in AROUND_SECRET.split(os.environ.get(name, ""))]
    with suppress(ConfigurationError):
        secrets += [settings.key if settings else ""]
    secrets += environment.list_proxy_passwords()
    filters = [make_key_filter(secret) for secret in secrets if secret]
    return lambda text: reduce(lambda shown, hide: hide(shown), filters, text)


def _clean(finding: Finding, hide: Callable[[str], str]) -> Finding:
    """Return a finding without secrets, each of its texts on one line."""
    text, next_step, *details = (one_line(hide(each)) for each in (finding.text, finding.next_step, *finding.details))
    return replace(finding, text=text, next_step=next_step, details=tuple(details))
