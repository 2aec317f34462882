"""Links to files that work without a header, because a browser sends none for pictures, clips and downloads.

There is no cookie: a browser sends a cookie to every port of a host, and so to other programs on this machine.
"""

import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

SIGNATURE = "key"
"""Name of the query parameter with the signature of a link."""


class SignedLinks:
    """Signs links and checks them; the links of one process work until that process ends."""

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        """Make a secret; each link has these fields in its query as well."""
        self._fields = dict(fields or {})
        self._secret = secrets.token_bytes(32)

    def sign(self, path: str, **query: str) -> str:
        """Return a link to a path, with its query and a signature for both."""
        whole = {**query, **self._fields}
        return f"{path}?{urlencode({**whole, SIGNATURE: self._compute(path, whole)})}"

    def is_signed(self, path: str, query: str) -> bool:
        """Return whether this process signed a link to a path with this query."""
        pairs = parse_qsl(query, keep_blank_values=True)
        fields = dict(pairs)
        given = fields.pop(SIGNATURE, "")
        # If a parameter came twice, one value could be checked and the other one used.
        is_single = len(pairs) == len(fields) + 1
        return is_single and hmac.compare_digest(given.encode(), self._compute(path, fields).encode())

    def _compute(self, path: str, query: dict[str, str]) -> str:
        message = f"{path}?{urlencode(sorted(query.items()))}".encode()
        return hmac.new(self._secret, message, "sha256").hexdigest()
