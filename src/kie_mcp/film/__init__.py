"""Films: join clips, pictures, sounds and texts to one file with ffmpeg, independently of tasks and KIE's models."""
