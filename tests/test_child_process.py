"""Other programs: they end with the call that needs them, within limits, and never learn the API key."""

import os
import struct
import sys
from pathlib import Path

import anyio
import pytest
from support.clock import let_others_run
from support.programs import PROGRAM, needs_ffmpeg

from kie_mcp import child_process
from kie_mcp.child_process import Finished, run_program
from kie_mcp.media import ffmpeg

pytestmark = pytest.mark.anyio

only_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="The limits, and the processes in /proc, are those of Linux."
)


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def run_python(script: str, *, max_output_bytes: int = 100_000, memory_bytes: int | None = None) -> Finished:
    command = (sys.executable, "-c", script)
    return await run_program(command, seconds=60, max_output_bytes=max_output_bytes, memory_bytes=memory_bytes)


@pytest.mark.parametrize(
    "name", ["KIE_API_KEY", "kie_api_key", "Kie_Api_Key", "KIE_AI_API_KEY", "KIE_API_KEY_FILE", "K"]
)
async def test_a_program_does_not_get_the_key_however_its_variable_is_spelled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "a-secret")
    monkeypatch.setenv("LANG", "harmless")
    run = await run_python("import os; print(dict(os.environ))")
    assert b"harmless" in run.output
    assert b"a-secret" not in run.output


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_program_that_prints_without_end_is_ended_and_its_first_bytes_are_kept(stream: str) -> None:
    run = await run_python(f"import sys\nwhile True: sys.{stream}.write('text')", max_output_bytes=10_001)
    assert run.exit_code != 0
    kept = run.output if stream == "stdout" else run.errors
    assert kept == b"text" * 2_500 + b"t"


async def test_a_program_that_prints_exactly_as_much_as_it_may_ends_by_itself() -> None:
    # After the output, the program works long enough to be ended.
    run = await run_python("print('text', flush=True)\nsum(range(3_000_000))", max_output_bytes=5)
    assert (run.exit_code, run.output) == (0, b"text\n")


@only_linux
async def test_a_program_gets_no_more_memory_than_it_may_use() -> None:
    # The limit is set just after the start.
    script = """
import resource, time
while resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
    time.sleep(0.001)
print(len(bytearray(300_000_000)))
"""
    allowed = await run_python(script, memory_bytes=500_000_000)
    refused = await run_python(script, memory_bytes=200_000_000)
    assert allowed.output.strip() == b"300000000"
    assert refused.exit_code == 1
    assert b"MemoryError" in refused.errors


@only_linux
async def test_a_program_may_keep_every_processor_busy_for_as_long_as_it_may_run() -> None:
    script = """
import resource
while (seconds := resource.getrlimit(resource.RLIMIT_CPU)[0]) == resource.RLIM_INFINITY:
    pass
print(seconds)
"""
    run = await run_program((sys.executable, "-SIc", script), seconds=3600, max_output_bytes=100)
    assert int(run.output) >= 3600 * (os.cpu_count() or 1)


def write_long_sound(path: Path) -> None:
    """Write a WAV file of three hours of silence, which the file system does not store."""
    size = 1_900_000_000
    header = struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", size + 36, b"WAVEfmt ", 16, 1, 2, 44100, 176400, 4, 16, b"data", size
    )
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)


@only_linux
@needs_ffmpeg
async def test_a_cancelled_conversion_ends_ffmpeg(tmp_path: Path) -> None:
    sound = tmp_path / "long.wav"
    write_long_sound(sound)
    ended: list[bool] = []

    async def convert() -> None:
        ended.append(await ffmpeg.convert(str(PROGRAM), sound, tmp_path / "long.ogg", ("-c:a", "libvorbis")))

    async with anyio.create_task_group() as group:
        group.start_soon(convert)
        while not child_process.running:
            await let_others_run()
        (pid,) = child_process.running
        assert is_there(pid)
        group.cancel_scope.cancel()
    assert not ended
    assert not child_process.running
    assert not is_there(pid)
