"""Check access tokens: a JWT by its signature, any other token by asking the provider that issued it."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
from mcp.server.auth.provider import AccessToken, TokenVerifier

from kie_mcp.server.accounts.introspection import Introspection
from kie_mcp.server.accounts.provider import ALGORITHMS, Provider
from kie_mcp.tasks.permission import Budget

READ = "kie:read"
"""The scope that every call needs."""
SPEND = "kie:spend"
"""The scope that a call needs in addition to `READ` if it creates or changes something, such as a task."""
BUDGET = "kie_mcp.budget"
"""Key in the `claims` of a checked token; the value is the person's `Budget`, or None if there is none."""
MAX_CHARACTERS = 16 * 1024
"""Maximum length of a token, in characters."""
LEEWAY_SECONDS = 10
"""Maximum seconds by which the clocks of the provider and of this machine may differ."""
TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
"""Accepted values of `typ` in a token's header; other kinds of tokens have other values (RFC 9068)."""


class AccessTokens(TokenVerifier):
    """Checks access tokens; a caller does not learn why its token is not valid."""

    def __init__(
        self, provider: Provider, audience: str, introspection: Introspection | None = None, budget_claim: str = ""
    ) -> None:
        """Store the arguments.

        Args:
            provider: The OAuth provider, which has the public keys for signed tokens.
            audience: The audience for which a token has to be issued.
            introspection: Asks the provider about tokens that are not signed; None to refuse such tokens.
            budget_claim: Name of the claim with a person's budget; empty if there is no such claim.
        """
        self._provider = provider
        self._audience = audience
        self._introspection = introspection
        self._budget_claim = budget_claim

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the subject and the scopes of a token; None if the token is not valid.

        Raises:
            ProviderUnavailable: When the check needs an answer of the provider, and the provider does not answer.
        """
        if len(token) > MAX_CHARACTERS:
            return None
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            claims = await self._introspection.ask(token) if self._introspection else None
        else:
            claims = await self._read_signed(token, header)
        subject = claims.get("sub") if claims else None
        # A token without a subject is refused: all callers with such tokens would share one tenant.
        return self._describe(claims) if claims and subject and isinstance(subject, str) else None

    async def _read_signed(self, token: str, header: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the claims of a signed token; None if the token is not valid."""
        # Keys (`jwk`) and addresses of keys (`jku`, `x5u`) in the header are ignored, because anybody can write them.
        key_id, type_ = header.get("kid"), header.get("typ", "")
        is_plausible = isinstance(key_id, str) and isinstance(type_, str) and type_.lower() in TYPES
        if not is_plausible or header.get("alg") not in ALGORITHMS:
            return None
        key = await self._provider.find_key(str(key_id))
        if not key:
            return None
        try:
            claims = jwt.decode(
                token,
                key.key,
                algorithms=key.algorithms,
                audience=self._audience,
                issuer=self._provider.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError:
            return None
        key.algorithms = (header["alg"],)
        return claims

    def _describe(self, claims: Mapping[str, Any]) -> AccessToken:
        return AccessToken(
            # The token itself is left out: nothing needs the token any more, and a log of this object cannot reveal it.
            token="",
            client_id=str(claims.get("client_id") or claims.get("azp") or ""),
            scopes=_read_scopes(claims),
            expires_at=int(claims["exp"]) + LEEWAY_SECONDS,
            resource=self._audience,
            subject=claims["sub"],
            claims={"iss": self._provider.issuer, BUDGET: self._read_budget(claims)},
        )

    def _read_budget(self, claims: Mapping[str, Any]) -> Budget | None:
        """Return the budget in a token's claims; None if there is none.

        A wrong value raises an error only later, when `Budget.credits` is read.
        """
        name = self._budget_claim
        return Budget(name, claims[name]) if name and name in claims else None


def _read_scopes(claims: Mapping[str, Any]) -> list[str]:
    """Return a token's scopes from the claim `scope` or `scp`: a list, or a text with blanks between the scopes."""
    given = claims.get("scope") or claims.get("scp") or ""
    return given.split() if isinstance(given, str) else [each for each in given if isinstance(each, str)]


def name_tenant(issuer: str, subject: str) -> str:
    """Return the tenant's name for a subject of a provider: a hash, which reveals neither subject nor provider."""
    digest = hashlib.sha256(f"{len(issuer)} {issuer} {subject}".encode()).digest()
    return base64.b32encode(digest[:15]).decode().lower()
