"""Read the facts about KIE's models that tests use."""

import json
from functools import cache
from typing import Any

from support.paths import FACTS


@cache
def market() -> dict[str, Any]:
    """Return the models of the `jobs` API; newer documentation pages replace older ones."""
    models: dict[str, Any] = json.loads((FACTS / "market.json").read_text(encoding="utf-8"))["models"]
    later = json.loads((FACTS / "later.json").read_text(encoding="utf-8"))
    inputs = later["models"] | {id_: later["models"][alike] for id_, alike in later["same"].items()}
    live = json.loads((FACTS / "live-catalog.json").read_text(encoding="utf-8"))["inputs"]
    inputs |= {id_: schema for id_, schema in live.items() if id_ in models}
    return models | {id_: {"status": "current", "input": schema} for id_, schema in inputs.items()}
