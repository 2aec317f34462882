"""Recognise addresses of files that are elsewhere: in a chat, on a phone, in a cloud store or on another machine."""

import re
import sys
from pathlib import Path

CHAT = "it names a file inside a chat, which only the chat's own program can open"
CLOUD = "it is an address in a cloud store, and KIE reads only http and https"
PHONE = "it is an address on a phone, which only apps there can open"
BROWSER = "it exists only inside the browser's tab"

_ADDRESSES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), where)
    for pattern, where in (
        (r"/mnt/(user-data|skills|transcripts)\b.*", "it lies in the container of the chat (Claude)"),
        (r"(sandbox:/*)?/?mnt/data\b.*|sandbox:.*", "it lies in the container of the chat (ChatGPT)"),
        (r"file[-_](id[-_:]?)?[A-Za-z0-9]{16,}|file-service:.*|(openai|anthropic)-?file:.*", CHAT),
        (r"(attachment|attachments|cid|mid|upload|uploaded|message|chat|image|asset)s?:(?!\\).*", CHAT),
        (
            r"\[?(image|file|photo|attachment) ?#?\d+\]?|(the )?(attached|uploaded) (image|photo|picture|file|video)",
            CHAT,
        ),
        (r"/(api|v1|files|backend-api)/.+/content|/?api/v\d/files/.*|/cache/files/.*", CHAT),
        (r"blob:.*|filesystem:.*|moz-extension:.*|chrome-extension:.*|about:.*", BROWSER),
        (r"(content|ph|assets-library|photos|ph-asset|android-app|ipod-library):.*", PHONE),
        (r"/(storage/emulated|sdcard|data/user|var/mobile|private/var/mobile)/.*", PHONE),
        (r"(gs|s3|s3a|az|abfss?|wasbs?|r2|b2|oss|cos|gdrive|onedrive|dropbox|hf):/.*", CLOUD),
        (r"(s?ftps?|scp|ssh|smb|cifs|nfs|afp|webdavs?|davs?|magnet|ipfs|git):.*", "KIE reads only http and https"),
        (r"(mcp|ui|resource|memory|artifact|vscode[\w-]*|untitled|app|tauri|asset|jar|view-source):.*", CHAT),
        (r"(javascript|mailto|tel):.*", "it is no address of a file"),
        (r"(/content|/kaggle|/databricks|/dbfs)/.*", "it lies on the machine of a notebook service"),
        (r"/(home/(oai|sandbox|user|vscode|gitpod|runner)|workspaces?|repl|vercel/share)/.*", "it lies in a container"),
    )
)
"""Patterns of addresses that this machine cannot open, each with an explanation; the first match is used."""


def explain_elsewhere(text: str) -> str:
    """Return where a file is, or why this server cannot open its address; empty if the address tells neither.

    Args:
        text: An address (a path or a URL) at which no file was found.
    """
    for pattern, where in _ADDRESSES:
        if pattern.fullmatch(text):
            return where
    if re.match(r"/?[a-z]:[\\/]|\\\\\w", text, re.IGNORECASE) and sys.platform != "win32":
        return "it is a path of a Windows computer, and this server does not run on it"
    if found := re.match(r"([a-z][a-z\d+.-]+)://", text, re.IGNORECASE):
        is_known = found[1].lower() in ("kie", "file", "http", "https")
        return "" if is_known else f"neither KIE nor this server opens {found[1]}: addresses"
    root = Path(*Path(text).parts[:2])
    if root.is_absolute() and len(Path(text).parts) > 2 and not root.exists():
        return f"there is no folder {root} on the computer where this server runs, so it is a path of another one"
    return ""
