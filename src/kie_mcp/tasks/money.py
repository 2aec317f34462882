"""Money: compute what a call may cost (its quote), and how many credits to reserve for the spending caps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from kie_mcp.catalog.amount import NOT_MEASURED, Lengths
from kie_mcp.catalog.credits import format_credits, format_number
from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.model import PRICE_KEY_FIELDS, KieModel
from kie_mcp.catalog.price import AS_OF, Estimate, add_estimates
from kie_mcp.catalog.registry import MODELS
from kie_mcp.ledger.task import Task


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote: the number of credits that a call is likely to cost, and the source of this estimate."""

    estimate: Estimate
    basis: str
    """The source of the estimate, such as `live price`."""
    reserve: float
    """Credits to reserve, for caps and confirmations; if the price is unknown, the highest price of similar models."""

    @property
    def known(self) -> tuple[float, float] | None:
        """The lowest and the highest number of credits that the call may cost; None if the price is unknown."""
        low, high = self.estimate.low, self.estimate.high
        return None if low is None or high is None else (low, high)

    def __str__(self) -> str:
        if self.known:
            return f"about {format_credits(*self.known, note=self.basis)}"
        return f"an unknown number of credits, for caps counted as {format_credits(self.reserve, note=self.basis)}"


def quote(call: KieModel, charges: Sequence[float], live_price: str = "", lengths: Lengths = NOT_MEASURED) -> Quote:
    """Estimate the cost of a call from earlier charges, or else from the price list, or else from KIE's live price.

    Earlier charges show what a call is likely to cost, and the price list shows the most that a call can cost. So
    earlier charges never make the reservation smaller.

    Args:
        call: The model with its arguments.
        charges: Credits per price unit (such as a second) that KIE charged for the last calls with the same price key.
        live_price: KIE's price text from its list of models; empty if unknown.
        lengths: For each file that was measured, its length in seconds; the key is the reference in the arguments.
    """
    listed = _quote_without_charges(call, live_price, lengths)
    if not charges:
        return listed
    _, units = call.tariff(lengths)
    figure = round(median(charges) * units, 2)
    basis = f"median of your last {len(charges)}" if len(charges) > 1 else "what the last one was charged"
    if figure < listed.reserve:
        basis += f"; caps count {format_number(listed.reserve)}, {listed.basis}"
    return Quote(Estimate(figure, figure), basis, max(figure, listed.reserve))


def add_quotes(quotes: Sequence[Quote], words: str) -> Quote:
    """Return the quote of several calls together.

    Args:
        quotes: The quotes of the calls; empty if nothing has to be paid.
        words: What the total is for, such as `3 parts`.
    """
    basis = "; ".join(dict.fromkeys([words, *(each.basis for each in quotes)]))
    estimate = add_estimates(each.estimate for each in quotes)
    return Quote(estimate, basis, round(sum(each.reserve for each in quotes), 2))


def _quote_without_charges(call: KieModel, live_price: str, lengths: Lengths) -> Quote:
    listed = call.estimate(lengths)
    estimate, source, least = listed, f"price list {AS_OF}", listed.high or 0
    if listed.high is None or call.added:
        # Imported only here, because the import takes 5 ms, and calls with a built-in price do not need it.
        from kie_mcp.catalog.price_text import estimate_from_text, quote_text

        live = estimate_from_text(call, live_price, lengths)
        if listed.high is None or _changes_price(call, live, live_price, lengths):
            if live.high is None:
                basis = quote_text(live_price) or "KIE publishes no figure"
                return Quote(Estimate(None, None), basis, max(highest_similar_estimate(call, lengths), least))
            if listed.high is None or live.high > listed.high:
                estimate, source, least = live, "live price", live.high
    return Quote(estimate, f"{source}; {estimate.assumed}" if estimate.assumed else source, least)


def _changes_price(call: KieModel, live: Estimate, live_price: str, lengths: Lengths) -> bool:
    """Tell whether fields that are newer than the price list change the price, or whether nobody can know that.

    Args:
        call: The call with the new fields.
        live: The estimate of this call from KIE's price text.
        live_price: KIE's price text.
        lengths: For each file that was measured, its length in seconds.
    """
    from kie_mcp.catalog.dynamic_model import ExtendedModel
    from kie_mcp.catalog.price_text import estimate_from_text

    if not isinstance(call, ExtendedModel):
        return False
    if live.high is None:
        return call.has_new_setting()
    return live != estimate_from_text(call.without_added(), live_price, lengths)


def highest_similar_estimate(call: KieModel, lengths: Lengths = NOT_MEASURED) -> float:
    """Return the highest price, in credits, of all models of the same tool, by default and with this call's arguments.

    If this price is 0, return the highest price of all models that make the same kind of results.

    Args:
        call: A call whose own price is unknown.
        lengths: For each file that was measured, its length in seconds.
    """
    family = MODELS.find_family(call.id).models if call.id in MODELS else ()
    alike = _highest(_build_alike(call, model).estimate(lengths) for model in family)
    return max(alike, _highest_estimate(family)) or highest_estimate_of_kind(call.kind)


def _build_alike(call: KieModel, model: type[KieModel]) -> KieModel:
    """Return a call of another model that has this call's length, resolution and the like, as far as it takes them."""
    given = {name: getattr(call, name, None) for name in PRICE_KEY_FIELDS} | {"prompt": getattr(call, "prompt", "")}
    fields = model.plain_schema()["properties"]
    taken = {
        name: value
        for name, value in given.items()
        if name in fields and value is not None and value in fields[name].get("enum", (value,))
    }
    return model.model_construct(**taken)


def highest_estimate_of_kind(kind: Kind | None) -> float:
    """Return the highest price, in credits, of all models whose results are of this kind; None means any kind."""
    return _highest_estimate(model for model in MODELS.values() if kind in (None, model.kind))


def _highest_estimate(models: Iterable[type[KieModel]]) -> float:
    """Return the highest price in credits of these models with default arguments; skip prices that depend on length."""
    return _highest(model.default_estimate() for model in models)


def _highest(estimates: Iterable[Estimate]) -> float:
    return max((each.high or 0 for each in estimates if not each.assumed), default=0)


def combine_tasks(tasks: Sequence[Task]) -> Task:
    """Return one task with the total cost of several tasks. It is never run, only checked against the caps."""
    first, *_ = tasks
    reserved = sum(task.reserved for task in tasks)
    return replace(
        first,
        model=" and ".join(task.model for task in tasks),
        estimate=(reserved, reserved),
        basis="together" if len(tasks) > 1 else first.basis,
        reserved=reserved,
        idempotency_key=" ".join(sorted(task.idempotency_key for task in tasks)),
    )
