#!/bin/sh
# anyio 4.16.0: a task that is started in a cancelled task group runs on uncancelled, depending on the other tasks.
#
# In a cancelled task group every await is expected to raise the cancellation, also in tasks that are started after
# `cancel()`; on Trio they are cancelled at their first await. On asyncio, AnyIO delivers a cancellation in a loop that
# ends as soon as no task of the group is left to be cancelled, for example while the only other task is in a shielded
# block (a transaction, a last request). A task that a call from outside the group starts after that is not cancelled by
# anything: it sleeps to the end, and the group waits for it. If another task is left, the same start is cancelled at
# once. So whoever starts background work for a request has to look at `cancel_scope.cancel_called` first.
#
# Prints what becomes of such a task on both backends; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check anyio==4.16.0 trio==0.33.0
cat >"$folder/late.py" <<'PY'
import sys

import anyio


async def main(others: str) -> None:
    groups: list[anyio.abc.TaskGroup] = []
    goes_on = anyio.Event()

    async def finish_shielded() -> None:
        with anyio.CancelScope(shield=True):
            await goes_on.wait()

    async def finish_slowly() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            for _ in range(100):
                try:
                    await anyio.sleep(0)
                except anyio.get_cancelled_exc_class():
                    pass

    async def late() -> None:
        try:
            await anyio.sleep(0.2)
            print("slept to its end")
        except anyio.get_cancelled_exc_class():
            print("cancelled")
            raise

    async def hold() -> None:
        async with anyio.create_task_group() as group:
            groups.append(group)
            group.start_soon(finish_shielded if others == "shielded" else finish_slowly)

    async with anyio.create_task_group() as outside:
        outside.start_soon(hold)
        await anyio.sleep(0.05)
        groups[0].cancel_scope.cancel()
        for _ in range(5):
            await anyio.sleep(0)
        groups[0].start_soon(late)
        await anyio.sleep(0.4)
        goes_on.set()


anyio.run(main, sys.argv[2], backend=sys.argv[1])
PY
run() {
    seen=$("$folder/venv/bin/python" "$folder/late.py" "$1" "$2")
    echo "$1, the other task is $2: the late task: $seen"
    [ "$seen" = "$3" ]
}
run trio shielded cancelled
run trio unshielded cancelled
run asyncio unshielded cancelled
run asyncio shielded "slept to its end"
