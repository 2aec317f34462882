"""Order: what a caller wants to run; its idempotency key shows whether a later call repeats an earlier one."""

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
    """What a caller wants to run: a model with its arguments, and options such as the route."""

    tool: str
    """The name of the MCP tool that was called."""
    call: KieModel
    route: str = ""
    """The id of the only route to try; empty to try all routes of the model."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields for KIE's request body that the model class does not define."""
    variation: int = 1
    """A part of the idempotency key: an equal call with another variation makes, and pays for, a new task."""
    live_price: str = ""
    """The price in the words of KIE's live catalogue; empty when the catalogue was not read."""
    notes: tuple[str, ...] = ()
    """Sentences to add to the answer, for example that a field is newer than the model class."""
    id: str = field(default_factory=lambda: new_id("t"))
    """The id that the new task gets; a repeated call returns the existing task, which has another id."""

    def idempotency_key(self, contents: Mapping[Ref, str]) -> str:
        """Return the idempotency key of the call.

        Calls with equal model, route, arguments, file contents and variation have equal keys. The names of the tool and
        of the files, and blanks at the ends of texts, do not change the key.

        Args:
            contents: For each reference, the string from `References.identify()` that identifies its content.
        """
        sent = self.call.sent(lambda ref: contents[ref])
        request = _strip_texts([self.call.id, self.route, sent, dict(self.extra), self.variation])
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()

    def tariff(self, lengths: Lengths) -> tuple[str, float]:
        """Return the price key and the number of price units, as `KieModel.tariff()` does.

        The fields in `extra` are a part of this price key, because the price may depend on them too.

        Args:
            lengths: The length in seconds of each file that was measured, by the reference to the file.
        """
        price_key, units = self.call.tariff(lengths)
        if price_key and self.extra:
            price_key += json.dumps(dict(self.extra), sort_keys=True)
        return price_key, units

    def ledger_arguments(self, contents: Mapping[Ref, str]) -> dict[str, Any]:
        """Return the arguments as the ledger stores them; a SHA-256 replaces each data URI, which holds a whole file.

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
