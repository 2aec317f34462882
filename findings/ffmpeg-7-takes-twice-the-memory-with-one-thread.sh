#!/bin/sh
# ffmpeg 7.0.2 and 9.0.2 (imageio-ffmpeg 0.6.0, 0.8.1): `-threads 1` no longer means that few frames are in memory.
#
# With `-threads 1 -filter_threads 1` and an encoder of one thread, ffmpeg 4.2.2 (imageio-ffmpeg 0.5.1) holds a handful
# of frames, and converts a clip of 3840x2160 pixels with 270 MB of data. Since version 7, demuxer, decoder, filters,
# encoder and muxer run in threads of their own whatever these options say, with queues of several decoded frames
# between them. The same command needs twice the memory with 7.0.2, and a third more with 9.0.2; a limit that was
# measured with an older version makes the newer ones end with "Cannot allocate memory". No option shortens the queues
# of decoded frames: `-thread_queue_size` is of packets.
#
# Prints which version converts the clip within which limit; fails when that changes. Needs Linux for the limit.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 0.5.1 0.6.0 0.8.1; do
    python3 -m venv "$version"
    "$version/bin/pip" install --quiet --disable-pip-version-check setuptools imageio-ffmpeg==$version
    "$version/bin/python" -W ignore -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())" >"$version/path"
    "$(cat "$version/path")" -version | head -n 1
done
"$(cat 0.8.1/path)" -v error -f lavfi -i testsrc2=size=3840x2160:rate=8:duration=3 -c:v mjpeg -q:v 9 clip.mkv
for version in 0.5.1 0.6.0 0.8.1; do
    for limit in 290 390 590; do
        if (
            ulimit -d $((limit * 1000))
            "$(cat "$version/path")" -nostdin -v error -filter_threads 1 -threads 1 -i clip.mkv -c:v libx264 \
                -preset veryfast -tune zerolatency -x264-params ref=1:threads=1 -pix_fmt yuv420p -y made.mp4 2>>errors
        ); then
            echo "imageio-ffmpeg $version within $limit MB: converted"
        else
            echo "imageio-ffmpeg $version within $limit MB: failed"
        fi
    done
done >seen
cat seen
grep -h -o "Cannot allocate memory\|malloc of size [0-9]* failed" errors | sort -u
cat >expected <<'TEXT'
imageio-ffmpeg 0.5.1 within 290 MB: converted
imageio-ffmpeg 0.5.1 within 390 MB: converted
imageio-ffmpeg 0.5.1 within 590 MB: converted
imageio-ffmpeg 0.6.0 within 290 MB: failed
imageio-ffmpeg 0.6.0 within 390 MB: failed
imageio-ffmpeg 0.6.0 within 590 MB: converted
imageio-ffmpeg 0.8.1 within 290 MB: failed
imageio-ffmpeg 0.8.1 within 390 MB: converted
imageio-ffmpeg 0.8.1 within 590 MB: converted
TEXT
cmp seen expected
