#!/bin/sh
# pydantic 2.14.3: a tuple of one invalid item is also reported as too short, "at least 1 item after validation, not 0".
#
# The item is there, only its value is wrong. One would expect one error, which names the item, as for every other
# collection: list, set, frozenset, deque and Sequence with the same `min_length` report the item alone. A variadic
# tuple counts only the items that passed, and compares this number with `min_length` although the item's own error is
# known already. Who reads the second error is told to add an item, which is not what is wrong. `too_short` is
# documented as "the value length is less than the field's `min_length` constraint"; the value's length is 1.
#
# Prints the errors of each collection for the same input; fails when they change.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.3
cat >"$folder/probe.py" <<'PY'
from collections import deque
from collections.abc import Sequence
from typing import Annotated

import pydantic

COLLECTIONS = {
    "list": list[int],
    "set": set[int],
    "frozenset": frozenset[int],
    "deque": deque[int],
    "Sequence": Sequence[int],
    "tuple": tuple[int, ...],
}

print("pydantic", pydantic.VERSION)
for name, collection in COLLECTIONS.items():
    adapter = pydantic.TypeAdapter(Annotated[collection, pydantic.Field(min_length=1)])
    try:
        adapter.validate_python(["one"])
    except pydantic.ValidationError as error:
        errors = error.errors()
        print(f"{name}:", ", ".join(f"{each['type']} at {each['loc']}" for each in errors))
        for each in errors[1:]:
            print(f"    {each['msg']}")
PY
"$folder/venv/bin/python" "$folder/probe.py" >"$folder/seen"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
pydantic 2.14.3
list: int_parsing at (0,)
set: int_parsing at (0,)
frozenset: int_parsing at (0,)
deque: int_parsing at (0,)
Sequence: int_parsing at (0,)
tuple: int_parsing at (0,), too_short at ()
    Tuple should have at least 1 item after validation, not 0
TEXT
cmp "$folder/seen" "$folder/expected"
