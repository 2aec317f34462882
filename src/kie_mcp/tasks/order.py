"""Order: a call to run, with its idempotency key, which shows whether a later call repeats it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kie_mcp.catalog.amount import Lengths
from kie_mcp.catalog.fields import Ref
from kie_mcp.catalog.model import KieModel
from kie_mcp.ledger.task import new_id


@dataclass(frozen=True, slots=True)
class Order:
    """A model call that the runner shall run, with its options."""

    tool: str
    """The name of the MCP tool that was called."""
    call: KieModel
    route: str = ""
    """The id of the only route to try; empty to try all routes of the model."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields for KIE's request body that the model class does not define."""
    variation: int = 1
    """A number that is part of the idempotency key: an equal call with another number runs, and is paid for, again."""
    live_price: str = ""
    """The price in the words of KIE's live catalogue; empty when the catalogue was not read."""
    notes: tuple[str, ...] = ()
    """What the answer to the call says in addition, such as that a field is newer than the model class."""
    id: str = field(default_factory=lambda: new_id("t"))
    """The id that the new task gets; a repeated call returns the existing task, which has another id."""

    def idempotency_key(self, contents: Mapping[Ref, str]) -> str:
        """Return the idempotency key of the call.

        Calls with equal model, arguments and file contents have equal keys; tool and file names do not count, nor do
        blanks at the ends of texts.

        Args:
            contents: For each reference, the string from `References.identify()` that identifies its content.
        """
        sent = self.call.sent(lambda ref: contents[ref])
        request = _strip_texts([self.call.id, self.route, sent, dict(self.extra), self.variation])
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()

    def tariff(self, lengths: Lengths) -> tuple[str, float]:
        """Return the price key and the number of price units, as `KieModel.tariff()`.

        The price may depend on further fields too, so these are part of the key.

        Args:
            lengths: The seconds of the call's files that were measured.
        """
        price_key, units = self.call.tariff(lengths)
        if price_key and self.extra:
            price_key += json.dumps(dict(self.extra), sort_keys=True)
        return price_key, units

    def ledger_arguments(self, contents: Mapping[Ref, str]) -> dict[str, Any]:
        """Return the arguments as the ledger stores them, with a SHA-256 in place of a data URI, which is a whole file.

        Args:
            contents: For each reference, the string from `References.identify()` that identifies its content.
        """

        def note(ref: Ref) -> str:
            return f"sha256:{contents[ref]}" if ref.startswith("data:") else str(ref)

        return {**self.extra, **self.call.model_dump(mode="json", exclude_none=True, context=note)}


def _strip_texts(value: Any) -> Any:
    """Return a JSON value without the blanks at the ends of its texts."""
    match value:
        case str():
            return value.strip()
        case list() | tuple():
            return [_strip_texts(each) for each in value]
        case Mapping():
            return {name: _strip_texts(each) for name, each in value.items()}
        case _:
            return value
