#!/bin/sh
# Python 3.11 to 3.13, pydantic 2: two models, each with an optional choice of the same values in an order of its own. The
# schema and the error of the second one show the order of the first, which may be in another package.
#
# One would expect that a model depends on its own lines. But `Literal["a", "b"]` equals `Literal["b", "a"]`, and
# `Optional[...]` and `... | None` of a Literal are made through `typing.Union`, whose results are cached by equality. So
# whoever asks second gets the object of the first. The order in a JSON Schema then depends on which module was imported
# first: snapshots of schemas change when an unrelated import moves. Without `| None`, each Literal keeps its order. From
# Python 3.14 on, where unions are no longer cached in this way, every model shows its own order.
#
# Prints the orders in both schemas; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pydantic==2.14.3'
cat >"$folder/probe.py" <<'PY'
import sys
from typing import Literal

import pydantic


class First(pydantic.BaseModel):
    shape: Literal["wide", "tall"] | None = None
    needed: Literal["wide", "tall"]


class Second(pydantic.BaseModel):
    shape: Literal["tall", "wide"] | None = None
    needed: Literal["tall", "wide"]


def read(model):
    fields = model.model_json_schema()["properties"]
    return fields["shape"]["anyOf"][0]["enum"], fields["needed"]["enum"]


print("python", sys.version.split()[0], "pydantic", pydantic.VERSION)
for model in (First, Second):
    optional, needed = read(model)
    print(f"{model.__name__}: optional {optional}, needed {needed}")
own = ["tall", "wide"]
expected = own if sys.version_info >= (3, 14) else ["wide", "tall"]
assert read(Second) == (expected, own), "this has changed"
PY
"$folder/venv/bin/python" "$folder/probe.py"
