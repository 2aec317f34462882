#!/bin/sh
# ffmpeg 9.0.2 (imageio-ffmpeg 0.8.1): ten clips of 1 s, joined by `-f concat -c copy`, have 0.24 s of sound too much.
#
# The clips are exactly 1 s long in picture and sound, have equal parameters, and each plays in step. One would expect
# of the demuxer made for such clips, with `duration 1` for each, that 10 s of sound come of it. But every AAC file
# begins with a packet that only primes the decoder. A player leaves it out, as the file's edit list says. The demuxer
# passes it on in the middle of the result, where it lies over the end of the clip before, and the result's edit list
# knows only the first one, which is 21 ms of silence at its start. What decodes one packet after the other, such as an
# export of the sound, falls behind the picture with every clip. The exit code is 0. Left out by their numbers, with
# `-copyts -bsf:a noise=drop=...`, the packets of all clips are where they should be.
#
# Prints how much sound both results have, and where its last packet begins; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
ffmpeg=$("$folder/venv/bin/python" -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())")
cd "$folder"
"$ffmpeg" -version | head -n 1

"$ffmpeg" -v error -f lavfi -i testsrc2=size=160x90:rate=25:duration=1 \
    -f lavfi -i sine=frequency=440:sample_rate=48000:duration=1 -c:v libx264 -pix_fmt yuv420p -c:a aac clip.mp4
packets=$("$ffmpeg" -v error -i clip.mp4 -map 0:a -c copy -f framecrc - | grep -vc '^#')
echo "ffconcat version 1.0" >list.txt
drop=0
for number in 0 1 2 3 4 5 6 7 8 9; do
    printf 'file clip.mp4\nduration 1\n' >>list.txt
    [ "$number" = 0 ] || drop="$drop+eq(n\\,$((number * packets)))"
done

last() {
    "$ffmpeg" -v error -i "$1" -map 0:a -c copy -f framecrc - | grep -v '^#' | tail -n 1 | cut -d , -f 3 | tr -d ' '
}
"$ffmpeg" -v quiet -f concat -i list.txt -map 0:v -map 0:a -c copy usual.mp4
echo "exit code of the usual way: $?"
"$ffmpeg" -v error -f concat -i list.txt -map 0:v -map 0:a -copyts -c copy -bsf:a "noise=drop=$drop" without.mp4
wanted=$((9 * 48000 + (packets - 2) * 1024))
usual=$("$ffmpeg" -v error -i usual.mp4 -map 0:a -f s16le -ac 1 - | wc -c)
without=$("$ffmpeg" -v error -i without.mp4 -map 0:a -f s16le -ac 1 - | wc -c)
echo "samples of 480,000 that a decoder gives: usually $((usual / 2)), without the priming packets $((without / 2))"
echo "last packet of sound: usually at sample $(last usual.mp4), without the priming packets at $(last without.mp4) of $wanted"
[ "$(last without.mp4)" = "$wanted" ] && [ $((usual - without)) -ge $((2 * 9 * 1024)) ]
