"""The first answers: from a generated file, before the SDK is imported, and byte for byte what the SDK says."""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from mcp.server.apps import APP_MIME_TYPE, Apps
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from support.sdk_server import start_sdk_server

from kie_mcp.server.extensions.tasks import EXTENSION_ID
from kie_mcp.server.handshake import shapes, writer
from kie_mcp.server.handshake.answers import ANSWERS_PATH, SIZES, Handshake, is_installed, load_handshake

LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
GALLERY = {Apps.identifier: {"mimeTypes": ["text/plain", APP_MIME_TYPE]}}
CAPABILITIES: dict[str, dict[str, Any]] = {
    "none": {},
    "usual": {"roots": {"listChanged": True}, "sampling": {"tools": {}}, "elicitation": {"form": {}, "url": {}}},
    "gallery": {"extensions": GALLERY},
    "gallery and tasks": {"extensions": GALLERY | {EXTENSION_ID: {}}, "roots": {}},
    "pages of another kind": {"extensions": {Apps.identifier: {"mimeTypes": ["text/html"]}}},
    "no kinds": {"extensions": {Apps.identifier: {"mimeTypes": APP_MIME_TYPE}}},
    "older tasks": {"tasks": {"list": {}, "requests": {"elicitation": {"create": {}}, "sampling": {}}}},
    "others": {"extensions": {"com.example/x": {"a": [1]}}, "experimental": {"y": {"b": None}}, "new": 1.5},
}
CLIENT = {
    "name": "Ä",
    "version": "1",
    "title": "A client",
    "websiteUrl": "https://example.com",
    "icons": [{"src": "data:,", "mimeType": "image/png", "sizes": ["any"], "theme": "dark"}],
}


@cache
def load(size: str) -> Handshake:
    loaded = load_handshake(size, "")
    assert loaded, "answers.json is stale"
    return loaded


def handshake(size: str = "standard") -> Handshake:
    """Return the answers for a new connection."""
    return copy.copy(load(size))


def message(method: str, params: dict[str, Any] | None = None, id_: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method} | ({} if params is None else {"params": params})


def initialize(version: str, capabilities: dict[str, Any], client: dict[str, Any] = CLIENT) -> dict[str, Any]:
    return message("initialize", {"protocolVersion": version, "capabilities": capabilities, "clientInfo": client}, 0)


def envelope(version: str, capabilities: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"_meta": {shapes.PROTOCOL_VERSION: version, shapes.CAPABILITIES: capabilities, **more}}


def conversation(version: str, capabilities: dict[str, Any]) -> list[dict[str, Any]]:
    """What a client of this version asks first, in several spellings."""
    if version in MODERN_PROTOCOL_VERSIONS:
        params = envelope(version, capabilities, **{shapes.CLIENT_INFO: CLIENT, "progressToken": "t"})
        return [message(method, params, id_) for id_, method in enumerate(("server/discover", *LISTS))]
    return [
        initialize(version, capabilities),
        *(message(method, None, f"{method} ~!'") for method in ("ping", *LISTS)),
        *(message(method, {"_meta": {"progressToken": 1, "a/b": None}, "more": 1}, -5) for method in LISTS),
        *(message(method, {"cursor": "x"}, 2**53 - 1) for method in LISTS),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("version", [*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS, "2031-01-01"])
async def test_the_first_answers_are_byte_for_byte_what_the_sdk_says(size: str, version: str) -> None:
    for name, capabilities in CAPABILITIES.items():
        ours = handshake(size)
        async with start_sdk_server(size) as sdk:
            for each in conversation(version, capabilities):
                reply = ours.answer(json.dumps(each))
                assert reply, f"{name}: {each['method']}"
                assert reply.text + "\n" == await sdk.answer(json.dumps(each) + "\n"), f"{name}: {each['method']}"


def changed(value: Any) -> Iterator[Any]:
    """Yield copies of a JSON value with each of its parts changed or left out."""
    yield from (None, True, 1, 0.5, "x", [], {}, [None], {"x": None})
    if isinstance(value, dict):
        for key, part in value.items():
            yield {name: each for name, each in value.items() if name != key}
            yield from ({**copy.deepcopy(value), key: each} for each in changed(part))
    if isinstance(value, list):
        for place, part in enumerate(value):
            yield from ([*value[:place], each, *value[place + 1 :]] for each in changed(part))


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["usual", "gallery and tasks", "older tasks", "others"])
async def test_a_request_that_the_sdk_refuses_is_never_answered_from_the_file(name: str) -> None:
    """Each part of each request is changed; what still is answered gets the answer that the SDK gives."""
    version = MODERN_PROTOCOL_VERSIONS[0]
    openings = [initialize("2025-11-25", CAPABILITIES[name])]
    requests = [message("server/discover", envelope(version, CAPABILITIES[name], **{shapes.CLIENT_INFO: CLIENT}))]
    answered = asked = 0
    for each in changed(openings[0]):
        asked += 1
        if reply := handshake().answer(json.dumps(each)):
            async with start_sdk_server("standard") as sdk:
                assert reply.text + "\n" == await sdk.answer(json.dumps(each)), each
            answered += 1
    async with start_sdk_server("standard") as sdk:
        # This decides the era, so that everything else is taken for a request of it.
        await sdk.answer(json.dumps(requests[0]))
        for each in changed(requests[0]):
            asked += 1
            if reply := handshake().answer(json.dumps(each)):
                assert reply.text + "\n" == await sdk.answer(json.dumps(each)), each
                answered += 1
    assert 20 < answered < asked


