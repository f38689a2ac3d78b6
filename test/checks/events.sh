#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Log events have stable names, all of them in the table of lib/event.c:
# - the table has each event of lib/event.h once, its name is the event's in small letters;
# - what lib/ logs is an event of the table, and the sink is called by cloak__log() alone;
# - the comment at cloak_config_set_log() lists each name at its level, and no other.
# (README.md's table is made of the same one: check-readme.)
set -u
LC_ALL=C
export LC_ALL
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0

sed -n 's/^[ \t]*EVENT(\([A-Z0-9_]*\), "\([^"]*\)", \([A-Z]*\),.*/\1 \2 \3/p' lib/event.c >"$tmp/table"
grep -oE '^	CLOAK__EVENT_[A-Z0-9_]+' lib/event.h | sed 's/.*CLOAK__EVENT_//' | sort >"$tmp/enum"
[ -s "$tmp/table" ] || { echo "lib/event.c: no table found"; bad=1; }
awk '{ print $1 }' "$tmp/table" | sort >"$tmp/ids"
comm -23 "$tmp/enum" "$tmp/ids" | sed 's/$/: in lib\/event.h, but not in the table of lib\/event.c/' | grep . && bad=1
comm -13 "$tmp/enum" "$tmp/ids" | sed 's/$/: in the table of lib\/event.c, but not in lib\/event.h/' | grep . && bad=1
uniq -d "$tmp/ids" | sed 's/$/: twice in the table of lib\/event.c/' | grep . && bad=1
awk 'tolower($1) != $2 { print "lib/event.c: " $1 " is called \"" $2 "\""; bad = 1 } END { exit bad }' \
	"$tmp/table" || bad=1

for f in lib/*.[ch]; do
	case $f in lib/event.* | lib/report.* | lib/clock.*) continue ;; esac
	awk -f test/checks/strip.awk "$f" >"$tmp/code"
	grep -oE 'CLOAK__EVENT_[A-Z0-9_]+' "$tmp/code" | sed 's/CLOAK__EVENT_//' >>"$tmp/used"
	# a call goes over lines: look at the whole file as one
	tr '\n\t' '  ' <"$tmp/code" | grep -oE 'cloak__(op_)?log\([^;{]*' |
		grep -vE '^cloak__(op_)?log\([^,]*, *(CLOAK__EVENT_|enum cloak__event |event,|st == )' |
		sed "s|^|$f: logs no event of the table: |" | grep . && bad=1
	grep -nE '(->|\.)(fn|log)[ \t]*\(' "$tmp/code" | grep -v '(\*' |
		sed "s|^|$f: calls the sink past cloak__log(): |" | grep . && bad=1
done
sort -u "$tmp/used" | comm -23 - "$tmp/ids" | sed 's/$/: logged in lib\/, but not in the table of lib\/event.c/' |
	grep . && bad=1

sed -n '/^ \*  Event names never change/,/^ \*  @param/p' include/cloakroom.h |
	sed -n 's/^ \*    \(debug\|info\|warn\) *\(.*\)/\1 \2/p' | sed 's/([^)]*)//g; s/,/ /g' |
	awk '{ for (i = 2; i <= NF; i++) print $i, toupper($1) }' | sort >"$tmp/documented"
awk '{ print $2, $3 }' "$tmp/table" | sort >"$tmp/named"
comm -23 "$tmp/named" "$tmp/documented" |
	sed 's/$/: not so in the comment at cloak_config_set_log()/' | grep . && bad=1
comm -13 "$tmp/named" "$tmp/documented" |
	sed 's/$/: at cloak_config_set_log(), but not so in the table/' | grep . && bad=1

sort -u "$tmp/used" | comm -13 - "$tmp/ids" | tr '\n' ' ' |
	sed 's/.*/note: no code logs these events yet: &/' | grep ': [A-Z]'
[ $bad -eq 0 ] && echo "events: $(wc -l <"$tmp/table") names"
exit $bad
