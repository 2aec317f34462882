"""Claude Code, unattended."""

import asyncio
import json
from pathlib import Path

from host import MODEL, SERVER, play, run_program

Path("mcp.json").write_text(json.dumps({"mcpServers": {"kie": SERVER}}), encoding="utf-8")
OPTIONS = ("--mcp-config", "mcp.json", "--strict-mcp-config", "--allowedTools", "mcp__kie", "ToolSearch")
VARIABLES = {
    "ANTHROPIC_BASE_URL": MODEL,
    "ANTHROPIC_API_KEY": "scripted",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}

asyncio.run(play(lambda text: run_program("claude", "-p", text, *OPTIONS, **VARIABLES)))
