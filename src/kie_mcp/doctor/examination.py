"""Run all checks of `kie-mcp doctor`, and remove all secrets from the findings."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import reduce

from kie_mcp.catalog.credits import set_worth
from kie_mcp.config import Settings
from kie_mcp.doctor import account, environment, storage
from kie_mcp.doctor.clients import check_clients, find_day_caps
from kie_mcp.doctor.finding import Finding
from kie_mcp.doctor.updates import check_for_update
from kie_mcp.errors import ConfigurationError
from kie_mcp.install.clients import CLIENTS, find_folders
from kie_mcp.kie.key_filter import make_key_filter
from kie_mcp.text import one_line

SECRETS = ("KIE_API_KEY", "KIE_AI_API_KEY", "KIE_MCP_HTTP_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Settings whose values must not appear in any finding."""
AROUND_SECRET = re.compile(r"[\s'\"`=]+")
"""Matches the blanks, quotes and `=` between a secret and other words (such as `Bearer`) in the value of a setting."""


async def examine(*, asks_for_update: bool = True) -> list[Finding]:
    """Run all checks on this machine, without lasting changes, and return the findings.

    The checks ask KIE for the balance, and the package index for the newest version. They start kie-mcp with each
    client's configuration. They write an object to the bucket for results, and delete this object at once.

    Args:
        asks_for_update: True to ask the package index for the newest version.
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
            account.check_spending_rules(settings, find_day_caps(CLIENTS, find_folders())),
        ]
    findings += [await environment.check_ffmpeg(), *await check_clients(CLIENTS, find_folders())]
    hide = _make_filter(settings)
    return [_clean(each, hide) for each in findings]


def _make_filter(settings: Settings | None) -> Callable[[str], str]:
    """Return a function that removes all secrets from a text.

    Findings show the values of settings, and a user may have put a secret into a wrong setting.
    """
    secrets = [part for name in SECRETS for part in AROUND_SECRET.split(os.environ.get(name, ""))]
    with suppress(ConfigurationError):
        secrets += [settings.key if settings else ""]
    secrets += environment.list_proxy_passwords()
    filters = [make_key_filter(secret) for secret in secrets if secret]
    return lambda text: reduce(lambda shown, hide: hide(shown), filters, text)


def _clean(finding: Finding, hide: Callable[[str], str]) -> Finding:
    """Return a finding without secrets, in which each text is on one line."""
    text, next_step, *details = (one_line(hide(each)) for each in (finding.text, finding.next_step, *finding.details))
    return replace(finding, text=text, next_step=next_step, details=tuple(details))
