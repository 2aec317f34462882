"""Media files: formats, limits, previews, stills, ffmpeg and MIDI. This package knows nothing of tasks."""
