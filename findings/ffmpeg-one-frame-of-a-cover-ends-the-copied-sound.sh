#!/bin/sh
# ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1): `-frames:v 1` for a cover picture ends the copied sound after the first packets.
#
# `-frames:v 1` is the usual guard against a cover that is an animation. It is an option of one output stream, and with
# ffmpeg 4.2.2 (imageio-ffmpeg 0.5.1) it limits only that stream: the MP3 keeps its 3 s. With 9.0.2 the file ends with
# the picture's only frame: the MP3 is a few packets long, the exit code is 0, and no warning is printed. Without the
# option the sound is whole again. A sound that is encoded, and is no copy, is cut off as well.
#
# Prints the length of the sound in each case; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 0.5.1 0.8.1; do
    python3 -m venv "$version"
    "$version/bin/pip" install --quiet --disable-pip-version-check setuptools imageio-ffmpeg==$version
done
new=$(0.8.1/bin/python -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")
old=$(0.5.1/bin/python -W ignore -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")
"$new" -version | head -n 1
"$old" -version | head -n 1

"$new" -v error -f lavfi -i sine=frequency=440:duration=3 sound.mp3
"$new" -v error -f lavfi -i color=yellow:size=64x64 -frames:v 1 cover.png
for program in old new; do
    for limit in "" "-frames:v 1"; do
        for codec in copy libmp3lame; do
            eval "ffmpeg=\$$program"
            # shellcheck disable=SC2086
            "$ffmpeg" -nostdin -v warning -i sound.mp3 -i cover.png -map 0:a -c:a "$codec" -map 1:v -c:v mjpeg $limit \
                -pix_fmt yuvj420p -disposition:v attached_pic -y made.mp3 2>>warnings
            # What is left of the sound, decoded: 2 bytes a sample.
            bytes=$("$new" -v error -i made.mp3 -map 0:a -f s16le -ac 1 -ar 44100 - | wc -c)
            echo "$program, options '$limit', sound $codec: $((bytes / 88200)) s"
        done
    done
done >seen
cat seen
# Old versions warn of the pixel format alone.
grep -v "deprecated pixel format" warnings || true
cat >expected <<'TEXT'
old, options '', sound copy: 3 s
old, options '', sound libmp3lame: 3 s
old, options '-frames:v 1', sound copy: 3 s
old, options '-frames:v 1', sound libmp3lame: 3 s
new, options '', sound copy: 3 s
new, options '', sound libmp3lame: 3 s
new, options '-frames:v 1', sound copy: 0 s
new, options '-frames:v 1', sound libmp3lame: 0 s
TEXT
cmp seen expected
