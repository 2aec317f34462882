"""The OAuth provider: discover its endpoints and public keys from the provider's address in the settings."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import httpx2
from jwt import PyJWKSet, PyJWTError
from mcp.client.auth.utils import build_oauth_authorization_server_metadata_discovery_urls
from starlette.authentication import AuthenticationError

from kie_mcp.clock import Clock
from kie_mcp.kie.connection import load_certificates

if TYPE_CHECKING:
    from jwt.algorithms import AllowedPublicKeys

RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS = (*RSA_ALGORITHMS, "ES256", "ES384", "ES512", "EdDSA")
"""Accepted signature algorithms; all of them are asymmetric, so that nobody can sign with a public key."""
FRESH_SECONDS = 300
"""Seconds after which the provider's keys are read again."""
KEPT_SECONDS = 24 * 3600
"""Maximum age in seconds of keys that are used while the provider does not answer."""
PAUSE_SECONDS = 10
"""Minimum seconds between two requests for the provider's keys."""
TIMEOUT_SECONDS = 5
"""Maximum seconds to wait for an answer from the provider."""

logger = logging.getLogger(__name__)


class ProviderUnavailable(AuthenticationError):
    """The provider did not answer, so a token cannot be checked."""


@dataclass
class SigningKey:
    """A public key with which the provider's signatures are checked."""

    key: "AllowedPublicKeys"
    """The key itself."""
    algorithms: Sequence[str]
    """The algorithms of signatures that this key may check.

    A key that the provider publishes without an algorithm (`alg`) has several. The first valid token leaves only its
    own algorithm here, because a key must be used with exactly one algorithm (RFC 8725, section 3.1).
    """


@dataclass(frozen=True)
class Description:
    """What a provider publishes about itself."""

    metadata: Mapping[str, Any]
    """The metadata of OpenID Connect Discovery or RFC 8414."""
    keys: Mapping[str, SigningKey]
    """The provider's public keys for signatures, by key id."""


class Provider:
    """Reads the metadata and signing keys of the OpenID provider, and caches them for times when it does not answer."""

    def __init__(self, issuer: str, clock: Clock) -> None:
        """Store the arguments; nothing is read yet.

        Args:
            issuer: The provider's address, exactly as the provider's tokens name it.
            clock: The source of time.
        """
        self.issuer = issuer
        self._clock = clock
        self._lock = anyio.Lock()
        self._known: Description | None = None
        self._read_at = self._asked_at = float("-inf")
        self._failure = ""

    async def describe(self) -> Description:
        """Return the provider's metadata and keys, from the cache if it is fresh.

        Raises:
            ProviderUnavailable: When the provider does not answer, and the cache is empty or too old.
        """
        # While one request waits for the provider, other requests use the cache, because the answer may take long.
        is_usable = self._known and self._age() < (KEPT_SECONDS if self._lock.locked() else FRESH_SECONDS)
        if not is_usable:
            async with self._lock:
                if self._age() >= FRESH_SECONDS:
                    await self._ask()
        if not self._known or self._age() >= KEPT_SECONDS:
            raise ProviderUnavailable(self._failure)
        return self._known

    async def find_key(self, id_: str) -> SigningKey | None:
        """Return the key with this id; None if the provider has no such key.

        Raises:
            ProviderUnavailable: When the key is not known, and the provider cannot be asked for it.
        """
        if key := (await self.describe()).keys.get(id_):
            return key
        async with self._lock:
            await self._ask()
            key = self._known.keys.get(id_) if self._known else None
            if not key and self._failure:
                raise ProviderUnavailable(self._failure)
            return key

    def _age(self) -> float:
        return self._clock.monotonic() - self._read_at

    async def _ask(self) -> None:
        """Read the provider's metadata and keys, unless the last request was less than `PAUSE_SECONDS` ago."""
        if self._clock.monotonic() - self._asked_at < PAUSE_SECONDS:
            return
        self._asked_at = self._clock.monotonic()
        try:
            with anyio.fail_after(TIMEOUT_SECONDS):
                self._known = await _read_description(self.issuer)
        except (TimeoutError, httpx2.HTTPError, PyJWTError, ValueError, KeyError, TypeError) as error:
            self._failure = f"{type(error).__name__} at {self.issuer}"
            logger.warning("The keys of the OAuth provider cannot be read: %s: %s", self._failure, error)
        else:
            self._read_at, self._failure = self._asked_at, ""


async def _read_description(issuer: str) -> Description:
    """Read a provider's metadata and keys. Redirects are not followed.

    Raises:
        httpx2.HTTPError: When the provider does not answer, or answers with an error.
        ValueError: When an answer is not JSON, or the metadata is missing, wrong or names another issuer.
        KeyError: When the metadata has no address of the keys.
        PyJWTError: When the provider publishes no key.
    """
    async with httpx2.AsyncClient(verify=load_certificates(), timeout=TIMEOUT_SECONDS) as client:
        metadata = await _read_metadata(client, issuer)
        address = str(metadata["jwks_uri"])
        if urlsplit(address).scheme != "https" and urlsplit(issuer).scheme == "https":
            raise ValueError("jwks_uri is not https")
        answer = await client.get(address)
    answer.raise_for_status()
    return Description(metadata, _read_keys(answer.json()))


def _read_keys(key_set: dict[str, Any]) -> dict[str, SigningKey]:
    """Return the keys for signatures in a JSON Web Key Set, by key id.

    Raises:
        PyJWTError: When the set has no key that can be read.
    """
    with_algorithm = {str(each.get("kid")) for each in key_set["keys"] if isinstance(each, dict) and each.get("alg")}
    keys = {}
    for key in PyJWKSet.from_dict(key_set):
        if key.key_id and key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS:
            # Keys of other types than RSA have only one algorithm, even if the provider does not name it.
            is_open = key.key_type == "RSA" and str(key.key_id) not in with_algorithm
            keys[str(key.key_id)] = SigningKey(key.key, RSA_ALGORITHMS if is_open else (key.algorithm_name,))
    return keys


async def _read_metadata(client: httpx2.AsyncClient, issuer: str) -> dict[str, Any]:
    """Return the provider's metadata from the first well-known URL that has metadata.

    Raises:
        httpx2.HTTPError: When the provider does not answer, or answers with a server error.
        ValueError: When no URL has metadata, or the metadata names another issuer.
    """
    answered = []
    for url in build_oauth_authorization_server_metadata_discovery_urls(issuer, issuer):
        answer = await client.get(url)
        if answer.is_server_error:
            answer.raise_for_status()
        metadata = _parse_metadata(answer)
        if not metadata:
            answered.append(f"{url} ({answer.status_code})")
        elif metadata["issuer"] != issuer:
            raise ValueError(f"the provider calls itself {metadata['issuer']}, KIE_MCP_OIDC_ISSUER is {issuer}")
        else:
            return metadata
    raise ValueError(f"it has no metadata at {', '.join(answered)}")


def _parse_metadata(answer: httpx2.Response) -> dict[str, Any]:
    """Return the metadata in an answer; empty if the answer is something else.

    At a well-known URL that they do not have, providers answer not only with status 404, but also with other errors,
    redirects or a web page.
    """
    if answer.status_code != 200:
        return {}
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) and "issuer" in content else {}