MODERN = envelope(MODERN_PROTOCOL_VERSIONS[0], {})


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "{",
        "nonsense",
        "[]",
        json.dumps([message("ping")]),
        '\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}',
        json.dumps({"jsonrpc": "1.0", "id": 1, "method": "ping"}),
        json.dumps({"id": 1, "method": "ping"}),
        json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}),
        json.dumps(message("ping", id_=None)),
        json.dumps(message("ping", id_=1.0)),
        json.dumps(message("ping", id_=True)),
        json.dumps(message("ping", id_=2**60)),
        json.dumps(message("ping", id_="ü")),
        json.dumps(message("ping", id_='"')),
        json.dumps(message("ping") | {"more": 1}),
        json.dumps(message("ping") | {"params": None}),
        json.dumps(message("ping") | {"params": []}),
        json.dumps(message("tools/call", {"name": "get_credits"})),
        json.dumps(message("resources/read", {"uri": "kie://models"})),
        json.dumps(message("server/discover")),
        json.dumps(message("tools/list", MODERN)),
        json.dumps(message("ping", MODERN)),
        json.dumps(message("tools/list", {"_meta": {"progressToken": 1.5}})),
        json.dumps(message("tools/list", {"cursor": 1})),
        json.dumps(initialize("2025-11-25", {})),
        "[" * 100_000,
    ],
)
def test_what_is_not_plainly_a_first_request_is_left_to_the_sdk(line: str) -> None:
    ours = handshake()
    assert ours.answer(json.dumps(initialize("2025-11-25", {})))
    assert ours.answer(line) is None


@pytest.mark.parametrize("method", ["ping", *LISTS, "server/discover"])
def test_a_request_before_initialize_is_left_to_the_sdk(method: str) -> None:
    assert handshake().answer(json.dumps(message(method))) is None


@pytest.mark.parametrize("capabilities", CAPABILITIES.values(), ids=CAPABILITIES)
def test_a_client_that_asked_what_is_supported_may_initialize(capabilities: dict[str, Any]) -> None:
    """@ai-sdk/mcp does so when the first answer comes late; the SDK would refuse it for the rest of the connection."""
    ours = handshake()
    assert ours.answer(json.dumps(message("server/discover", envelope("2026-07-28", capabilities))))
    reply = ours.answer(json.dumps(initialize("2025-11-25", capabilities)))
    assert reply
    assert '"protocolVersion":"2025-11-25"' in reply.text


@pytest.mark.parametrize(
    ("tools", "prefix"), [("image", ""), ("standard,veo_video", ""), ("nonsense", ""), ("", "kie"), ("all", " ")]
)
def test_other_lists_of_tools_are_left_to_the_sdk(tools: str, prefix: str) -> None:
    assert load_handshake(tools, prefix) is None


@pytest.mark.parametrize("tools", ["", " ", "Standard", "compact ", "ALL"])
def test_a_size_may_be_written_in_any_case(tools: str) -> None:
    assert load_handshake(tools, "")


def test_the_file_is_what_the_server_says_today() -> None:
    with open(ANSWERS_PATH, encoding="utf-8") as file:  # noqa: PTH123 - as the server opens it
        assert file.read() == writer.render(), f"Run {writer.COMMAND}."


def test_answers_of_another_version_of_the_sdk_are_not_used() -> None:
    with open(ANSWERS_PATH, encoding="utf-8") as file:  # noqa: PTH123 - as the server opens it
        packages = json.load(file)["packages"]
    assert set(packages) == {"mcp", "mcp_types"}
    for name, version in packages.items():
        assert is_installed(name, version)
        assert not is_installed(name, f"{version}.1")
    assert not is_installed("nothing", "1.0")


def test_the_first_answers_need_nothing_but_the_standard_library() -> None:
    script = f"""
import sys
before = set(sys.modules)
from kie_mcp import __main__
from kie_mcp.server import stdio
ours = stdio.load_handshake("", "")
assert ours.answer({json.dumps(initialize("2025-11-25", {}))!r})
assert ours.answer({json.dumps(message("tools/list"))!r})
new = set(sys.modules) - before
print(*{{name.partition(".")[0] for name in new}} - sys.stdlib_module_names)
print(*{{"asyncio", "pathlib", "logging", "dataclasses", "importlib.metadata"}} & new)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == ["kie_mcp"]
