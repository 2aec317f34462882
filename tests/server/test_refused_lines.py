"""What becomes of the lines on stdin that the SDK's parser refuses."""

import json
from typing import Any

import pytest
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    JSONRPCError,
    JSONRPCMessage,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from support.cases import for_each

from kie_mcp.server.handshake.wire import write_whole_id
from kie_mcp.server.refused_lines import read_refused

PING: dict[str, Any] = {"jsonrpc": "2.0", "id": 5, "method": "ping"}
DEEP = '{"jsonrpc": "2.0", "id": 5, "method": "ping", "params": ' + '{"a":' * 300 + "1" + "}" * 301
ENDLESS = "[" * 100_000


def read(line: str) -> list[JSONRPCMessage]:
    """Return what is read from a line that the SDK refuses."""
    with pytest.raises(ValidationError) as refused:
        jsonrpc_message_adapter.validate_json(line, by_name=False)
    return list(read_refused(refused.value))


@pytest.mark.parametrize(
    ("line", "methods"),
    [
        (json.dumps(PING | {"params": []}), ["ping"]),
        (
            json.dumps([PING, PING | {"id": 6, "method": "tools/list"}, PING | {"params": []}]),
            ["ping", "tools/list", "ping"],
        ),
        ('{"jsonrpc": "2.0", "method": "notifications/initialized", "params": []}', ["notifications/initialized"]),
        (json.dumps(PING | {"method": "half \ud83d"}), ["half ?"]),
    ],
)
def test_what_can_be_read_all_the_same_is_read(line: str, methods: list[str]) -> None:
    assert [getattr(message, "method", message) for message in read(line)] == methods


@for_each(
    "line, id_, code, words",
    [
        (json.dumps(PING | {"jsonrpc": "1.0"}), 5, INVALID_REQUEST, "jsonrpc: Input should be '2.0'"),
        ('{"id": "a", "method": "ping"}', "a", INVALID_REQUEST, "jsonrpc: Field required"),
        ('{"jsonrpc": "2.0", "id": 5}', 5, INVALID_REQUEST, "method: Field required"),
        (json.dumps(PING | {"params": 3}), 5, INVALID_REQUEST, "params: Input should be an object"),
        (json.dumps(PING | {"id": [1], "method": 3}), None, INVALID_REQUEST, "valid integer"),
        (DEEP, 5, INVALID_REQUEST, "recursion limit exceeded"),
        (json.dumps(PING)[:-3], None, PARSE_ERROR, "EOF"),
        (json.dumps(PING) + "\0", None, PARSE_ERROR, "trailing characters"),
        ("hello", None, PARSE_ERROR, "expected value"),
        (ENDLESS, None, PARSE_ERROR, "recursion limit"),
        ("5", None, INVALID_REQUEST, "should be an object"),
        ("[]", None, INVALID_REQUEST, "should be an object"),
        ("[7]", None, INVALID_REQUEST, "should be an object"),
    ],
)
def test_what_cannot_be_read_is_answered_with_an_error(line: str, id_: int | str | None, code: int, words: str) -> None:
    (answer,) = read(line)
    assert isinstance(answer, JSONRPCError)
    assert (answer.id, answer.error.code) == (id_, code)
    assert words in answer.error.message


@pytest.mark.parametrize(
    "line",
    [
        "",
        " \r\n",
        '{"jsonrpc": "2.0", "method": "notifications/initialized", "params": 3}',
        '{"jsonrpc": "2.0", "id": 5, "result": 3}',
        '{"jsonrpc": "2.0", "id": 5, "error": 3}',
        '{"jsonrpc": "2.0", "id": 5, "error": 3, "result": 3, "method": 3}',
        '{"jsonrpc": "2.0", "id": 5, "error": {}, "result": 3, "method": 3}',
    ],
)
def test_what_needs_no_answer_gets_none(line: str) -> None:
    assert read(line) == []


@pytest.mark.parametrize(
    ("line", "id_"),
    [
        ('{"id": 5.0, "method": "ping"}', 5),
        ('{"id":5e0}', 5),
        ('{"id": 5.5}', 5.5),
        ('{"id": 5, "params": {"id": 7.0}}', 5),
        ('{"id": null}', None),
    ],
)
def test_an_id_with_a_point_becomes_an_integer(line: str, id_: object) -> None:
    found = json.loads(write_whole_id(line))["id"]
    assert (type(found), found) == (type(id_), id_)
    assert write_whole_id("[5.0") == "[5.0"


def test_the_request_to_cancel_is_found_by_such_an_id_too() -> None:
    line = '{"method": "notifications/cancelled", "params": {"requestId": 5.0}}'
    assert json.loads(write_whole_id(line))["params"] == {"requestId": 5}
    batch = '[{"id": 5.0, "method": "ping"}]'
    assert write_whole_id(batch) == batch
