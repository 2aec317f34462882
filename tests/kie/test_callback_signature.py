"""The signature of KIE's callbacks."""

import hashlib
import hmac
import json
from base64 import b64encode

import pytest

from kie_mcp.kie.callbacks import SIGNATURE_SECONDS, is_signed

KEY, NOW = "wh_a long random key", 1_800_000_000.0


def documented(kie_id: str, timestamp: str, key: str = KEY) -> dict[str, str]:
    """The headers that KIE documents: HMAC-SHA256 of `<taskId>.<timestamp>`, in base64."""
    digest = hmac.new(key.encode(), f"{kie_id}.{timestamp}".encode(), hashlib.sha256).digest()
    return {"X-Webhook-Timestamp": timestamp, "X-Webhook-Signature": b64encode(digest).decode()}


@pytest.mark.parametrize(
    "body",
    [
        {"code": 200, "data": {"taskId": "kie-1", "state": "success"}},
        {"code": 200, "data": {"task_id": "kie-1", "callbackType": "complete"}},
        {"code": 200, "taskId": "kie-1", "data": None},
        {"task_id": "kie-1"},
        {"taskId": "another", "data": {"task_id": "kie-1"}},
    ],
    ids=str,
)
def test_the_id_of_the_task_is_found_wherever_kie_writes_it(body: object) -> None:
    assert is_signed(documented("kie-1", "1800000000"), json.dumps(body).encode(), KEY, NOW)


@pytest.mark.parametrize("seconds", [-SIGNATURE_SECONDS, 0, SIGNATURE_SECONDS])
def test_a_signature_counts_for_five_minutes(seconds: int) -> None:
    headers, body = documented("kie-1", str(1_800_000_000 + seconds)), b'{"taskId": "kie-1"}'
    assert is_signed(headers, body, KEY, NOW)
    assert not is_signed(headers, body, KEY, NOW + (1 if seconds < 0 else -1)) or seconds == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Webhook-Timestamp": "1800000000"},
        documented("kie-1", "1800000000", "another key"),
        documented("kie-2", "1800000000"),
        documented("kie-1", "1800000000") | {"X-Webhook-Timestamp": "1800000001"},
        documented("kie-1", "-5"),
        documented("kie-1", "now"),
        documented("kie-1", ""),
        documented("kie-1", "1" * 5000),
        documented("kie-1", "١٨٠٠٠٠٠٠٠٠"),
        documented("kie-1", "1800000000") | {"X-Webhook-Signature": "ä"},
        documented("kie-1", "1800000000") | {"X-Webhook-Signature": "\ud800"},
    ],
    ids=lambda headers: ascii(headers)[:60],
)
def test_a_wrong_signature_is_none(headers: dict[str, str]) -> None:
    assert not is_signed(headers, b'{"taskId": "kie-1"}', KEY, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"data": []}',
        b'{"taskId": 1}',
        b'{"taskId": "\\ud800"}',
        b'{"data": {"taskId": ["kie-1"]}}',
        b"[" * 99_999,
    ],
)
def test_a_body_without_an_id_has_no_signature(body: bytes) -> None:
    assert not is_signed(documented("kie-1", "1800000000"), body, KEY, NOW)
