"""Films: join clips, pictures, sounds and texts to one file with ffmpeg, independently of tasks and KIE's models.

In this package, the picture of a clip is its video stream. A picture file is a file with a still or an animation.
"""
