#!/bin/sh
# ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1): with `-copyts`, a sound that is mixed into a clip comes late by its start time.
#
# Many sound files do not start at 0: what was cut from a stream, and every MPEG-TS that ffmpeg writes (1.4 s). Usually
# ffmpeg shifts each input to 0. `-copyts`, which joins of copied clips may need, is an option of the whole command: as
# the manual says, the initial start time offset is not removed, and so it stays for the added sound too. The filter
# that should only make a sound steady, `aresample=first_pts=0`, then fills the time before it with silence. One would
# expect at least a warning that an input begins late; there is none, the exit code is 0, and in a film that is shorter
# than the offset the sound is never heard. With `-start_at_zero` behind `-copyts` it comes when it should.
#
# Prints when the sound is heard first in a film of 2 s; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
ffmpeg=$("$folder/venv/bin/python" -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")
cd "$folder"
"$ffmpeg" -version | head -n 1

"$ffmpeg" -v error -f lavfi -i testsrc2=size=160x90:rate=25:duration=2 -c:v libx264 -pix_fmt yuv420p clip.mp4
tone="sine=frequency=440:sample_rate=48000:duration=1"
"$ffmpeg" -v error -f lavfi -i "$tone" -c:a flac at_0.mka
"$ffmpeg" -v error -f lavfi -i "$tone" -c:a flac -output_ts_offset 3 at_3.mka
"$ffmpeg" -v error -f lavfi -i "$tone" -c:a mp2 stream.ts
cat >heard.py <<'PY'
import array
import sys

samples = array.array("h", sys.stdin.buffer.read())
first = next((place for place, value in enumerate(samples) if abs(value) > 500), None)
print("never" if first is None else f"at {round(first / 48000, 1)} s")
PY
for options in "" "-copyts" "-copyts -start_at_zero"; do
    for sound in at_0.mka at_3.mka stream.ts; do
        # shellcheck disable=SC2086
        "$ffmpeg" -v warning $options -i clip.mp4 -i "$sound" -filter_complex "[1:a]aresample=first_pts=0,apad[sound]" \
            -map 0:v -c:v copy -map "[sound]" -c:a flac -t 2 -y film.mkv 2>>warnings || cat warnings >&2
        heard=$("$ffmpeg" -v error -i film.mkv -map 0:a -f s16le -ac 1 -ar 48000 - | "$folder/venv/bin/python" heard.py)
        echo "options '$options', $sound: heard $heard"
    done
done >seen
cat seen warnings
cat >expected <<'TEXT'
options '', at_0.mka: heard at 0.0 s
options '', at_3.mka: heard at 0.0 s
options '', stream.ts: heard at 0.0 s
options '-copyts', at_0.mka: heard at 0.0 s
options '-copyts', at_3.mka: heard never
options '-copyts', stream.ts: heard at 1.4 s
options '-copyts -start_at_zero', at_0.mka: heard at 0.0 s
options '-copyts -start_at_zero', at_3.mka: heard at 0.0 s
options '-copyts -start_at_zero', stream.ts: heard at 0.0 s
TEXT
cmp seen expected
[ ! -s warnings ]
