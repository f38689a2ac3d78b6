#!/bin/sh
# SPDX-License-Identifier: MIT
#
# selftest.sh SHARED_LIBRARY OPTIONS_PROGRAM: each check must be able to fail. In a copy of the
# tree plant one violation at a time, expect the check to fail and to name it, and put the file
# back. (That the checks pass on the tree itself is what they are for, and is not repeated here.)
set -u
so=$(realpath "$1")
options=$(realpath "$2")
MAKE=${MAKE:-make}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/tree" "$tmp/tree/build"
for f in * .clang-format .gitignore; do
	[ "$f" = build ] || cp -a "$f" "$tmp/tree/"
done
cp -a build/release build/have-libs "$tmp/tree/build/"
cd "$tmp/tree" || exit 1
bad=0
count=0

# plant FILE SED_SCRIPT EXPECTED CHECK ARGS...: edit FILE, run the check, look for EXPECTED.
# With - for the script, FILE is new and its text comes from standard input.
plant() {
	file=$1
	script=$2
	expected=$3
	check=$4
	shift 4
	count=$((count + 1))
	rm -f "$tmp/before"
	if [ "$script" = - ]; then
		cat >"$file"
	else
		[ -f "$file" ] || { echo "$check: no $file to plant in"; bad=1; return; }
		cp -p "$file" "$tmp/before"
		sed "$script" "$tmp/before" >"$file"
		cmp -s "$file" "$tmp/before" && { echo "$check: '$script' changes nothing in $file"; bad=1; }
	fi
	if sh "test/checks/$check.sh" "$@" >"$tmp/out" 2>&1; then
		echo "$check: passes with a violation planted in $file: $script"
		bad=1
	elif ! grep -qE -- "$expected" "$tmp/out"; then
		echo "$check: fails, but does not say '$expected' for $file:"
		sed 's/^/    /' "$tmp/out"
		bad=1
	fi
	if [ -e "$tmp/before" ]; then cp -p "$tmp/before" "$file"; else rm -f "$file"; fi
}

head='/\* SPDX-License-Identifier: MIT \*/'
plant lib/buf.h '1s/L0/L6/' 'does not name its layer' layers
plant lib/buf.h '2d' 'SPDX' layers
plant lib/buf.h "s|^$head|&\n#include \"conn.h\"|" 'L0 includes' layers
plant lib/conn.h "s|^$head|&\n#include \"id.h\"|" 'includes values' layers
plant lib/router.h "s|^$head|&\n#include \"record.h\"|" 'includes values' layers
plant lib/cookie.h "s|^$head|&\n#include \"clock.h\"|" 'must not know lib/clock.h' layers
plant lib/report.h "s|^$head|&\n#include \"uri.h\"|" 'by a detour' layers
plant lib/conn.c "s|^$head|&\n#include <hiredis/hiredis.h>|" 'whose home is resp.c' layers
plant lib/record.c "s|^$head|&\n#include <sodium.h>|" 'whose home is id.c' layers
plant lib/report.c "s|^$head|&\n#include <openssl/ssl.h>|" 'transport_tls.c' layers
plant lib/record.c '$s|$|\nlong now(void) { return time(0); }|' 'reads a clock' layers
plant lib/conn.c "s|^#include \"conn.h\"|#include <string.h>\n&|" 'first include' layers
plant lib/buf.h 's|^#include <stddef.h>||; s|^#include <stdint.h>||' 'compile alone' layers
plant examples/minimal.c 's|<cloakroom.h>|"../lib/buf.h"|' 'file of the library' layers

plant lib/cloakroom.map '/cloak_session_save;/d' 'cloak_session_save: CLOAK_API, but not in' symbols "$so"
plant lib/cloakroom.map 's/cloak_session_save;/&\n\t\tcloak_extra;/' 'cloak_extra: in lib' symbols "$so"
plant include/cloakroom.h 's/^CLOAK_API void cloak_session_free(/CLOAK_API void cloak_extra(void);\n&/' \
	'cloak_extra: CLOAK_API, but not defined' symbols "$so"
plant include/cloakroom.h 's/^CLOAK_API void cloak_session_free(/void cloak_session_free(/' \
	'cloak_session_free: exported, but not' symbols "$so"

