"""Films: join clips, pictures, sounds and texts to one file with ffmpeg, independently of tasks and KIE's models.

In the names of this package, `picture` means the video stream of a clip. A picture file is a still or an animation.
"""
