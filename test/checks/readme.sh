#!/bin/sh
# SPDX-License-Identifier: MIT
#
# readme.sh [--update] OPTIONS_PROGRAM: README.md shows the tables of options, metrics and events as
# the library has them, examples/minimal.c as it is, and a function of examples/keys.c, between marker comments (--update writes
# them there); links to files and headings lead somewhere; each `make target` it names exists.
set -u
LC_ALL=C
export LC_ALL
update=0
if [ "${1-}" = --update ]; then
	update=1
	shift
fi
options=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
fail() {
	echo "README.md: $*"
	bad=1
}
[ -f README.md ] || { fail "is missing"; exit 1; }

for table in options metrics events; do
	"$options" $table >"$tmp/$table" && [ -s "$tmp/$table" ] || { fail "$options $table failed"; exit 1; }
done
{
	echo '```c'
	cat examples/minimal.c
	echo '```'
} >"$tmp/quickstart"
{
	echo '```c'
	sed -n '/^static cloak_status add_keys/,/^}/p' examples/keys.c
	echo '```'
} >"$tmp/keys"

# The file with what is between the markers replaced by the generated text.
awk -v folder="$tmp" '
/^<!-- (options|metrics|events|quickstart|keys) begin -->$/ {
	if (inside) broken = 1
	print
	part = $2
	while ((getline line < (folder "/" part)) > 0)
		print line
	inside = 1
	begun[part]++
	next
}
/^<!-- (options|metrics|events|quickstart|keys) end -->$/ {
	if (!inside || $2 != part) broken = 1
	inside = 0
}
!inside { print }
END {
	if (broken || inside || begun["options"] != 1 || begun["quickstart"] != 1 ||
	    begun["metrics"] != 1 || begun["events"] != 1 || begun["keys"] != 1) exit 1
}' README.md >"$tmp/README.md" ||
	{ fail "wants one pair of markers each: <!-- options begin -->, <!-- options end -->, so for metrics, events, quickstart and keys"; exit 1; }

if [ $update -eq 1 ]; then
	cmp -s "$tmp/README.md" README.md || { cat "$tmp/README.md" >README.md; echo "README.md: updated"; }
	exit $bad
fi
diff -u README.md "$tmp/README.md" >"$tmp/diff" || {
	fail "is not what \`make readme\` makes of it:"
	cat "$tmp/diff"
}

# Links, outside of code.
awk '/^ *```/ { code = !code; next } !code' README.md >"$tmp/prose"
awk '/^ *```/ { code = !code; next } !code && /^#+ / {
	sub(/^#+ +/, "")
	gsub(/`/, "")
	$0 = tolower($0)
	gsub(/[^a-z0-9 _-]/, "")
	gsub(/ /, "-")
	print
}' README.md >"$tmp/anchors"
grep -oE '\]\([^) ]+\)' "$tmp/prose" | sed 's/^](//; s/)$//' | sort -u >"$tmp/links"
while IFS= read -r link; do
	case $link in
	http://* | https://* | mailto:*) ;;
	'#'*) grep -qxF -- "${link#\#}" "$tmp/anchors" || fail "no heading for the link $link" ;;
	*) [ -e "${link%%#*}" ] || fail "no file for the link $link" ;;
	esac
done <"$tmp/links"

# Targets: in code spans and in code blocks.
{
	grep -oE '`[^`]+`' "$tmp/prose" | tr -d '`'
	awk '/^ *```/ { code = !code; next } code' README.md
} | grep -oE '(^|[ ;&])make( +-[A-Za-z0-9]+| +[A-Z]+=[^ ]*)* +[a-z][a-z-]*' |
	sed 's/.* //' | sort -u >"$tmp/targets"
while IFS= read -r target; do
	grep -qE "^([a-z-]+ )*$target( [a-z-]+)*:" Makefile || fail "no target for make $target"
done <"$tmp/targets"
[ $bad -eq 0 ] && echo "README.md: $(grep -c . "$tmp/links") links, $(grep -c . "$tmp/targets") targets"
exit $bad
