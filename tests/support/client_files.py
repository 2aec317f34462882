"""Write realistic configuration files of MCP clients into a home folder."""

import re
from pathlib import Path

from kie_mcp.install.clients import CLIENTS, Client, find_folders
from kie_mcp.install.entry import Server
from support.paths import ROOT

FILES = {file.stem: file for file in (ROOT / "tests" / "install" / "files").iterdir()}
SERVER = Server(("/opt/venv/bin/kie-mcp",), {"KIE_API_KEY_FILE": "/home/ann/.local/share/kie-mcp/api-key"})


def folders_in(home: Path, system: str = "linux") -> dict[str, Path]:
    """Return the folders of clients' configuration files for a home folder."""
    return find_folders(system, {"HOME": str(home), "USERPROFILE": str(home)})


def place_file(client: Client, home: Path, content: bytes | None = None) -> Path:
    """Write a client's configuration file into a home folder, and return its path."""
    file = client.find_file(folders_in(home))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(FILES[client.name].read_bytes() if content is None else content)
    return file


def place_all(home: Path) -> dict[str, Path]:
    """Write the configuration files of all clients into a home folder; return their paths by client name."""
    return {client.name: place_file(client, home) for client in CLIENTS}


def without_comments(text: str) -> str:
    """Remove comments and trailing commas from JSON, with code that is independent of kie-mcp's own code."""
    text = re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda found: found[1] or "", text, flags=re.DOTALL)
    return re.sub(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', lambda found: found[1] or "", text)
