"""Check access tokens: signed ones (JWT) with the provider's keys, all others by asking the provider."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
from mcp.server.auth.provider import AccessToken, TokenVerifier

from kie_mcp.server.accounts.introspection import Introspection
from kie_mcp.server.accounts.provider import ALGORITHMS, Provider

READ = "kie:read"
"""The scope that every call needs."""
SPEND = "kie:spend"
"""The scope that calls need which make or change something."""
MOST_CHARACTERS = 16 * 1024
"""Most characters of a token."""
LEEWAY_SECONDS = 10
"""Seconds by which the clocks of the provider and of this machine may differ."""
TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
"""Types in the header of access tokens (RFC 9068); other kinds of tokens have types of their own."""


class AccessTokens(TokenVerifier):
    """Checks tokens; of one that is not valid, nobody is told why."""

    def __init__(self, provider: Provider, audience: str, introspection: Introspection | None = None) -> None:
        """Store the arguments.

        Args:
            provider: Has the keys of signed tokens.
            audience: What a token has to be issued for.
            introspection: Asks the provider about tokens that are not signed; None if they are refused.
        """
        self._provider = provider
        self._audience = audience
        self._introspection = introspection

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return who sent a token and what it allows; None if it is not valid.

        Raises:
            ProviderUnavailable: When the provider has to be asked, and does not answer.
        """
        if len(token) > MOST_CHARACTERS:
            return None
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            claims = await self._introspection.ask(token) if self._introspection else None
        else:
            claims = await self._read_signed(token, header)
        subject = claims.get("sub") if claims else None
        # A token without a subject is of no person: all such tokens would be those of one tenant.
        return self._describe(claims) if claims and subject and isinstance(subject, str) else None

    async def _read_signed(self, token: str, header: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the claims of a signed token; None if it is not valid."""
        # Addresses of keys in the header (`jku`, `x5u`) and keys (`jwk`) are never looked at.
        key_id, type_ = header.get("kid"), header.get("typ", "")
        is_plausible = isinstance(key_id, str) and isinstance(type_, str) and type_.lower() in TYPES
        if not is_plausible or header.get("alg") not in ALGORITHMS:
            return None
        key = await self._provider.find_key(str(key_id))
        if not key:
            return None
        try:
            return jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._provider.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError:
            return None

    def _describe(self, claims: Mapping[str, Any]) -> AccessToken:
        return AccessToken(
            # Nobody needs the token itself any more, and what nobody has gets into no log.
            token="",
            client_id=str(claims.get("client_id") or claims.get("azp") or ""),
            scopes=_read_scopes(claims),
            expires_at=int(claims["exp"]) + LEEWAY_SECONDS,
            resource=self._audience,
            subject=claims["sub"],
            claims={"iss": self._provider.issuer},
        )


def _read_scopes(claims: Mapping[str, Any]) -> list[str]:
    """Return the scopes of a token: a text with blanks between them, or a list; some providers call them `scp`."""
    given = claims.get("scope") or claims.get("scp") or ""
    return given.split() if isinstance(given, str) else [each for each in given if isinstance(each, str)]


def name_tenant(issuer: str, subject: str) -> str:
    """Return the name of the tenant for one subject of one provider; it tells neither of them."""
    digest = hashlib.sha256(f"{len(issuer)} {issuer} {subject}".encode()).digest()
    return base64.b32encode(digest[:15]).decode().lower()
