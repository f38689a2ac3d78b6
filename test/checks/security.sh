#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Match the numbered requirements of test/checks/security.txt with the comments SEC-n beside the
# tests: every number named exists, and what is `done` has a test.
set -u
list=test/checks/security.txt
files=$(ls test/*.c test/support/*.c test/fuzz/*.c examples/demo.sh test/checks/browsers.sh 2>/dev/null)
# shellcheck disable=SC2086 # names without spaces
grep -onE 'SEC-[0-9]+' $files /dev/null | sed 's/^\([^:]*\):[0-9]*:SEC-0*/\1 /' | sort -u |
awk -v list="$list" '
BEGIN {
	while ((getline line < list) > 0) {
		if (line ~ /^#/ || line ~ /^[ \t]*$/)
			continue
		split(line, w, /[ \t]+/)
		n = w[1] + 0
		if (w[1] !~ /^[0-9]+$/ || w[2] !~ /^(done|none|open)$/ || n in state) {
			print list ": cannot read: " line
			bad = 1
			continue
		}
		state[n] = w[2]
		sub(/^[0-9]+[ \t]+[a-z]+[ \t]+/, "", line)
		title[n] = line
	}
	for (n = 1; n <= 44; n++)
		if (!(n in state)) {
			print list ": no line " n
			bad = 1
		}
}
{
	if (!($2 in state)) {
		print $1 ": SEC-" $2 " is no requirement"
		bad = 1
	}
	tests[$2] = tests[$2] " " $1
}
END {
	for (n = 1; n <= 44; n++) {
		if (state[n] == "done" && !(n in tests)) {
			print "SEC-" n " is done, but no test names it: " title[n]
			bad = 1
		}
		if (n in tests)
			with++
		else if (state[n] == "none")
			later = later "\n  " n " " title[n]
		else
			without = without "\n  " n " " title[n]
	}
	print "security: " with + 0 " of 44 requirements have a test"
	for (n = 1; n <= 44; n++)
		if (n in tests)
			print "  " n " " title[n] ":" tests[n]
	if (later != "")
		print "not in this release:" later
	if (without != "")
		print "open:" without
	exit bad
}'
