"""Gemini CLI, unattended."""

import asyncio
import json
from pathlib import Path

from host import MODEL, SERVER, play, run_program

SETTINGS = {"mcpServers": {"kie": SERVER}, "security": {"auth": {"selectedType": "gemini-api-key"}}}
FOLDER = Path.home() / ".gemini"
FOLDER.mkdir(exist_ok=True)
(FOLDER / "settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
VARIABLES = {"GEMINI_API_KEY": "scripted", "GOOGLE_GEMINI_BASE_URL": MODEL, "GEMINI_CLI_TRUST_WORKSPACE": "true"}

# With a model of one's own choice it does not ask a model which one to take.
OPTIONS = ("--approval-mode", "yolo", "--model", "gemini-3-pro-preview")

asyncio.run(play(lambda text: run_program("gemini", *OPTIONS, "-p", text, **VARIABLES)))
