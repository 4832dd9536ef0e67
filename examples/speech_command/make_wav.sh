#!/bin/sh
# Speaks one command and writes it as 16 kHz mono 16-bit PCM, the form `azsim` reads.
#
#   ./make_wav.sh [TEXT] [FILE]
#
# Needs espeak-ng (speech) and sox (rate conversion). The committed set_timer.wav was made with
# espeak-ng 1.51 and sox 14.4.2 by calling this script without arguments; other versions give
# other samples.
set -eu
text=${1:-set a timer for ten minutes}
file=${2:-$(dirname "$0")/set_timer.wav}
raw=$(mktemp --suffix=.wav)
trap 'rm -f "$raw"' EXIT
espeak-ng -v en-us -s 160 -w "$raw" "$text"
# -R: fixed dither seed, so that one version of sox always writes the same bytes
sox -R "$raw" -r 16000 -c 1 -b 16 "$file"
