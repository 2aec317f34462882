#!/bin/sh
# ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1): a frame of a BT.709 clip, saved as JPEG or WebP, has other colours than the clip.
#
# JPEG and lossy WebP have no field for the matrix of their YUV planes: every reader takes BT.601. One would expect that
# `ffmpeg -i clip.mp4 -frames:v 1 frame.jpg` converts the planes, as it does convert their range for JPEG, and converts
# everything for PNG. But the encoders `mjpeg` and `libwebp` write the BT.709 planes as they are: red becomes darker,
# and lime gets some red. There is no warning of it, the exit code is 0, and ffmpeg itself reads the file as BT.601
# (`bt470bg`). With `scale=in_color_matrix=bt709:out_color_matrix=bt601` before the encoder the colours are right.
#
# Prints the colours of a clip of red, lime and blue in each format; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1 pillow==13.0.0
ffmpeg=$("$folder/venv/bin/python" -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")
cd "$folder"
"$ffmpeg" -version | head -n 1

colours="color=red:s=64x64:d=1[r];color=lime:s=64x64:d=1[l];color=blue:s=64x64:d=1[b];[r][l][b]hstack=3"
bt709="scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
"$ffmpeg" -v error -filter_complex "$colours,format=rgb24,$bt709" -frames:v 1 -c:v libx264 -crf 1 \
    -colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv clip.mp4
"$ffmpeg" -hide_banner -i clip.mp4 2>&1 | grep -q 'yuv420p(tv, bt709' || { echo "the clip is not BT.709"; exit 1; }

save() { "$ffmpeg" -v error -i clip.mp4 -frames:v 1 -update 1 "$@"; }
save usual.png
save usual.jpg
save usual.webp
bt601="scale=in_color_matrix=bt709:out_color_matrix=bt601"
save -vf "$bt601:out_range=pc,format=yuvj420p" converted.jpg
save -vf "$bt601:out_range=tv,format=yuv420p" converted.webp
cat >colours.py <<'PY'
from PIL import Image

WANTED = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
distances = {}
for name in ("usual.png", "converted.jpg", "converted.webp", "usual.jpg", "usual.webp"):
    with Image.open(name) as image:
        seen = [image.convert("RGB").getpixel((x, 32)) for x in (32, 96, 160)]
    distances[name] = [max(abs(a - b) for a, b in zip(*pair)) for pair in zip(seen, WANTED)]
    print(f"{name}: {seen}, at most {max(distances[name])} beside the colour")
for name, each in distances.items():
    is_right = max(each) <= 8
    assert is_right is (name not in ("usual.jpg", "usual.webp")), f"{name} has changed"
PY
"$folder/venv/bin/python" colours.py
