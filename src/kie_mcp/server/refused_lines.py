"""Read the lines of a client on stdio that the SDK's parser refuses, or build the errors that answer them.

Without this module, the client would wait forever, because the SDK sends no answer to such a line. Some of these lines
can be read all the same:

* Lines with half a character: a lone surrogate, which is one half of a UTF-16 pair, such as U+D83D. JSON strings can
  contain lone surrogates, and some clients send them.
* A request with `"params": []`, as PHP writes an empty object.
* A batch (a list of messages), which MCP has in the version 2025-03-26 only. Each answer is a line of its own.
"""

import json
from collections.abc import Iterator
from typing import Any

from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from kie_mcp.text import replace_half_characters


def read_refused(refusal: ValidationError) -> Iterator[JSONRPCMessage]:
    """Yield the messages in a line that the SDK's parser refused, and a `JSONRPCError` for each unreadable request.

    Args:
        refusal: The parser's error.
    """
    faults = refusal.errors(include_url=False)
    # The parser's errors about the message, and about a missing field of it, contain the whole message; those about a
    # field's value contain only this value.
    whole = next((each for each in faults if len(each["loc"]) - (each["type"] == "missing") < 2), None)
    # A blank line needs no answer. A message in which no field is missing is a response, which needs none either.
    if not whole or (isinstance(whole["input"], str) and not whole["input"].strip()):
        return
    given = whole["input"]
    if whole["type"] == "json_invalid":
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            yield _build_error(PARSE_ERROR, None, f"This is no JSON-RPC message: {whole['msg']}.")
            return
    for each in given if isinstance(given, list) and given else [given]:
        yield from _read(each)


def _read(given: Any) -> Iterator[JSONRPCMessage]:
    """Yield the message that is given as a JSON value, the error that answers it, or nothing if it needs no answer."""
    if isinstance(given, dict) and given.get("params") == []:
        given = {name: value for name, value in given.items() if name != "params"}
    try:
        message = jsonrpc_message_adapter.validate_json(
            replace_half_characters(json.dumps(given, ensure_ascii=False)), by_name=False
        )
    except (ValidationError, RecursionError) as error:
        if not isinstance(given, dict) or ("id" in given and not given.keys() & {"result", "error"}):
            id_ = given["id"] if isinstance(given, dict) else None
            yield _build_error(INVALID_REQUEST, id_, f"This is no JSON-RPC request: {_describe(error)}.")
        return
    # Half characters stay in the arguments of a tool call, so that the error can name the wrong argument. Elsewhere, a
    # question mark replaces them, because an answer that contains half a character cannot be sent.
    params = given.get("params")
    if given.get("method") == "tools/call" and isinstance(params, dict) and "arguments" in params:
        message.params["arguments"] = params["arguments"]  # type: ignore[union-attr, index]
    yield message


def _describe(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    fault = error.errors(include_url=False)[0]
    return ": ".join(map(str, (*fault["loc"][1:], fault["msg"])))


def _build_error(code: int, id_: Any, reason: str) -> JSONRPCError:
    is_valid = isinstance(id_, int | str) and not isinstance(id_, bool)
    return JSONRPCError(jsonrpc="2.0", id=id_ if is_valid else None, error=ErrorData(code=code, message=reason))
