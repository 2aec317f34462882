#!/bin/sh
# slipcover 1.1.0: with --fail-under, the report of a run with pytest-xdist lacks all that the workers have covered.
#
# SlipCover documents that it "activates in each worker process and automatically merges the coverage collected by every
# worker into a single report". One would expect --fail-under to change the status only. It merges the workers' files
# for the limit and removes them; the report that is written afterwards has only the first process, which runs no test.
# So a run may pass its limit and report far less. What helps is to write JSON without a limit, and to give the limit to
# a second command: `slipcover --merge FILE --out FILE --fail-under N`.
#
# Prints how many lines of a function each way reports as missing; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check slipcover==1.1.0 pytest==9.0.2 pytest-xdist==3.8.0
mkdir "$folder/src"
printf 'def add(a, b):\n    total = a + b\n    return total\n' >"$folder/src/sums.py"
printf 'import sys\nsys.path.insert(0, "src")\nimport sums\n' >"$folder/conftest.py"
printf 'import sums\ndef test_add():\n    assert sums.add(1, 2) == 3\n' >"$folder/test_sums.py"
cd "$folder"

# missing OPTION...: runs the test in a worker; prints the number of lines that the report calls missing.
missing() {
    venv/bin/python -m slipcover --source src --json --out report.json "$@" -m pytest -q -n 1 >/dev/null 2>&1
    venv/bin/python -c 'import json; print(len(json.load(open("report.json"))["files"]["src/sums.py"]["missing_lines"]))'
}

venv/bin/pip list 2>/dev/null | grep -E '^(slipcover|pytest)'
without=$(missing)
with=$(missing --fail-under 50)
echo "missing lines: $without without a limit, $with with --fail-under 50, which the run passes"
[ "$without" = 0 ] && [ "$with" = 2 ]
