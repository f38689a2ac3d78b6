#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the code does without. Everywhere: functions without a bound, parsers that take anything,
# locale ctype, line comments. In the library also: the process's allocator (lib/mem.h is the one
# seam), printing, leaving, signals, threads (but those of lib/resolve.c), the environment.
set -u
LC_ALL=C
export LC_ALL
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0

everywhere='strtok|strtok_r|sscanf|vsscanf|scanf|atoi|atol|atoll|strcpy|stpcpy|strcat|sprintf|vsprintf|gets|strncpy|strncat|alloca|tmpnam|mktemp|isalpha|isdigit|isalnum|isspace|isupper|islower|isxdigit|ispunct|isprint|isgraph|iscntrl|isblank|toupper|tolower|strcasecmp|strncasecmp|strcoll|setlocale'
allocator='malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|aligned_alloc|posix_memalign'
process='printf|fprintf|vprintf|vfprintf|dprintf|puts|fputs|putchar|fwrite|perror|exit|_exit|_Exit|abort|getenv|secure_getenv|setenv|signal|sigaction|system|popen|fork|rand|srand|random|select|sleep|usleep'

look() { # look FILE WORDS WHY
	grep -nE "(^|[^A-Za-z0-9_.>])($2)[ \t]*\(" "$tmp/code" | while IFS= read -r line; do
		echo "$1:$line   ($3)"
	done | grep . && bad=1
}
count=0
for f in $(ls include/*.h include/*/*.h lib/*.[ch] examples/*.[ch] examples/*/*.[ch] tools/*.[ch] \
	test/*.[ch] test/*/*.[ch] 2>/dev/null); do
	count=$((count + 1))
	awk -f test/checks/strip.awk "$f" >"$tmp/code"
	look "$f" "$everywhere" "banned"
	grep -nE '//' "$tmp/code" | sed "s|^|$f:|; s|\$|   (comments are /* */)|" | grep . && bad=1
	grep -nE '#[ \t]*include[ \t]*<(ctype|locale)\.h>' "$tmp/code" | sed "s|^|$f:|" | grep . && bad=1
	case $f in
	lib/*)
		look "$f" "$process" "not in a library"
		[ "$f" = lib/resolve.c ] || look "$f" pthread_create "only lib/resolve.c starts a thread"
		[ "$f" = lib/mem.c ] || look "$f" "$allocator" "lib/mem.h allocates"
		;;
	esac
done
[ $bad -eq 0 ] && echo "banned: none in $count files"
exit $bad
