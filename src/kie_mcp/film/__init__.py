"""Films: join clips, pictures, sounds and texts to one file with ffmpeg; it knows no task and no model of KIE's."""
