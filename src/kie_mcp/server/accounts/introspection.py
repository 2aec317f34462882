"""Token introspection (RFC 7662): ask the provider about tokens that are not signed."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import anyio
import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client

from kie_mcp.clock import Clock
from kie_mcp.server.accounts.provider import TIMEOUT_SECONDS, Provider, ProviderUnavailable

KEPT_SECONDS = 30
"""Seconds for which an answer of the provider is cached; a revoked token may still work for this time."""
MAX_KEPT = 10_000
"""Maximum number of cached answers of the provider."""
AT_ONCE = 10
"""Maximum number of concurrent requests to the provider."""

logger = logging.getLogger(__name__)


class Introspection:
    """Asks the provider about tokens, and caches the answers for a short time."""

    def __init__(self, provider: Provider, client_id: str, client_secret: str, audience: str, clock: Clock) -> None:
        """Store the arguments.

        Args:
            provider: The provider.
            client_id: The id of this server at the provider.
            client_secret: The secret of this server at the provider.
            audience: The audience for which a token has to be issued.
            clock: The source of time.
        """
        self._provider = provider
        self._credentials = client_id, client_secret
        self._audience = audience
        self._clock = clock
        self._limit = anyio.CapacityLimiter(AT_ONCE)
        self._answers: OrderedDict[bytes, tuple[float, Mapping[str, Any] | None]] = OrderedDict()

    async def ask(self, token: str) -> Mapping[str, Any] | None:
        """Return the claims of a token; None if the token is not valid.

        Raises:
            ProviderUnavailable: When the provider does not answer.
        """
        # The cache has hashes as keys, so that no token stays in memory.
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock.monotonic()
        asked_at, claims = self._answers.get(digest, (float("-inf"), None))
        if now - asked_at >= KEPT_SECONDS:
            async with self._limit:
                answer = await self._ask(token)
            claims = answer if self._is_valid(answer) else None
            self._answers[digest] = now, claims
            self._answers.move_to_end(digest)
            if len(self._answers) > MAX_KEPT:
                self._answers.popitem(last=False)
        return claims

    async def _ask(self, token: str) -> dict[str, Any]:
        metadata = (await self._provider.describe()).metadata
        if not (endpoint := metadata.get("introspection_endpoint")):
            return {}
        methods = metadata.get("introspection_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = next((each for each in ("client_secret_basic", "client_secret_post") if each in methods), "none")
        try:
            async with AsyncOAuth2Client(
                *self._credentials, token_endpoint_auth_method=method, timeout=TIMEOUT_SECONDS
            ) as client:
                answer = await client.introspect_token(endpoint, token=token, token_type_hint="access_token")  # noqa: S106
            answer.raise_for_status()
            return dict(answer.json())
        except (httpx2.HTTPError, ValueError, TypeError) as error:
            logger.warning("The OAuth provider does not answer about a token: %s", type(error).__name__)
            raise ProviderUnavailable(f"{type(error).__name__} at {self._provider.issuer}") from None

    def _is_valid(self, answer: Mapping[str, Any]) -> bool:
        """Return whether the provider's answer says that a token is valid and was issued for this server."""
        audience = answer.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        is_ours = self._audience in audiences and answer.get("iss", self._provider.issuer) == self._provider.issuer
        return answer.get("active") is True and is_ours and isinstance(answer.get("exp"), int)
