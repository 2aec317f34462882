"""What providers publish about themselves and their keys, as several real ones do, and which tokens then count."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from support.accounts import claims_for
from support.clock import JumpingClock
from support.servers import serve_at

from kie_mcp.server.accounts.access_tokens import AccessTokens
from kie_mcp.server.accounts.provider import Provider, ProviderUnavailable

pytestmark = pytest.mark.anyio

AUDIENCE = "https://kie.example/mcp"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_KEY = {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "rsa", "use": "sig"}
RSA_KEY.pop("key_ops", None)

Answer = tuple[int, Any]
"""A status, and the content of an answer: a text, or an object for JSON."""


@asynccontextmanager
async def publish(
    *keys: Mapping[str, Any], elsewhere: Answer = (404, {}), metadata: Mapping[str, Any] | None = None
) -> AsyncIterator[str]:
    """Serve a provider that has metadata only at the last address that is asked, and yield its issuer.

    Args:
        keys: The keys that the provider publishes.
        elsewhere: The answer at all other addresses.
        metadata: More metadata.
    """

    def build(address: str) -> ASGIApp:
        known = {"issuer": f"{address}/t", "jwks_uri": f"{address}/keys", **(metadata or {})}
        answers: dict[str, Answer] = {
            "/t/.well-known/openid-configuration": (200, known),
            "/keys": (200, {"keys": keys}),
        }

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            status, content = answers.get(Request(scope).url.path, elsewhere)
            body = content if isinstance(content, str) else json.dumps(content)
            await Response(body, status, {"Location": "/login"})(scope, receive, send)

        return answer

    async with serve_at(build) as address:
        yield f"{address}/t"


def sign(issuer: str, algorithm: str) -> str:
    return jwt.encode(claims_for(issuer, AUDIENCE), RSA, algorithm=algorithm, headers={"kid": "rsa"})


@pytest.mark.parametrize(
    "elsewhere",
    [
        (400, {"error": "invalid_request"}),
        (401, ""),
        (403, "Forbidden"),
        (405, {}),
        (302, ""),
        (204, ""),
        (200, "<!doctype html><title>Log in</title>"),
        (200, {"error": "no such tenant"}),
        (200, ["a list"]),
    ],
)
async def test_a_provider_may_answer_anything_at_an_address_where_it_has_no_metadata(
    clock: JumpingClock, elsewhere: Answer
) -> None:
    async with publish(RSA_KEY, elsewhere=elsewhere) as issuer:
        tokens = AccessTokens(Provider(issuer, clock), AUDIENCE)
        assert await tokens.verify_token(sign(issuer, "RS256")) is not None


@pytest.mark.parametrize(
    ("elsewhere", "metadata", "told"),
    [
        (
            (200, {"issuer": "https://evil.example", "jwks_uri": "https://evil.example"}),
            {},
            "calls itself https://evil",
        ),
        ((503, ""), {}, "503"),
        ((403, ""), {"issuer": "https://evil.example"}, "calls itself https://evil"),
    ],
)
async def test_another_issuer_or_a_broken_provider_ends_the_search_for_metadata(
    clock: JumpingClock, caplog: pytest.LogCaptureFixture, elsewhere: Answer, metadata: Mapping[str, Any], told: str
) -> None:
    async with publish(RSA_KEY, elsewhere=elsewhere, metadata=metadata) as issuer:
        with pytest.raises(ProviderUnavailable):
            await AccessTokens(Provider(issuer, clock), AUDIENCE).verify_token(sign(issuer, "RS256"))
    assert told in caplog.text


async def test_the_log_names_each_address_at_which_a_provider_has_no_metadata(
    clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with publish(elsewhere=(403, "")) as issuer:
        place = httpx2.URL(issuer)
        other = f"{place.scheme}://{place.netloc.decode()}/u"
        with pytest.raises(ProviderUnavailable):
            await Provider(other, clock).describe()
    assert f"{other}/.well-known/openid-configuration (403)" in caplog.text
