#!/bin/sh
# SPDX-License-Identifier: MIT
#
# replay.sh FUZZER FOLDER: run a fuzzer once on each of its seeds.
set -eu
[ -n "$(find "$2" -type f 2>/dev/null | head -n 1)" ] || { echo "$2: no seeds"; exit 1; }
exec "$1" -runs=0 -timeout=20 -rss_limit_mb=1024 "$2"
