"""Order: what a caller wants to run. Two calls with the same idempotency key count as the same call."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kie_mcp.catalog.amount import Lengths
from kie_mcp.catalog.fields import Ref
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.errors import InvalidCall
from kie_mcp.kie import routes
from kie_mcp.ledger.task import new_id
from kie_mcp.text import make_visible

_URL = re.compile(r"\A(https?)://([^/?#@\s]*@)?([^/?#@\s]+)(\S*)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """A call that a caller wants to run: a model with its arguments, and options such as the route."""

    tool: str
    """The name of the MCP tool that was called."""
    call: KieModel
    route: str = ""
    """The id of the only route to try; empty to try the model's routes one after the other."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Additional fields of the create request that the model class does not define, under KIE's names."""
    variation: int = 1
    """A number in the idempotency key: an equal call with another variation creates a new task and costs again."""
    live_price: str = ""
    """KIE's price text from its list of models; empty if the list was not read."""
    repeats_since: float | None = None
    """Time, in seconds since 1970, since which an equal call counts as an earlier one; None for the repeat window.

    It only matters if it is before the repeat window.
    """
    notes: tuple[str, ...] = ()
    """Sentences that are added to the answer for the user, for example that a field is newer than the model class."""
    id: str = field(default_factory=lambda: new_id("t"))
    """The ledger's id of the new task; it is not used if the call is a repeated one, which returns the earlier task."""

    def idempotency_key(self, contents: Mapping[Ref, str]) -> str:
        """Return the idempotency key, which is equal for two calls if the second one repeats the first.

        Two calls with equal model, route, arguments, file contents and variation have equal keys. The name of the tool,
        names of files, and differences between texts that nobody sees do not change the key.

        Args:
            contents: For each file or earlier task that the arguments name, a string from `References.identify()` that
                identifies the content.
        """
        sent = self.call.sent(lambda ref: contents[ref])
        request = _normalize_texts([self.call.id, self.route, sent, dict(self.extra), self.variation])
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()

    def build_bodies(
        self, resolved: Mapping[Hashable, str], *, service: bool, callback_url: str = ""
    ) -> dict[str, dict[str, Any]]:
        """Return the body of the create request for each route id, in the order in which to try the routes.

        Args:
            resolved: KIE's URL or id for the key of each reference to a file or an earlier task (`Ref.key`).
            service: Whether to use the routes in KIE's model list instead of those in KIE's documented API.
            callback_url: URL that KIE calls when the task has ended; empty if KIE calls no URL.
        """
        route_ids = (self.route,) if self.route else routes.route_ids(self.call, service=service)
        build = partial(routes.build_body, self.call, callback_url=callback_url, extra=self.extra)
        return {id_: build(id_, resolve=lambda ref: resolved.get(ref.key, str(ref))) for id_ in route_ids}

    def tariff(self, lengths: Lengths) -> tuple[str, float]:
        """Return the price key and the number of price units, such as seconds; see `KieModel.tariff()`.

        Calls with equal price keys have the same price per unit. The fields in `extra` are a part of the key, because
        the price may depend on them too.

        Args:
            lengths: For each file that was measured, its length in seconds; the key is the reference in the arguments.
        """
        price_key, units = self.call.tariff(lengths)
        if price_key and self.extra:
            price_key += json.dumps(dict(self.extra), sort_keys=True)
        return price_key, units

    def ledger_arguments(self, contents: Mapping[Ref, str]) -> dict[str, Any]:
        """Return the arguments for the ledger: each data URI, which contains a whole file, is replaced by its SHA-256.

        Args:
            contents: For each file or earlier task that the arguments name, a string from `References.identify()` that
                identifies the content.
        """

        def note(ref: Ref) -> str:
            return f"sha256:{contents[ref]}" if ref.startswith("data:") else str(ref)

        return {**self.extra, **self.call.model_dump(mode="json", exclude_none=True, context=note)}


def read_call(id_: str, fields: Mapping[str, Any]) -> tuple[KieModel, dict[str, Any]]:
    """Rebuild a call of a built-in model from its request fields, which `KieModel.sent(str)` returned.

    Args:
        id_: KIE's id of the model.
        fields: The fields of the request, under KIE's names.

    Returns:
        The call, and the fields that the model's class does not define, because KIE added them later. Such fields are
        sent unchanged.

    Raises:
        InvalidCall: When this version of kie-mcp has no such model any more, or the model does not accept the fields.
    """
    if id_ not in MODELS:
        raise InvalidCall(f"{id_} is no model of this version of kie-mcp.", "find_models names the models of today.")
    model, family = MODELS[id_], MODELS.find_family(id_)
    arguments = model.received(fields)
    added = {name: value for name, value in arguments.items() if name not in model.model_fields}
    known = {name: value for name, value in arguments.items() if name not in added}
    try:
        return family.parse({**known, "model": id_}, pasted=True), added
    except ValueError as error:
        raise InvalidCall(f"{error}.", "Call the tool by itself.") from None


def _normalize_texts(value: Any) -> Any:
    """Return a copy of a JSON value whose texts are equal if they only differ in what nobody sees.

    That is invisible characters, spaces at the start, at the end and before line breaks, the Unicode form of accents,
    and the case of the host and the default port of a URL.
    """
    match value:
        case str():
            lines = unicodedata.normalize("NFC", make_visible(value)).strip().split("\n")
            return _URL.sub(_normalize_host, "\n".join(line.rstrip() for line in lines))
        case list() | tuple():
            return [_normalize_texts(each) for each in value]
        case Mapping():
            return {name: _normalize_texts(each) for name, each in value.items()}
        case _:
            return value


def _normalize_host(found: re.Match[str]) -> str:
    scheme, login, host, rest = found.groups(default="")
    scheme = scheme.lower()
    return f"{scheme}://{login}{host.lower().removesuffix({'http': ':80', 'https': ':443'}[scheme])}{rest}"
