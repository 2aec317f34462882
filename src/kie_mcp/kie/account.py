"""The name of a KIE account, for tables and rate limits that several servers share."""

import hashlib


def name_account(key: str) -> str:
    """Return the name of a KIE account: a hash of the API key, which does not reveal the key."""
    return hashlib.blake2b(key.encode(), digest_size=8, person=b"kie-mcp").hexdigest()
