"""What providers publish about themselves and their keys, as several real ones do, and which tokens then count."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from support.accounts import claims_for
from support.clock import JumpingClock
from support.servers import serve_at

from kie_mcp.config import Settings
from kie_mcp.kie.client import KieClient
from kie_mcp.server.accounts.access_tokens import AccessTokens
from kie_mcp.server.accounts.common_ledger import CommonLedger
from kie_mcp.server.accounts.provider import FRESH_SECONDS, RSA_ALGORITHMS, Provider, ProviderUnavailable
from kie_mcp.server.accounts.resource_server import ROOT, ResourceServer
from kie_mcp.server.http import PATH
from kie_mcp.server.middleware.extra_routes import ExtraRoutes

pytestmark = pytest.mark.anyio

AUDIENCE = "https://kie.example/mcp"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP384R1())
RSA_KEY = {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "rsa", "use": "sig"}
CURVE_KEY = {**ECAlgorithm.to_jwk(CURVE.public_key(), as_dict=True), "kid": "curve", "use": "sig"}
for _each in (RSA_KEY, CURVE_KEY):
    _each.pop("key_ops", None)

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


def sign(issuer: str, algorithm: str, id_: str = "rsa") -> str:
    private: Any = RSA if id_ == "rsa" else CURVE
    return jwt.encode(claims_for(issuer, AUDIENCE), private, algorithm=algorithm, headers={"kid": id_})


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand behind the check of tokens."""
    await Response("hello")(scope, receive, send)


@pytest.mark.parametrize("spelled", ["https://kie.example/", "https://KIE.example", "https://kie.example:443"])
async def test_a_token_for_the_address_that_clients_are_told_is_taken(clock: JumpingClock, spelled: str) -> None:
    async with publish(RSA_KEY) as issuer:
        settings = Settings(public_url=spelled, oidc_issuer=issuer)
        server = ResourceServer(settings, PATH, clock, KieClient, CommonLedger(settings).open)
        transport = httpx2.ASGITransport(ExtraRoutes(server.protect(greet), server.routes))
        async with httpx2.AsyncClient(transport=transport, base_url="https://kie.example") as http:
            told = (await http.get(ROOT)).json()["resource"]
            assert told == AUDIENCE
            answered = await http.get(PATH, headers={"Authorization": f"Bearer {sign(issuer, 'RS256')}"})
            assert answered.status_code == 200


@pytest.mark.parametrize("algorithm", RSA_ALGORITHMS)
async def test_a_key_without_an_algorithm_checks_tokens_of_the_first_algorithm_that_it_is_used_with(
    clock: JumpingClock, algorithm: str
) -> None:
    others = [each for each in RSA_ALGORITHMS if each != algorithm]
    async with publish(RSA_KEY) as issuer:
        tokens = AccessTokens(Provider(issuer, clock), AUDIENCE)
        # What nobody but the provider could sign decides about the algorithm.
        forged = f"{sign(issuer, others[0]).rpartition('.')[0]}.eA"
        assert await tokens.verify_token(forged) is None
        for _ in range(2):
            assert await tokens.verify_token(sign(issuer, algorithm)) is not None
        for other in others:
            assert await tokens.verify_token(sign(issuer, other)) is None
        # A provider that changes its algorithm is followed when its keys are read again.
        clock.now += FRESH_SECONDS
        assert await tokens.verify_token(sign(issuer, others[0])) is not None


async def test_a_key_with_an_algorithm_checks_no_tokens_of_another_one(clock: JumpingClock) -> None:
    async with publish({**RSA_KEY, "alg": "PS256"}) as issuer:
        tokens = AccessTokens(Provider(issuer, clock), AUDIENCE)
        for algorithm in RSA_ALGORITHMS:
            taken = await tokens.verify_token(sign(issuer, algorithm)) is not None
            assert taken == (algorithm == "PS256")


async def test_the_curve_of_a_key_without_an_algorithm_decides_about_the_algorithm(clock: JumpingClock) -> None:
    async with publish(CURVE_KEY, RSA_KEY) as issuer:
        tokens = AccessTokens(Provider(issuer, clock), AUDIENCE)
        assert await tokens.verify_token(sign(issuer, "ES384", "curve")) is not None
        good = sign(issuer, "ES384", "curve")
        # The same signature under the name of a key of another type, and under another algorithm's name.
        for header in (
            {"alg": "ES384", "kid": "rsa"},
            {"alg": "ES256", "kid": "curve"},
            {"alg": "RS256", "kid": "curve"},
        ):
            encoded = jwt.utils.base64url_encode(json.dumps(header).encode()).decode()
            assert await tokens.verify_token(f"{encoded}.{good.partition('.')[2]}") is None


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
