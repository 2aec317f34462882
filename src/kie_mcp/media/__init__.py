"""Read, check, convert and preview media files. This package imports nothing from the package `tasks`."""
