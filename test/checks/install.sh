#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Install into a fresh prefix; build test/consumer.c against it with what pkg-config says and
# nothing else, as C99, C11 and C++17, shared and static; uninstall: no file is left. Then the same
# staged with DESTDIR, where the list of files must be exactly as expected.
set -u
MAKE=${MAKE:-make}
CC=${CC:-cc}
CXX=${CXX:-g++}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
fail() {
	echo "$*"
	bad=1
}
run_make() {
	$MAKE --no-print-directory "$@" >"$tmp/make" 2>&1 && return
	fail "make $*:"
	cat "$tmp/make"
}

prefix=$tmp/prefix
run_make install PREFIX="$prefix" LIBDIR= INCLUDEDIR= MANDIR= DESTDIR=
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
version=$("$PKG_CONFIG" --modversion cloakroom) || bad=1
flags="-Wall -Wextra -Wpedantic -Werror -DVERSION=\"$version\" $("$PKG_CONFIG" --cflags cloakroom)" || bad=1
shared=$("$PKG_CONFIG" --libs cloakroom) || bad=1
static=$("$PKG_CONFIG" --static --libs cloakroom) || bad=1

build() { # build NAME COMPILER... : shared and static, run, and see what it was linked to
	name=$1
	shift
	# shellcheck disable=SC2086 # flags are words
	if "$@" $flags -o "$tmp/$name" test/consumer.c $shared; then
		LD_LIBRARY_PATH=$prefix/lib "$tmp/$name" || fail "$name, shared: exit status $?"
		readelf -d "$tmp/$name" | grep -q 'NEEDED.*libcloakroom\.so\.[0-9]*\]' ||
			fail "$name, shared: does not need libcloakroom.so.N"
		readelf -d "$tmp/$name" | grep 'NEEDED.*lib\(hiredis\|sodium\|ssl\|crypto\)' &&
			fail "$name, shared: linked to a private library"
	else
		fail "$name, shared: does not build"
	fi
	# shellcheck disable=SC2086
	if "$@" $flags -o "$tmp/$name-static" test/consumer.c -Wl,-Bstatic $static -Wl,-Bdynamic; then
		"$tmp/$name-static" || fail "$name, static: exit status $?"
		readelf -d "$tmp/$name-static" | grep 'NEEDED.*libcloakroom' &&
			fail "$name, static: needs the shared library"
	else
		fail "$name, static: does not build"
	fi
}
if [ $bad -eq 0 ]; then
	build c99 "$CC" -std=c99
	build c11 "$CC" -std=c11
	if command -v "$CXX" >/dev/null 2>&1; then
		build cxx17 "$CXX" -std=c++17 -x c++
	else
		echo "note: no C++ compiler, the header was not tried as C++"
	fi
fi
readelf -d "$prefix/lib/libcloakroom.so" >"$tmp/elf"
grep -q 'SONAME.*\[libcloakroom\.so\.[0-9]*\]' "$tmp/elf" || fail "soname is wrong"
grep -q NODELETE "$tmp/elf" || fail "the library could be unloaded under its threads' feet"
grep -q BIND_NOW "$tmp/elf" || fail "not linked with -z now"
run_make uninstall PREFIX="$prefix" LIBDIR= INCLUDEDIR= MANDIR= DESTDIR=
find "$prefix" ! -type d | sed 's/$/: left by uninstall/' | grep . && bad=1

stage=$tmp/stage
run_make install DESTDIR="$stage" PREFIX=/opt/x LIBDIR=/opt/x/lib64 INCLUDEDIR= MANDIR=
so=$(echo "$version" | cut -d. -f1)
{
	cat <<END
./opt/x/include/cloakroom.h
./opt/x/lib64/libcloakroom.a
./opt/x/lib64/libcloakroom.so
./opt/x/lib64/libcloakroom.so.$so
./opt/x/lib64/libcloakroom.so.$version
./opt/x/lib64/pkgconfig/cloakroom.pc
./opt/x/share/man/man3/cloakroom.3
./opt/x/share/man/man7/cloakroom.7
END
	nm -D --defined-only build/release/libcloakroom.so |
		sed -n 's|.* T \(cloak_[a-z0-9_]*\)@.*|./opt/x/share/man/man3/\1.3|p'
} | LC_ALL=C sort >"$tmp/expected"
(cd "$stage" && find . ! -type d | LC_ALL=C sort) | diff "$tmp/expected" - || fail "installed files differ"
grep -n "$stage" "$stage/opt/x/lib64/pkgconfig/cloakroom.pc" && fail "cloakroom.pc names DESTDIR"
grep -q '^libdir=${prefix}/lib64$' "$stage/opt/x/lib64/pkgconfig/cloakroom.pc" ||
	fail "cloakroom.pc: libdir is not LIBDIR"
run_make uninstall DESTDIR="$stage" PREFIX=/opt/x LIBDIR=/opt/x/lib64 INCLUDEDIR= MANDIR=
find "$stage" ! -type d | sed 's/$/: left by uninstall/' | grep . && bad=1
exit $bad
