#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Interrupt the demo at many moments and look for what it left: a process, or a file.
#
#   test/checks/demo.sh [BUILD]
#
# Each run is given a TMPDIR of its own and is a process group of its own (set -m), in which SIGINT
# is not ignored, as it would be for the background jobs of a plain script.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"
set -u -m
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
runs=0
bad=0

complain() {
	printf '%s\n' "$*"
	bad=1
}

# The processes of a run: those of its process group $1, and those that know its folder $2.
left() {
	local stat fields
	for stat in /proc/[0-9]*/stat; do
		{ read -r fields <"$stat"; } 2>/dev/null || continue
		fields=${fields##*) } # state parent group ...
		# shellcheck disable=SC2086 # words on purpose
		set -- "$1" "$2" $fields
		if [ "$5" = "$1" ] && [ "$3" != Z ]; then
			echo "${stat//[^0-9]/}"
		elif { grep -qaF "$2" "${stat%stat}environ" "${stat%stat}cmdline"; } 2>/dev/null; then
			echo "${stat//[^0-9]/}"
		fi
	done
}

# interrupt SIGNAL WHOM DELAY BUILD: WHOM is group or script.
interrupt() {
	local what="SIG$1 to the $2 after $3 s" folder=$tmp/run.$runs pid rc i found
	runs=$((runs + 1))
	mkdir "$folder"
	TMPDIR=$folder examples/demo.sh ${4:+"$4"} </dev/null >"$tmp/output" 2>&1 &
	pid=$!
	sleep "$3"
	if [ "$2" = group ]; then
		kill "-$1" -- "-$pid" 2>/dev/null
	else
		kill "-$1" "$pid" 2>/dev/null
	fi
	for ((i = 0; i < 200; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.05
	done
	if [ $i -eq 200 ]; then
		complain "$what: still running 10 s later"
		kill -KILL -- "-$pid"
	fi
	wait "$pid" 2>/dev/null
	rc=$?
	case $1.$rc in
	INT.130 | TERM.143 | *.0) ;;
	*)
		complain "$what: exit status $rc"
		cat "$tmp/output"
		;;
	esac
	# A CGI program that lost its server may need a moment.
	for ((i = 0; i < 40; i++)); do
		found=$(left "$pid" "$folder")
		[ -n "$found" ] || break
		sleep 0.05
	done
	if [ -n "$found" ]; then
		complain "$what: left running: $(echo "$found" | tr '\n' ' ')"
		for pid in $found; do
			tr '\0' ' ' <"/proc/$pid/cmdline"
			echo
			kill -KILL "$pid" 2>/dev/null
		done
	fi
	if [ -n "$(ls -A "$folder")" ]; then
		complain "$what: left behind: $(ls -A "$folder")"
	fi
	[ $rc -ne 0 ] || ended=$((ended + 1))
}

ended=0
for delay in 0 0.02 0.05 0.1 0.2 0.5 1 1.5; do
	interrupt INT group $delay "${1-}"
	interrupt TERM group $delay "${1-}"
done
interrupt TERM script 0.3 "${1-}"
interrupt TERM script 1.3 "${1-}"
# Runs that were over before the signal prove nothing.
[ $ended -lt 9 ] || complain "$ended of $runs runs ended before they were interrupted"
[ $bad -eq 0 ] && echo "demo: interrupted $runs times, nothing left"
exit $bad
