#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Run one part of a check, keep its output, and note what passed and failed; or add the notes up.
#
#   test/run.sh [-s] FOLDER NAME COMMAND...   run; -s: COMMAND is a Check program, count its tests;
#                                             exit status 77: it could not be tried here, which
#                                             counts as neither passed nor failed
#   test/run.sh -t FOLDER NAME...             total: print the failures again, then
#                                             "N passed, N failed"; a NAME without a note failed
#
# FOLDER/NAME.log is the output, FOLDER/NAME.note one line: passed failed. A slash in NAME becomes
# a dot in the file's name. Output is shown only when something failed, or for a Check program one
# line with its count.
set -u

if [ "${1-}" = -t ]; then
	folder=$2
	shift 2
	passed=0
	failed=0
	for name in "$@"; do
		file=$folder/$(printf %s "$name" | tr / .)
		p=0
		f=1
		if [ -s "$file.note" ]; then
			read -r p f <"$file.note"
		else
			echo "FAIL  $name: did not build, or did not run"
		fi
		if [ "$f" -ne 0 ] && [ -s "$file.log" ]; then
			echo "FAIL  $name:"
			tail -n 60 "$file.log" | sed 's/^/      /'
		fi
		passed=$((passed + p))
		failed=$((failed + f))
	done
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
fi

suite=0
if [ "${1-}" = -s ]; then
	suite=1
	shift
fi
folder=$1
name=$2
shift 2
file=$folder/$(printf %s "$name" | tr / .)
mkdir -p "$folder"
rm -f "$file.note"

# A part that hangs must not hang the whole: Check ends single tests, this ends the rest.
timeout -k 10 "${PART_TIMEOUT_S:-900}" "$@" </dev/null >"$file.log" 2>&1
rc=$?

passed=0
failed=0
if [ $suite -eq 1 ]; then
	# "97%: Checks: 40, Failures: 1, Errors: 0", once per suite
	counts=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' \
		"$file.log" | awk '{ n += $1; f += $2 + $3 } END { print n - f, f + 0 }')
	passed=${counts% *}
	failed=${counts#* }
	if [ "$failed" -eq 0 ] && { [ $rc -ne 0 ] || [ "$passed" -eq 0 ]; }; then
		failed=1
	fi
elif [ $rc -eq 0 ]; then
	passed=1
elif [ $rc -ne 77 ]; then
	failed=1
fi
echo "$passed $failed" >"$file.note"

if [ "$failed" -eq 0 ]; then
	if [ $suite -eq 1 ]; then
		echo "ok    $name: $passed"
	else
		[ $rc -eq 77 ] && echo "--    $name: not run" || echo "ok    $name"
		# What a check could not look at is said, not hidden.
		sed -n 's/^note: /      note: /p' "$file.log"
	fi
	exit 0
fi
if [ $rc -eq 124 ] || [ $rc -eq 137 ]; then
	echo "(ended after ${PART_TIMEOUT_S:-900} s)" >>"$file.log"
fi
echo "FAIL  $name (exit status $rc): the output is shown at the end and in $file.log"
exit 1
