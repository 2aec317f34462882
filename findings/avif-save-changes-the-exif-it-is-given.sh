#!/bin/sh
# Pillow 13.0.0: saving a picture as AVIF takes the orientation out of the Exif object that the caller passed.
#
# `image.save(file, "AVIF", exif=exif)` moves the orientation into the file's own `irot` and `imir` boxes, and does so
# with `pop` on the caller's object. One would expect that saving changes no argument, as with JPEG, PNG, WebP and TIFF.
# Whoever saves several formats with one Exif object gets pictures that lie on their side in every file after the AVIF.
# With `exif=exif.tobytes()` the object stays as it is.
#
# Prints the orientation in the object before and after saving in each format; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
cat >"$folder/save.py" <<'PY'
import io

from PIL import ExifTags, Image

ORIENTATION = ExifTags.Base.Orientation
image = Image.new("RGB", (40, 30))
for image_format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image.save(io.BytesIO(), image_format, exif=exif)
    after = exif.get(ORIENTATION)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", exif=exif)
    print(f"{image_format}: 6, then {after}; in a JPEG saved next {Image.open(jpeg).getexif().get(ORIENTATION)}")
PY
"$folder/venv/bin/python" "$folder/save.py" >"$folder/seen"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
JPEG: 6, then 6; in a JPEG saved next 6
PNG: 6, then 6; in a JPEG saved next 6
WEBP: 6, then 6; in a JPEG saved next 6
TIFF: 6, then 6; in a JPEG saved next 6
AVIF: 6, then None; in a JPEG saved next None
TEXT
cmp "$folder/seen" "$folder/expected"
