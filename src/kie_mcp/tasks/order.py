"""Order: a call to run, and its idempotency key, by which a repeated call is recognised."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kie_mcp.catalog.fields import Ref
from kie_mcp.catalog.model import KieModel
from kie_mcp.ledger.task import new_id


@dataclass(frozen=True, slots=True)
class Order:
    """A call to run."""

    tool: str
    """The tool that was called."""
    call: KieModel
    route: str = ""
    """The id of the only route to try; empty for all routes of the model."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of KIE's that the model class does not have."""
    variation: int = 1
    """An equal call with another number is no repeated call: it runs and is paid for again."""
    live_price: str = ""
    """The price in KIE's words, where its live catalogue was read."""
    id: str = field(default_factory=lambda: new_id("t"))
    """The id of the task, unless this is a repeated call."""

    def idempotency_key(self, contents: Mapping[Ref, str]) -> str:
        """Return the idempotency key.

        It is equal for equal model, arguments and file contents; tool and file names do not count.

        Args:
            contents: What each reference stands for, by `References.identify()`.
        """
        sent = self.call.sent(lambda ref: contents[ref])
        request = [self.call.id, self.route, sent, dict(self.extra), self.variation]
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()

    def ledger_arguments(self, contents: Mapping[Ref, str]) -> dict[str, Any]:
        """Return the arguments as the ledger keeps them: of a data URI, which is a whole file, only its SHA-256.

        Args:
            contents: What each reference stands for, by `References.identify()`.
        """

        def note(ref: Ref) -> str:
            return f"sha256:{contents[ref]}" if ref.startswith("data:") else str(ref)

        return {**self.extra, **self.call.model_dump(mode="json", exclude_none=True, context=note)}
