"""Convert musical notes, which one of KIE's models returns as JSON, to MIDI files."""

from kie_mcp.ledger.task import Task
from kie_mcp.media import midi
from kie_mcp.tasks.downloads import Downloader

MIDI_MODEL = "ai-music-api/generate-midi-from-audio"
"""Id of the model whose results are musical notes as JSON."""


async def write_notes(task: Task, downloader: Downloader) -> None:
    """Convert a task's text results (musical notes as JSON) to MIDI files, and save the files.

    If one of the texts has no notes, the task is not changed.
    """
    try:
        files = [midi.build_midi_file(text) for text in task.texts]
    except ValueError:
        return
    task.results = [
        await downloader.write_file(task, number, file, "audio/midi") for number, file in enumerate(files, start=1)
    ]
    task.texts = []
