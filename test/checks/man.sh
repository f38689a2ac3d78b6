#!/bin/sh
# SPDX-License-Identifier: MIT
#
# man.sh SHARED_LIBRARY OPTIONS_PROGRAM: the man pages can be made; each symbol the library exports
# has a page and no page is without its symbol; a page's prototype is the header's; what a page
# refers to is there; mandoc, where it is installed, finds nothing to complain about.
set -u
LC_ALL=C
export LC_ALL
so=$1
options=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
tools/man/man.sh "$tmp/man" "$options" || exit 1

nm -D --defined-only "$so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$tmp/so"
(cd "$tmp/man/man3" && ls) | sed 's/\.3$//' | grep -vx cloakroom | sort >"$tmp/pages"
sed -n 's/^\.It Xr \(cloak_[a-z0-9_]*\) 3$/\1/p' "$tmp/man/man3/cloakroom.3" | sort >"$tmp/listed"
[ -s "$tmp/so" ] || { echo "$so exports nothing"; bad=1; }
comm -23 "$tmp/so" "$tmp/pages" | sed 's/$/: exported, but has no man page/' | grep . && bad=1
comm -13 "$tmp/so" "$tmp/pages" | sed 's/$/: has a man page, but is not exported/' | grep . && bad=1
diff "$tmp/so" "$tmp/listed" >"$tmp/diff" || { echo "cloakroom.3 does not list what is exported:"; cat "$tmp/diff"; bad=1; }

# Prototypes, one in a line: those of the header without the library's own macros, and those that
# each page shows, behind the name of its file.
awk -f test/checks/strip.awk include/cloakroom.h | grep -v '^#' | tr '\n' ' ' | tr ';' '\n' |
	grep -w CLOAK_API | sed 's/.*CLOAK_API//; s/CLOAK_[A-Z_]*//g' | tr -s ' \t' '  ' |
	sed 's/^ *//; s/ *$//; s/\* /*/g; s/^\(.*[ *]\)\(cloak_[a-z0-9_]*\)(/\2: \1\2(/' |
	sort >"$tmp/header"
for f in "$tmp"/man/man3/cloak_*.3; do
	awk -v file="$(basename "$f" .3)" '
	function flat(text) { sub(/^\.[A-Z][a-z] /, "", text); gsub(/"/, "", text); return text }
	/^\.Nm / && $2 != file { file = file ", which calls itself " $2 }
	/^\.Ft / { shown = flat($0) }
	/^\.Fo / { shown = shown " " $2 "("; between = "" }
	/^\.Fa / { shown = shown between flat($0); between = ", " }
	/^\.Fc$/ {
		shown = shown ")"
		gsub(/\* /, "*", shown)
		print file ": " shown
	}' "$f"
done | sort >"$tmp/shown"
diff "$tmp/header" "$tmp/shown" >"$tmp/diff" || {
	echo "prototypes of the header (<) and of the man pages (>) differ:"
	cat "$tmp/diff"
	bad=1
}

grep -ohE '\bXr (\( )?[a-z0-9_]+ [0-9]' "$tmp"/man/man*/* | sed 's/Xr (* *//' |
	awk '{ print "man" $2 "/" $1 "." $2 }' | sort -u >"$tmp/links"
while IFS= read -r page; do
	[ -f "$tmp/man/$page" ] || { echo "$page: referred to, but there is no such page"; bad=1; }
done <"$tmp/links"

# Of what mandoc says, two things are not for us: references are looked up above, since mandoc asks
# for pages installed; and the name behind .Os is the package's, on purpose.
if command -v mandoc >/dev/null 2>&1; then
	mandoc -Tlint "$tmp"/man/man*/* 2>&1 | sed "s|$tmp/man/||" |
		grep -v -e 'referenced manual not found' -e 'operating system explicitly specified' && bad=1
else
	echo "note: mandoc is not installed, the man pages were not linted"
fi
[ $bad -eq 0 ] && echo "man: $(wc -l <"$tmp/pages") pages of functions"
exit $bad
