"""OpenCode, unattended."""

import asyncio
import json
from pathlib import Path

from host import MODEL, SERVER, play, run_program

PROVIDER = {
    "npm": "@ai-sdk/openai-compatible",
    "options": {"baseURL": f"{MODEL}/v1", "apiKey": "scripted"},
    "models": {"scripted": {"attachment": True, "modalities": {"input": ["text", "image"], "output": ["text"]}}},
}
SERVER_ENTRY = {"type": "local", "command": [SERVER["command"], *SERVER["args"]], "environment": SERVER["env"]}
CONFIGURATION = {"provider": {"scripted": PROVIDER}, "model": "scripted/scripted", "mcp": {"kie": SERVER_ENTRY}}
Path("opencode.json").write_text(json.dumps(CONFIGURATION), encoding="utf-8")

asyncio.run(play(lambda text: run_program("opencode", "run", text, OPENCODE_DISABLE_MODELS_FETCH="1")))
