"""The KIE keys that people store; they are encrypted, and can be decrypted only with the server's encryption keys."""

import json
from collections.abc import Awaitable, Callable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.server import access_token

FILE, SETTING = "encryption-key", "KIE_MCP_ENCRYPTION_KEYS"
"""Name of the encryption key's file in the data folder, and name of the setting that replaces this file."""


class UnreadableKey(ConfigurationError):
    """A stored key cannot be decrypted."""


class StoredKeys:
    """Stores and finds the KIE key of each tenant."""

    def __init__(self, settings: Settings, clock: Clock, open_ledger: Callable[[], Awaitable[Ledger]]) -> None:
        """Store the arguments.

        Args:
            settings: The settings, with the server's encryption keys.
            clock: The source of time.
            open_ledger: Returns the ledger that has the keys.

        Raises:
            ConfigurationError: When the server's encryption keys cannot be used.
        """
        self._clock = clock
        self._open_ledger = open_ledger
        self._cipher = MultiFernet([Fernet(each) for each in read_server_keys(settings)])

    async def find(self, tenant: str) -> SecretStr | None:
        """Return a tenant's KIE key; None if the tenant has stored none.

        Raises:
            UnreadableKey: When the KIE key cannot be decrypted, such as after a change of the encryption keys.
        """
        ciphertext = await (await self._open_ledger()).keys.find(tenant)
        return self._decrypt(tenant, ciphertext) if ciphertext else None

    async def save(self, tenant: str, key: str) -> None:
        """Store a tenant's KIE key, which replaces an earlier key."""
        await (await self._open_ledger()).keys.save(tenant, self._encrypt(tenant, key), self._clock.time())

    async def delete(self, tenant: str) -> None:
        """Delete a tenant's KIE key."""
        await (await self._open_ledger()).keys.delete(tenant)

    async def rotate(self) -> tuple[int, int]:
        """Encrypt all KIE keys again, with the first of the server's encryption keys.

        Returns:
            The number of keys that were encrypted again, and the number of keys that could not be decrypted.
        """
        table, unreadable = (await self._open_ledger()).keys, 0
        stored = await table.list_all()
        for tenant, ciphertext in stored.items():
            try:
                key = self._decrypt(tenant, ciphertext).get_secret_value()
            except UnreadableKey:
                unreadable += 1
                continue
            await table.replace(tenant, ciphertext, self._encrypt(tenant, key))
        return len(stored) - unreadable, unreadable

    def _encrypt(self, tenant: str, key: str) -> str:
        # The encrypted text includes the tenant's name. If somebody copies the text into another tenant's row, the
        # name does not match and the key is refused.
        return self._cipher.encrypt(json.dumps([tenant, key]).encode()).decode()

    def _decrypt(self, tenant: str, ciphertext: str) -> SecretStr:
        try:
            owner, key = json.loads(self._cipher.decrypt(ciphertext))
        except InvalidToken:
            owner, key = "", ""
        if owner != tenant:
            raise UnreadableKey("Your stored KIE key cannot be read any more.", "Store it again.")
        return SecretStr(key)


def read_server_keys(settings: Settings) -> list[str]:
    """Return the server's encryption keys: the first key encrypts, and all keys decrypt.

    Raises:
        ConfigurationError: When a key is not valid, or the file with the key cannot be used.
    """
    if settings.encryption_keys:
        texts = settings.encryption_keys.get_secret_value().replace(",", " ").split()
    else:
        texts = [access_token.read_or_make_token(settings.data_dir, FILE, SETTING)[0]]
    # Fernet needs padding at the end of a key, but the key in the file has none.
    texts = [text.rstrip("=") + "=" for text in texts]
    try:
        MultiFernet([Fernet(text) for text in texts])
    except ValueError:
        step = "Give 32 random bytes in URL-safe Base64: openssl rand -base64 32 | tr '+/' '-_'. Commas part several."
        raise ConfigurationError(f"{SETTING}, or its file, has a text that is no key.", step) from None
    return texts
