#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Install what is missing, by the system's packages.
#
#   tools/deps.sh GROUP...     build: to build the library     test: for `make check`
#                              fuzz: for `make fuzz`           demo: for `make demo`
#                              valgrind: for `make valgrind`   browser: Chromium, for
#                              `make check-browsers` (290 MB)
#
# Nothing missing: says nothing, asks nothing. Otherwise names the packages, and installs them with
# apt-get (Debian 12, Ubuntu 24.04 and later), through sudo unless root. No service is started or
# left enabled: redis-server and lighttpd are only ever run by the tests and the demo themselves.
set -eu

# lighttpd is in /usr/sbin, which is not in every user's PATH
PATH=$PATH:/usr/sbin
missing=
services=
need() { # need PACKAGE TEST...: PACKAGE is missing unless TEST succeeds
	package=$1
	shift
	"$@" >/dev/null 2>&1 || case " $missing " in
	*" $package "*) ;;
	*) missing="${missing:+$missing }$package" ;;
	esac
}
has() { command -v "$1"; }
has_lib() { pkg-config --exists "$1"; }
has_libc() { [ -e /usr/include/stdlib.h ] || [ -e /usr/include/features.h ]; }
has_server() { has redis-server || has redis-check-rdb; }
has_fuzzer() { ls "$(clang -print-runtime-dir)"/libclang_rt.fuzzer*.a ||
	ls "$(clang -print-resource-dir)"/lib/*/libclang_rt.fuzzer*.a; }

# Debian keeps the symbols that valgrind wants of libc in a package of their own.
has_libc_symbols() { ! has dpkg || dpkg -s libc6-dbg; }

for group in "$@"; do
	need gcc has "${CC:-cc}"
	need libc6-dev has_libc
	need make has make
	need pkg-config has pkg-config
	need libhiredis-dev has_lib hiredis
	need libsodium-dev has_lib libsodium
	need libssl-dev has_lib openssl
	case $group in
	build) ;;
	test)
		need check has_lib check
		need redis-tools has_server
		need g++ has g++
		need clang has clang
		need clang-format has clang-format
		need mandoc has mandoc
		;;
	fuzz)
		need check has_lib check
		need clang has clang
		need libclang-rt-dev has_fuzzer
		;;
	valgrind)
		need check has_lib check
		need redis-tools has_server
		need valgrind has valgrind
		need libc6-dbg has_libc_symbols
		;;
	demo)
		need redis-tools has_server
		need curl has curl
		need lighttpd has lighttpd
		case " $missing " in
		*" lighttpd "*) services=lighttpd ;;
		esac
		;;
	browser)
		need chromium has chromium
		;;
	*)
		echo "tools/deps.sh: no group '$group': build, test, fuzz, valgrind, demo, browser" >&2
		exit 2
		;;
	esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "Missing, by their Debian names: $missing"
	echo "This system has no apt-get: please install them its way, then try again."
	exit 1
fi
echo "To be installed with apt-get: $missing"
sudo=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "Neither root nor sudo: please have them installed, then try again."
		exit 1
	fi
	echo "Installing packages needs root: sudo may ask for your password."
	sudo=sudo
fi

# Debian and Ubuntu start a service on install unless this file says 101 (not allowed). One that
# is there already is the owner's, and stays.
policy=/usr/sbin/policy-rc.d
ours=0
cleanup() {
	[ $ours -eq 0 ] || $sudo rm -f $policy
	ours=0
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if [ ! -e $policy ]; then
	ours=1
	printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
	$sudo chmod 755 $policy
fi

apt="apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0"
# shellcheck disable=SC2086 # words on purpose
$sudo $apt update
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive $apt install -y --no-install-recommends $missing

for service in $services; do
	if command -v systemctl >/dev/null 2>&1; then
		$sudo systemctl disable --now "$service" >/dev/null 2>&1 || :
	fi
done
