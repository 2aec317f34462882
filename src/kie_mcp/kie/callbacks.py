"""KIE's callbacks: KIE sends a request to a URL of this server when the state of a task has changed.

The signature of a callback does not cover its body, so the body is not trusted: a callback only causes the server to
read the task's status.
"""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

TIMESTAMP_HEADER = "X-Webhook-Timestamp"
"""Name of the header with the time of the signature, in seconds since 1970."""
SIGNATURE_HEADER = "X-Webhook-Signature"
SIGNATURE_SECONDS = 300
"""Maximum age of a signature in seconds; an older callback may be a replay by somebody else."""


def sign(key: str, kie_id: str, timestamp: str) -> str:
    """Return the signature of a callback.

    Args:
        key: The key for signatures, which the owner of a KIE account makes in the settings of the account.
        kie_id: KIE's id of the task.
        timestamp: The time of the signature, in seconds since 1970.
    """
    # Anybody may send a callback with half a character (a lone surrogate) as the id, so this must raise no error.
    signed = f"{kie_id}.{timestamp}".encode("utf-8", "surrogatepass")
    return b64encode(hmac.digest(key.encode(), signed, hashlib.sha256)).decode()


def is_signed(headers: Mapping[str, str], body: bytes, key: str, now: float) -> bool:
    """Return whether a callback has a valid signature, made at most `SIGNATURE_SECONDS` before or after now.

    Args:
        headers: The headers of the request, in a type that ignores the case of names, such as Starlette's `Headers`.
        body: The body, which contains KIE's id of the task in one of several places.
        key: The key for signatures.
        now: The time now, in seconds since 1970.
    """
    timestamp, given = (
        headers.get(TIMESTAMP_HEADER, ""),
        headers.get(SIGNATURE_HEADER, "").encode("utf-8", "surrogatepass"),
    )
    # The length is limited first, because `int()` needs much time for a very long text.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= len("9999999999")):
        return False
    is_fresh = abs(now - int(timestamp)) <= SIGNATURE_SECONDS
    return is_fresh and any(
        hmac.compare_digest(sign(key, kie_id, timestamp).encode(), given) for kie_id in _find_ids(body)
    )


def _find_ids(body: bytes) -> list[str]:
    """Return the ids of tasks in the body of a callback; different KIE APIs put the id in different places."""
    try:
        root: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    places = [root, root.get("data")] if isinstance(root, dict) else []
    found = [place.get(name) for place in places if isinstance(place, dict) for name in ("taskId", "task_id")]
    return [each for each in found if isinstance(each, str)]
