"""Write how each client is set up by hand into docs/hosts.md: the file, and what belongs there."""

import json
import re
from collections.abc import Mapping
from typing import Any

from kie_mcp.install.change import make_snippet
from kie_mcp.install.clients import CLIENTS, Client, System, find_folders
from kie_mcp.install.entry import Server

BLOCK = re.compile(r"(<!-- clients: scripts/packages -->\n).*?(<!-- /clients -->)", re.DOTALL)
"""The place of the snippets in the document."""
SERVER = Server(("uvx", "kie-mcp"), {"KIE_API_KEY": "your-key"})
HOMES: dict[System, dict[str, str]] = {
    "darwin": {"HOME": "~"},
    "linux": {"HOME": "~"},
    "win32": {"USERPROFILE": "%USERPROFILE%", "APPDATA": "%APPDATA%", "LOCALAPPDATA": "%LOCALAPPDATA%"},
}
"""For each system, the environment variables with which its folders are named as people write them."""
NOTES = {
    "claude-code": "Or `claude mcp add kie -s user -e KIE_API_KEY=your-key -- uvx kie-mcp`. `-s user` adds it for all "
    "your projects; without it, only the folder you are in has it.",
    "claude-desktop": "Settings, Developer, Edit Config opens this file.",
    "codex": "Or `codex mcp add kie --env KIE_API_KEY=your-key -- uvx kie-mcp`. For `codex exec`, add "
    "`required = true`, with which it waits for the server before it begins, and `default_tools_approval_mode = "
    '"approve"`, without which it runs only the tools that make nothing.',
    "cursor": "Or the same text in `.cursor/mcp.json` of a project.",
    "vscode": "Or the same text in `.vscode/mcp.json` of a project. VS Code asks for the key once and does not store "
    "it in this file.",
}
"""What to know besides, for some clients."""


def write_snippets(page: str, vscode: Mapping[str, Any]) -> str:
    """Return the document with today's snippets.

    Args:
        page: The document.
        vscode: The file of VS Code, which asks for the key itself.
    """
    asking = {"vscode": json.dumps(vscode, indent=2) + "\n"}
    chapters = [_write_chapter(client, asking.get(client.name) or make_snippet(client, SERVER)) for client in CLIENTS]
    text = "\n".join(chapters)
    return BLOCK.sub(lambda block: f"{block[1]}{text}\n{block[2]}", page)


def _write_chapter(client: Client, snippet: str) -> str:
    note = f" {NOTES[client.name]}" if client.name in NOTES else ""
    return f"""\
### {client.title}

{_list_places(client)}.{note}

```{client.format}
{snippet.rstrip()}
```

{client.after}
"""


def _list_places(client: Client) -> str:
    """Return the paths of the client's file on each system, in words."""
    macos, linux, windows = (str(client.find_file(find_folders(system, env))) for system, env in HOMES.items())
    windows = windows.replace("/", "\\")
    others = f"`{macos}`" if macos == linux else f"macOS: `{macos}`; Linux: `{linux}`"
    return f"{others}; Windows: `{windows}`"
