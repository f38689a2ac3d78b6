#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Run the seeded suites over and over with fresh seeds until the time is up.
#
#   test/soak.sh FOLDER SECONDS [FIRST-SEED]     FOLDER: where the suites were built
#
# One line for each run; the output of one that failed is shown, its seeds among it (CLOAK_SEED=...),
# and kept in build/soak. The exit status is 0 only if none failed.
set -u
folder=$1
seconds=$2
seed=${3:-$(date +%s)000}
began=$(date +%s)
failed=0
runs=0
mkdir -p build/soak

spent() {
	echo $(($(date +%s) - began))
}

run() { # run SUITE VARIABLE=VALUE...
	suite=$1
	shift
	[ "$(spent)" -lt "$seconds" ] || return
	log=build/soak/$suite.log
	runs=$((runs + 1))
	if env "$@" timeout -k 10 600 "$folder/$suite" </dev/null >"$log" 2>&1; then
		printf '%5s s of %s: %s %s\n' "$(spent)" "$seconds" "$suite" "$*"
		grep -E "^($suite: |[0-9]+%: )" "$log" | sed 's/^/               /'
	else
		failed=$((failed + 1))
		mv "$log" "build/soak/$suite.failed-$failed.log"
		printf '%5s s of %s: FAIL %s %s\n' "$(spent)" "$seconds" "$suite" "$*"
		tail -n 20 "build/soak/$suite.failed-$failed.log" | sed 's/^/               /'
	fi
}

echo "soak: first seed $seed"
while [ "$(spent)" -lt "$seconds" ]; do
	run live_proxy CLOAK_FIRST_SEED="$seed" CLOAK_CASES=4000
	run live_counter CLOAK_SEED="$seed"
	run test_interleave CLOAK_FIRST_SEED="$seed" CLOAK_CASES=50000
	run live_interleave CLOAK_FIRST_SEED="$seed" CLOAK_CASES=5000
	run test_stateful CLOAK_FIRST_SEED="$seed" CLOAK_CASES=20000
	run live_stateful CLOAK_FIRST_SEED="$seed" CLOAK_CASES=1000
	run wire_silence CLOAK_FIRST_SEED="$seed" CLOAK_CASES=50000
	run live_process CLOAK_FIRST_SEED="$seed"
	seed=$((seed + 50000))
done
echo "soak: $runs runs, $failed failed"
[ "$failed" -eq 0 ] && [ "$runs" -gt 0 ]
