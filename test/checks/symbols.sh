#!/bin/sh
# SPDX-License-Identifier: MIT
#
# symbols.sh SHARED_LIBRARY: the functions marked CLOAK_API in the public headers, the lines of
# lib/cloakroom.map and the symbols the library exports are the same set.
set -u
LC_ALL=C
export LC_ALL
so=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for f in include/*.h include/*/*.h; do
	[ -e "$f" ] || continue
	awk -f test/checks/strip.awk "$f" | grep -v '^#'
done | tr '\n' ' ' | tr ';' '\n' | grep -w CLOAK_API |
	sed -n 's/^[^(]*[ *]\(cloak_[a-z0-9_]*\)(.*/\1/p' | sort >"$tmp/header"
sed -n 's/^[ \t]*\(cloak_[a-z0-9_]*\);.*/\1/p' lib/cloakroom.map | sort >"$tmp/map"
nm -D --defined-only "$so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$tmp/so" ||
	exit 1

bad=0
[ -s "$tmp/header" ] || { echo "no CLOAK_API function found in include/"; bad=1; }
for list in header map; do
	uniq -d "$tmp/$list" | sed "s|^|twice in $list: |" | grep . && bad=1
done
comm -23 "$tmp/header" "$tmp/map" | sed 's/$/: CLOAK_API, but not in lib\/cloakroom.map/' | grep . && bad=1
comm -13 "$tmp/header" "$tmp/map" | sed 's/$/: in lib\/cloakroom.map, but not CLOAK_API/' | grep . && bad=1
comm -23 "$tmp/header" "$tmp/so" | sed 's/$/: CLOAK_API, but not defined or not exported/' | grep . && bad=1
comm -13 "$tmp/header" "$tmp/so" | sed 's/$/: exported, but not CLOAK_API/' | grep . && bad=1
# every exported name carries the version node, so a later release can keep old behaviour
nm -D --defined-only "$so" | awk '$2 != "A" && $3 !~ /@@CLOAKROOM_/ { print $3 ": has no version"; bad = 1 }
	END { exit bad }' || bad=1
[ $bad -eq 0 ] && echo "symbols: $(wc -l <"$tmp/header") functions"
exit $bad
