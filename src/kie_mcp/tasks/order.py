"""A call that somebody wants run, and what makes it the same as another."""

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
    """What to run, for whom, and which take of it."""

    tool: str
    """Who asks."""
    call: KieModel
    route: str = ""
    """The only route to take; empty for those of the model."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of KIE's, which the model has no field for."""
    variation: int = 1
    """The same with another number is another take, paid for again."""
    live_price: str = ""
    """What KIE says that the model costs, where it was asked."""
    id: str = field(default_factory=lambda: new_id("t"))
    """The task's, if this call has not been made before."""

    def fingerprint(self, contents: Mapping[Ref, str]) -> str:
        """A mark that is equal for calls that ask for the same, under whatever name and with whatever names of files.

        Args:
            contents: What each file and each earlier task stands for.
        """
        sent = self.call.sent(lambda ref: contents[ref])
        wanted = [self.call.id, self.route, sent, dict(self.extra), self.variation]
        return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()

    def noted(self, contents: Mapping[Ref, str]) -> dict[str, Any]:
        """The arguments as the ledger keeps them: of a data URI, which is a whole file, only its mark.

        Args:
            contents: What each file and each earlier task stands for.
        """

        def note(ref: Ref) -> str:
            return f"sha256:{contents[ref]}" if ref.startswith("data:") else str(ref)

        return {**self.extra, **self.call.model_dump(mode="json", exclude_none=True, context=note)}
