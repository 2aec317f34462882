"""Run another program, such as ffmpeg, with limits on time, memory and output, and without this process's secrets."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import anyio
from anyio.abc import ByteReceiveStream, Process

PASSED_VARIABLES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SYSTEMROOT",
    "USERPROFILE",
    "LOCALAPPDATA",
)
"""The only environment variables that other programs get, because any other variable may contain an API key."""
MAX_FILE_BYTES = 4_000_000_000
"""Largest file, in bytes, that a program may write."""

running: set[int] = set()
"""Process ids of the programs that run now. Tests read this set, because their clock must stop while a program runs."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The exit code and the output of a program that has ended, or that was killed because it printed too much."""

    exit_code: int
    """The program's exit code: 0 if it succeeded, negative if a signal ended it."""
    output: bytes
    """What the program wrote to standard output, up to the allowed number of bytes."""
    errors: bytes
    """What the program wrote to standard error, up to the allowed number of bytes."""


async def run_program(
    command: Sequence[str],
    *,
    seconds: float,
    max_output_bytes: int,
    memory_bytes: int | None = None,
    file: IO[bytes] | None = None,
    folder: Path | None = None,
    on_output: Callable[[bytes], None] | None = None,
) -> Finished:
    """Run a program, and wait until it has ended. If this call is cancelled, the program is killed.

    Args:
        command: The program's path, and its arguments.
        seconds: Maximum duration of the run, in seconds.
        max_output_bytes: Maximum number of bytes for standard output, and the same maximum for standard error; a
            program that writes more is killed.
        memory_bytes: Maximum memory of the program in bytes; None for no limit. The limit only has an effect on Linux.
        file: An open file that the program gets as its standard input; None for an empty standard input.
        folder: The working folder of the program; None for the working folder of this process.
        on_output: A function that is called with each piece that the program writes to standard output.

    Raises:
        OSError: The program cannot be started.
        TimeoutError: The program did not end in time, so it was killed.
    """
    with anyio.fail_after(seconds):
        # The program must not inherit this process's standard input: with the stdio transport, the client's messages
        # arrive there.
        stdin = file or subprocess.DEVNULL
        process = await anyio.open_process(command, stdin=stdin, env=build_environment(), cwd=folder)
        async with process:
            running.add(process.pid)
            try:
                _limit_resources(process.pid, seconds, memory_bytes)
                return await _read_all(process, max_output_bytes, on_output)
            except BaseException:
                _end(process)
                raise
            finally:
                running.discard(process.pid)


async def _read_all(process: Process, max_bytes: int, on_output: Callable[[bytes], None] | None) -> Finished:
    output, errors = bytearray(), bytearray()

    async def read(stream: ByteReceiveStream, into: bytearray) -> None:
        async for piece in stream:
            if on_output and into is output:
                on_output(piece)
            room = max_bytes - len(into)
            into += piece[:room]
            if len(piece) > room:
                _end(process)

    async with anyio.create_task_group() as group:
        for stream, into in ((process.stdout, output), (process.stderr, errors)):
            if stream:
                group.start_soon(read, stream, into)
    return Finished(await process.wait(), bytes(output), bytes(errors))


def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


def _limit_resources(pid: int, seconds: float, memory_bytes: int | None) -> None:
    """Set limits that the operating system enforces on a program, even after the end of this process."""
    # The limits are set directly after the program's start, while the program still loads its libraries. Setting the
    # limits earlier would need Python code between fork and exec, which is not safe in a process with threads.
    if sys.platform == "linux":
        import resource

        limits = {
            # This limit counts the time of all threads together, so each processor adds the whole duration.
            resource.RLIMIT_CPU: int(seconds * (os.cpu_count() or 1)) + 1,
            resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
            resource.RLIMIT_CORE: 0,
            **({resource.RLIMIT_DATA: memory_bytes} if memory_bytes else {}),
        }
        for limit, value in limits.items():
            # Errors are ignored: the program may have ended already, or the operator may have set a lower limit.
            with suppress(OSError, ValueError):
                resource.prlimit(pid, limit, (value, value))


def build_environment() -> dict[str, str]:
    """Return the environment variables that other programs get."""
    return {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
