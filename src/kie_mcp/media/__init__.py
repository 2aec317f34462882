"""Media files: formats, limits, previews, stills, ffmpeg and MIDI. This package does not depend on tasks."""
