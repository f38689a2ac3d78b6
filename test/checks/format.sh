#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The C files are as clang-format 14 writes them (other versions format some lines differently),
# no file of text has spaces at the end of a line, and each ends in a newline.
set -u
bad=0
c_files=$(ls include/*.h include/*/*.h lib/*.[ch] examples/*.[ch] examples/*/*.[ch] tools/*.[ch] \
	test/*.[ch] test/*/*.[ch] 2>/dev/null)
others=$(ls Makefile lib/*.map pkgconfig/*.in tools/*.sh test/*.sh test/checks/* test/bench/*.sh examples/*.sh \
	.ci/run .gitignore .clang-format 2>/dev/null)

for f in $c_files $others; do
	grep -nE '[ 	]+$' "$f" | sed "s|^|$f:|; s|\$|<- spaces at the end|" | grep . && bad=1
	[ -z "$(tail -c 1 "$f")" ] || { echo "$f: does not end in a newline"; bad=1; }
done

version=$(clang-format --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
if [ "$version" = 14 ]; then
	# shellcheck disable=SC2086 # names without spaces
	clang-format --dry-run -Werror $c_files 2>&1 | sed -n 's/^\([^:]*\):.*error:.*/\1/p' | uniq -c |
		awk '{ print $2 ": `make format` would change it in " $1 " places" }' | grep . && bad=1
else
	echo "note: clang-format 14 is not here (found: ${version:-none}), formatting was not compared"
fi
[ $bad -eq 0 ] && echo "format: $(echo "$c_files" | wc -l) C files"
exit $bad