h=include/cloakroom.h
plant $h 's/@param session  \[consumed\]/@param handle/' 'no @param session' docs
plant $h 's/@param session  \[consumed\]/@param handle/' '@param handle, but there is no' docs
plant $h '0,/@return/s/@return/returns/' 'no @return' docs
plant $h '0,/@threads any/s/@threads any//' 'no @threads' docs
plant $h '0,/@since 0.1/s/@since 0.1//' 'no @since' docs
plant $h 's|^/\*\* Free the handle|/** Frees the handle|' 'not imperative' docs
plant $h 's|^CLOAK_API void cloak_session_free|\n&|' 'no /.. comment right before' docs
plant $h 's|@param session  \[consumed\]|@return nothing\n *  &|' 'but it is void' docs

plant $h 's|@param session  \[consumed\]|@parm session  [consumed]|' \
	'h:[0-9]+: cloak_session_free: no tag is written so: @parm' man "$so" "$options"
plant $h 's|^ \*  @param session  \[consumed\]|  &|' 'each line begins with' man "$so" "$options"
plant $h 's|Send the cookie of cloak_cookie_expire()|Send that of cloak_cookie_end()|' \
	'cloak_cookie_end.. is not in the header' man "$so" "$options"
plant $h 's|as said above for all setters|& `|' 'backtick' man "$so" "$options"
plant $h 's|^/\* The four setters|/** The four setters|' 'neither a function nor a type' man "$so" "$options"
plant $h '/^\/\*\* Remove an attribute/,/^CLOAK_API/d' 'cloak_session_unset: exported, but has no' man "$so" "$options"
plant $h 's/^\(CLOAK_API.* cloak_session\)_unset(/\1_remove(/' \
	'cloak_session_remove: has a man page, but is not' man "$so" "$options"
pages=tools/man/pages.awk
plant $pages 's/list\[i\] "\\""/"int x\\""/' 'prototypes of the header .* differ' man "$so" "$options"
plant $pages 's/\.It Xr " functions\[j\] /.It Xr cloak_x" /' 'cloakroom.3 does not list' man "$so" "$options"
plant tools/man/cloakroom.7.in 's/^\.Xr cloakroom 3$/.Xr cloak_nothing 3/' 'no such page' man "$so" "$options"
command -v mandoc >/dev/null 2>&1 &&
	plant tools/man/cloakroom.7.in 's/^\.Sh PROMISES/&\n.Zz/' 'unknown macro' man "$so" "$options"

plant README.md '/<!-- options begin/,/<!-- options end/s/idle_timeout/idle_time/' 'make readme' readme "$options"
plant README.md '/<!-- quickstart begin/,/<!-- quickstart end/s/int main/int Main/' 'make readme' readme "$options"
plant README.md '/<!-- options end -->/d' 'markers' readme "$options"
plant README.md '$s|$|\n[x](no/such/file)|' 'no file for the link' readme "$options"
plant README.md '$s|$|\n[x](#no-such-heading)|' 'no heading for the link' readme "$options"
plant README.md '$s|$|\n`make nonsense`|' 'no target for make nonsense' readme "$options"

plant test/checks/security.txt 's/^1  .*/1  done one thing/; s/^4 .*/x/' 'no line 4' security
plant test/test_planted.c - 'SEC-99 is no requirement' security <<'END'
/* SEC-99 */
END
grep -l 'SEC-2[^0-9]' test/*.c test/*/*.c | xargs sed -i 's/SEC-2\([^0-9]\)/SEC \1/g; s/SEC-2$/SEC/'
plant test/checks/security.txt 's/^2  [a-z]*/2  done/; s/SEC//; s/^# The/# Those/' \
	'SEC-2 is done, but no test' security

