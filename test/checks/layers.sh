#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The architecture, proved from line 1 of each library file and its includes:
# - an include goes to the same or a lower layer, and nothing includes itself by a detour;
# - storage, routing and wire (L4, L3, L2) never include values (L1); values never see a clock;
# - each third-party library has its home files; examples know the public header only;
# - each header compiles alone, as C11.
set -u
LC_ALL=C
export LC_ALL
bad=0
say() {
	echo "$*"
	bad=1
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

files=$(ls lib/*.c lib/*.h include/*.h include/*/*.h 2>/dev/null)
for f in $files; do
	if [ "$f" = include/cloakroom.h ]; then
		layer=0 # the contract: types and statuses that every layer may know
	else
		layer=$(sed -n '1s|^/\* L\([0-5]\) [a-z][a-z ]*: .*|\1|p' "$f")
		[ -n "$layer" ] || say "$f: line 1 does not name its layer, as in /* L0 base: ... */"
	fi
	sed -n '2p' "$f" | grep -q 'SPDX-License-Identifier: MIT' ||
		say "$f: line 2 is not the SPDX line"
	echo "layer $f ${layer:-0}"
	awk -f test/checks/strip.awk "$f" >"$tmp/code"
	sed -n 's/^[ \t]*#[ \t]*include[ \t]*["<]\([^">]*\)[">].*/\1/p' "$tmp/code" | sed "s|^|include $f |"

	# only clock.c reads a clock
	if [ "$f" != lib/clock.c ]; then
		grep -nE '(^|[^A-Za-z0-9_.>])(time|clock|clock_gettime|gettimeofday|ftime|timespec_get)[ \t]*\(' \
			"$tmp/code" | sed "s|^|reads $f |"
	fi
done >"$tmp/facts"
# what say() printed went to the facts, too
grep -vE '^(layer|include|reads) ' "$tmp/facts" && bad=1

awk '
function base(path) { sub(/.*\//, "", path); return path }
function complain(text) { print text; failed = 1 }
function home(file, allowed, name) {
	if (index(" " allowed " ", " " base(file) " ") == 0)
		complain(file ": includes " name ", whose home is " allowed)
}
$1 == "layer" { layer[$2] = $3; path[base($2)] = $2; order[++count] = $2 }
$1 == "include" { edges[++m] = $2; target[m] = $3 }
$1 == "reads" { complain($2 ": reads a clock, which only lib/clock.c may: " substr($0, index($0, $3))) }
END {
	for (i = 1; i <= m; i++) {
		file = edges[i]
		name = target[i]
		if (name ~ /^(hiredis\/|hiredis|sds\.h|read\.h)/)
			home(file, "resp.c", name)
		else if (name ~ /^sodium/)
			home(file, "id.c keyring.c passphrase.c buf.c", name)
		else if (name ~ /^openssl\//)
			home(file, "transport_tls.c tls_context.c tls_words.c", name)
		if (!(base(name) in path))
			continue
		to = path[base(name)]
		if (name ~ /cloakroom\/backend\.h$/)
			to = "include/cloakroom/backend.h"
		else if (base(name) == "backend.h")
			to = "lib/backend.h"
		reach[file, to] = 1
		if (layer[to] > layer[file])
			complain(file ": L" layer[file] " includes " to " of L" layer[to])
		if (layer[to] == 1 && layer[file] >= 2 && layer[file] <= 4)
			complain(file ": L" layer[file] " includes values, " to)
	}
	for (k = 1; k <= count; k++)
		for (i = 1; i <= count; i++)
			if ((order[i], order[k]) in reach)
				for (j = 1; j <= count; j++)
					if ((order[k], order[j]) in reach)
						reach[order[i], order[j]] = 1
	for (i = 1; i <= count; i++) {
		file = order[i]
		if ((file, file) in reach)
			complain(file ": includes itself by a detour")
		if (layer[file] == 1 && (file, "lib/clock.h") in reach)
			complain(file ": values must not know lib/clock.h")
		twin = file
		if (sub(/\.c$/, ".h", twin) && twin in layer && layer[twin] != layer[file])
			complain(file ": L" layer[file] ", but " twin " is L" layer[twin])
	}
	exit failed
}' "$tmp/facts" || bad=1

# A .c file includes its own header first.
for f in lib/*.c; do
	[ -e "$f" ] || continue
	own=$(basename "$f" .c).h
	[ -e "lib/$own" ] || continue
	first=$(sed -n 's/^#include *["<]\(.*\)[">].*/\1/p' "$f" | head -n 1)
	[ "$first" = "$own" ] || say "$f: its first include is $first, not $own"
done

for f in $(ls examples/*.c examples/*/*.c 2>/dev/null); do
	grep -nE '#[ \t]*include[ \t]*"[^"]*/' "$f" && say "$f: an example includes a file of the library"
done

[ $bad -eq 0 ] || exit 1
for f in $(ls include/*.h include/*/*.h lib/*.h 2>/dev/null); do
	printf '#include "%s"\n' "$f" >"$tmp/alone.c"
	"${CC:-cc}" -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I. "$tmp/alone.c" \
		>"$tmp/out" 2>&1 || { say "$f: does not compile alone"; cat "$tmp/out"; }
done
[ $bad -eq 0 ] && echo "layers: $(echo "$files" | wc -l) files"
exit $bad
