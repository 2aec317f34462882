"""Codex, unattended."""

import asyncio
import json
from pathlib import Path

from host import MODEL, SERVER, play, run_program

VARIABLES = ", ".join(f"{name} = {json.dumps(value)}" for name, value in SERVER["env"].items())
CONFIGURATION = f"""
model = "scripted"
model_provider = "scripted"

[model_providers.scripted]
name = "scripted"
base_url = "{MODEL}/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"

[mcp_servers.kie]
command = {json.dumps(SERVER["command"])}
args = {json.dumps(SERVER["args"])}
env = {{ {VARIABLES} }}
required = true
default_tools_approval_mode = "approve"
"""
FOLDER = Path.home() / ".codex"
FOLDER.mkdir(exist_ok=True)
(FOLDER / "config.toml").write_text(CONFIGURATION, encoding="utf-8")


async def ask(text: str) -> None:
    await run_program("codex", "exec", "--skip-git-repo-check", text, OPENAI_API_KEY="scripted")


asyncio.run(play(ask))