for call in 'strcpy(a, b)' 'strtok(a, b)' 'sscanf(a, b)' 'atoi(a)' 'sprintf(a, b)' 'isalpha(1)'; do
	name=${call%%(*}
	plant test/support/planted.c - "planted.c:.*$name" banned <<END
void f(void) { $call; }
END
done
plant lib/planted.c - 'malloc.*mem.h allocates' banned <<'END'
void *f(void) { return malloc(1); }
END
plant lib/planted.c - 'printf.*not in a library' banned <<'END'
void f(void) { printf("x"); }
END
plant lib/planted.c - 'pthread_create.*only lib/resolve.c' banned <<'END'
void f(void) { pthread_create(0, 0, 0, 0); }
END
plant lib/planted.c - 'comments are' banned <<'END'
int f; // no
END
plant lib/planted.c - 'ctype' banned <<'END'
#include <ctype.h>
END

plant lib/event.c 's/"unknown_key"/"unknown_keys"/' 'UNKNOWN_KEY is called "unknown_keys"' events
plant lib/event.c 's/EVENT(UNKNOWN_KEY/EVENT(UNKNOWN_ID/' 'UNKNOWN_KEY: in lib/event.h, but not in the table' events
plant lib/event.h '/CLOAK__EVENT_UNKNOWN_KEY/d' 'UNKNOWN_KEY: in the table of lib/event.c, but not' events
plant lib/op_load.c 's/CLOAK__EVENT_DESTROYED_ID/CLOAK__EVENT_GONE_ID/' 'GONE_ID: logged in lib/, but not' events
plant lib/op_load.c 's/CLOAK__EVENT_DESTROYED_ID/"destroyed_id"/' 'op_load.c: logs no event of the table' events
plant lib/planted.c - 'planted.c: calls the sink past' events <<'END'
void f(const struct cloak_backend_env *env) { env->log(env->log_user, 0, "a", "b"); }
END
plant include/cloakroom.h 's/debug  malformed_id, /debug  /' 'malformed_id DEBUG: not so' events
plant include/cloakroom.h 's/info   superseded_id/info   superseded_id, strange/' 'strange INFO: at cloak' events
plant README.md '/<!-- events begin/,/<!-- events end/s/unknown_key/unknown_keys/' 'make readme' readme "$options"
plant README.md '/<!-- metrics begin/,/<!-- metrics end/s/_retries_/_tries_/' 'make readme' readme "$options"
plant README.md '/<!-- metrics end -->/d' 'markers' readme "$options"

plant lib/buf.h '3s/$/  /' 'spaces at the end' format
[ -n "$(clang-format --version 2>/dev/null | grep 'version 14\.')" ] &&
	plant lib/buf.h 's/^#include <stddef.h>/int   x  ;\n&/' 'lib/buf.h' format

plant pkgconfig/cloakroom.pc.in 's/^Requires.private.*//' 'static: does not build' install
plant Makefile '/rm -f.*libcloakroom.a/d' 'libcloakroom.a: left by uninstall' install
plant include/cloakroom.h 's/^extern "C" {/{/' 'cxx17' install

count=$((count + 1))
HIREDIS_PREFIX=$tmp/none sh test/checks/hiredis.sh >"$tmp/out" 2>&1 && {
	echo "hiredis: passes without hiredis"
	bad=1
}
grep -q 'no include/hiredis/hiredis.h' "$tmp/out" || { cat "$tmp/out"; bad=1; }

# run.sh counts: a crash, an exit status, no test at all, a part that never ran
notes=$tmp/notes
expect() { # expect TOTAL NAME [-s] COMMAND...
	count=$((count + 1))
	total=$1
	name=$2
	shift 2
	flag=
	[ "${1-}" != -s ] || { flag=-s; shift; }
	rm -rf "$notes"
	[ $# -eq 0 ] || test/run.sh $flag "$notes" "$name" "$@" >/dev/null
	test/run.sh -t "$notes" "$name" >"$tmp/out" && status=0 || status=1
	case $total in '0 passed'*) wanted=1 ;; *' 0 failed') wanted=0 ;; *) wanted=1 ;; esac
	[ "$(tail -n 1 "$tmp/out")" = "$total" ] && [ $status -eq $wanted ] || {
		echo "run.sh: '$*' gives '$(tail -n 1 "$tmp/out")' and $status, not '$total'"
		bad=1
	}
}
expect '1 passed, 0 failed' a true
expect '0 passed, 1 failed' a false
expect '0 passed, 1 failed' a
expect '7 passed, 0 failed' a -s echo '100%: Checks: 7, Failures: 0, Errors: 0'
expect '5 passed, 3 failed' a -s sh -c 'echo "62%: Checks: 8, Failures: 2, Errors: 1"; exit 1'
expect '0 passed, 0 failed' a sh -c 'exit 77'
expect '0 passed, 1 failed' a -s true
expect '7 passed, 1 failed' a -s sh -c 'echo "100%: Checks: 7, Failures: 0, Errors: 0"; exit 23'
expect '7 passed, 1 failed' a -s sh -c 'echo "100%: Checks: 7, Failures: 0, Errors: 0"; kill -SEGV $$'

[ $bad -eq 0 ] && echo "selftest: $count planted violations noticed"
exit $bad
