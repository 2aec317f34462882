"""The snapshot of KIE's list that ships in the package, made from the facts beside this file.

The facts have rates instead of KIE's price texts, so the texts are written from the rates. A model without a documented
schema has none in the snapshot either.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kie_mcp.catalog.published_schema import read_schema
from kie_mcp.kie.drift import list_built_in
from kie_mcp.kie.snapshot import SHIPPED, OfferedModel, Snapshot, spell_mode

BUILT_IN = list_built_in()

HERE = Path(__file__).parent

Facts = dict[str, Any]


def facts(name: str) -> Facts:
    """One file of facts."""
    read: Facts = json.loads((HERE / name).read_text(encoding="utf-8"))
    return read


def inputs() -> Facts:
    """The schema of each model's input: what was read live counts before later pages, and these before the pages."""
    pages = {id_: model["input"] for id_, model in facts("market.json")["models"].items() if is_current(model)}
    later = facts("later.json")
    same = {id_: later["models"][alike] for id_, alike in later["same"].items()}
    live: Facts = {id_: {"type": "object", **schema} for id_, schema in facts("live-catalog.json")["inputs"].items()}
    return {**pages, **later["models"], **same, **live}


def is_current(model: Facts) -> bool:
    """Whether KIE's pages still have a model."""
    return bool(model["status"] == "current")


def price_text(entry: Facts) -> str:
    """The rates of a model in the form of KIE's price texts."""
    unit = entry.get("unit", "task").replace("_", " ")
    return "; ".join(rate_text(rate, unit) for rate in entry.get("rates", ()))


def rate_text(rate: Facts, unit: str) -> str:
    """One rate, with the values of the fields that it holds for."""
    when = ", ".join(f"{name} {str(value).lower()}" for name, value in rate["when"].items())
    return f"{when}{': ' if when else ''}{rate['credits']:g} credits per {unit}"


def build() -> Snapshot:
    """The snapshot of the day of the latest facts."""
    listed, market, prices = facts("live-catalog.json"), facts("market.json")["models"], facts("prices.json")["models"]
    schemas = inputs()
    # The ids that were read are not all ids of the list.
    built_in = {id_ for id_, (model, _) in BUILT_IN.items() if not model.legacy}
    ids = {*listed["models"], *schemas, *built_in}
    as_of = max(listed["as_of"], facts("later.json")["as_of"])
    models = {
        id_: OfferedModel(
            id=id_,
            title=id_.replace("/", " ").replace("-", " ").title(),
            provider=provider(id_),
            modes=tuple(modes(id_, market.get(id_, {}))),
            price=price_text(prices.get(id_, {})) or built_in_price(id_),
            as_of=as_of,
        )
        for id_ in sorted(ids)
    }
    return Snapshot(as_of, models, {id_: read_schema(schemas[id_]) for id_ in sorted(schemas)})


def built_in_price(id_: str) -> str:
    """The price of a model that is newer than the price list."""
    return str(BUILT_IN[id_][0].price) if id_ in BUILT_IN and BUILT_IN[id_][0].price.rates else ""


def provider(id_: str) -> str:
    """The vendor of a built-in model."""
    return BUILT_IN[id_][0].__module__.rpartition(".")[2].replace("_", " ").title() if id_ in BUILT_IN else ""


def modes(id_: str, page: Facts) -> Iterator[str]:
    """What a model does."""
    if mode := page.get("mode") or (BUILT_IN[id_][0].task_type if id_ in BUILT_IN else ""):
        yield spell_mode(mode)


def main() -> None:
    """Write the snapshot of the package anew."""
    build().write(SHIPPED)


if __name__ == "__main__":
    main()
