"""Check the MCP clients on this machine: start kie-mcp with each client's configuration, and time the start."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kie_mcp.config import find_misspelt_settings
from kie_mcp.doctor.finding import Finding
from kie_mcp.errors import ConfigurationError
from kie_mcp.install.change import find_servers
from kie_mcp.install.clients import Client
from kie_mcp.install.entry import Server
from kie_mcp.install.start import measure_start

QUICK_SECONDS = 1.0
"""Seconds within which a server should answer; some clients do not wait much longer."""
INSTALL = "kie-mcp install sets up all that are here."


async def check_clients(clients: Sequence[Client], folders: Mapping[str, Path]) -> list[Finding]:
    """Report whether and how fast each installed client starts kie-mcp, and which clients are not set up for it.

    Args:
        clients: The clients to look for.
        folders: The folders in which clients keep their configurations.
    """
    here = [client for client in clients if client.is_there(folders)]
    findings: list[Finding] = []
    without: list[str] = []
    for client in here:
        try:
            servers = find_servers(client, folders)
        except ConfigurationError as error:
            findings.append(Finding(client.title, "note", error.message, error.next_step))
            continue
        findings += [await _check_server(client, server) for server in servers]
        if not servers:
            without.append(client.title)
    if not here:
        step = "kie-mcp install CLIENT sets one up before it is started for the first time."
        return [Finding("clients", "ok", "No MCP client is found here.", step)]
    if without:
        findings.append(Finding("clients", "ok", f"Without kie-mcp: {', '.join(without)}.", INSTALL))
    return findings


def find_day_caps(clients: Sequence[Client], folders: Mapping[str, Path]) -> dict[str, float | None]:
    """Return the daily cap for kie-mcp in each client's configuration (None for no cap); the keys are client titles.

    Of several entries in one client, the one with the highest cap counts, or one without a cap. Clients without
    kie-mcp, and clients that only use the sandbox, are left out.
    """
    caps: dict[str, float | None] = {}
    for client in clients:
        with suppress(ConfigurationError):
            paid = [server for server in find_servers(client, folders) if not server.is_free]
            found = [_parse_cap(server.env.get("KIE_MCP_MAX_CREDITS_PER_DAY", "")) for server in paid]
            if found:
                caps[client.title] = None if None in found else max(filter(None, found), default=0)
    return caps


def _parse_cap(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


async def _check_server(client: Client, server: Server) -> Finding:
    again = f"`kie-mcp install {client.name}` writes an entry that works."
    if wrong := find_misspelt_settings(server.env):
        return Finding(client.title, "mend", f"Its settings for kie-mcp are wrong: {'; '.join(wrong)}.", "Mend them.")
    try:
        seconds = await measure_start(server)
    except OSError as error:
        text = f"{server.command[0]} cannot be started: {error.strerror or error}."
        return Finding(client.title, "mend", text, again)
    except TimeoutError:
        return Finding(client.title, "mend", "Its kie-mcp does not answer.", again)
    except ValueError as error:
        return Finding(client.title, "mend", f"Its kie-mcp does not start: {error}.", again)
    text = f"Its kie-mcp starts, and answers in {seconds:.1f} s."
    if seconds > QUICK_SECONDS:
        step = "If that is so every time, install it: uv tool install --compile-bytecode kie-mcp, then kie-mcp install."
        return Finding(client.title, "note", text, step)
    return Finding(client.title, "ok", text)
