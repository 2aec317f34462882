"""Sign links to files, because browsers cannot send a token header for pictures, clips and downloads.

A cookie is not used: a browser sends a cookie to every port of a host, and so to other programs on this machine.
"""

import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from kie_mcp.clock import Clock

SIGNATURE, END = "key", "until"
"""Names of two query parameters: a link's signature, and the time at which the link stops working."""
DAY = 24 * 3600
"""Seconds in a day.

A link works for one to two days. All links to a file that are signed on one day are equal, so browsers can cache it.
"""


class SignedLinks:
    """Signs links and checks them."""

    def __init__(
        self, fields: Mapping[str, str] | None = None, *, shared_secret: str = "", clock: Clock | None = None
    ) -> None:
        """Store the arguments.

        Args:
            fields: Query parameters that are added to each link.
            shared_secret: A secret that several processes share, so that each of them accepts the links of all
                processes. If empty, only this object accepts its links.
            clock: The source of time; None for the system's clock.
        """
        self._fields = dict(fields or {})
        own = secrets.token_bytes(32)
        self._secret = hmac.digest(shared_secret.encode(), b"links to files", "sha256") if shared_secret else own
        self._clock = clock or Clock()

    def sign(self, path: str, **query: str) -> str:
        """Return a link to a path, with the query, the time at which the link stops working, and a signature.

        The link is relative to the root of the server, and so to the page, which a proxy may have put below a path.
        """
        end = (self._clock.time() // DAY + 2) * DAY
        whole = {**query, **self._fields, END: f"{end:.0f}"}
        return f"{path.removeprefix('/')}?{urlencode({**whole, SIGNATURE: self._compute(path, whole)})}"

    def is_signed(self, path: str, query: str) -> bool:
        """Return whether a link with this path and query has a correct signature, and has not stopped working yet."""
        pairs = parse_qsl(query, keep_blank_values=True)
        fields = dict(pairs)
        given = fields.pop(SIGNATURE, "")
        # A link with a parameter that occurs twice is refused, because the check could see another value than the
        # handler.
        is_single = len(pairs) == len(fields) + 1
        is_good = is_single and hmac.compare_digest(given.encode(), self._compute(path, fields).encode())
        return is_good and float(fields[END]) > self._clock.time()

    def _compute(self, path: str, query: dict[str, str]) -> str:
        message = f"{path}?{urlencode(sorted(query.items()))}".encode()
        return hmac.new(self._secret, message, "sha256").hexdigest()
