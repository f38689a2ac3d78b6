#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hiredis.sh: build with hiredis 1.x and run the suites that meet it most, where all else is built
# with the system's 0.14. The build is in a folder of links to this tree, build/hiredis/tree, with
# its own build/ in it, so neither disturbs the other.
#
# HIREDIS_PREFIX names its folder; without it, on a Debian with 0.14, the one of a later Debian
# (HIREDIS_SUITE, or trixie) is fetched from the mirror this machine uses, and unpacked in build/.
# apt works there with state, cache and settings of its own: the system's are only read. Where there
# is nothing to fetch, or no network, that is said in a note and the exit status is 77: not run.
set -u
LC_ALL=C
export LC_ALL
MAKE=${MAKE:-make}
suite=${HIREDIS_SUITE:-trixie}
folder=$PWD/build/hiredis

not_run() {
	echo "note: $*"
	exit 77
}

# Download both packages into $folder/apt and unpack them into $1.
fetch() {
	[ "$(. /etc/os-release 2>/dev/null && echo "$ID")" = debian ] ||
		not_run "not tried with hiredis 1.x: HIREDIS_PREFIX is not set, and this is no Debian"
	command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 ||
		not_run "not tried with hiredis 1.x: HIREDIS_PREFIX is not set, and there is no apt-get"
	mirror=$(apt-get indextargets --format '$(CREATED_BY) $(COMPONENT) $(REPO_URI)' |
		sed -n 's|^Packages main \(.*/debian/*\)$|\1|p' | head -n 1)
	[ -n "$mirror" ] || not_run "not tried with hiredis 1.x: apt knows no mirror of Debian"
	apt=$folder/apt
	rm -rf "$apt"
	mkdir -p "$apt/empty" "$apt/lists/partial" "$apt/archives/partial"
	: >"$apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
		>"$apt/sources.list"
	# read before all else, so no setting of the system's runs a command; proxies are kept
	{
		apt-config dump Acquire
		cat <<END
Dir::Etc::Parts "$apt/empty";
Dir::Etc::Main "$apt/empty/none";
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "$apt/empty";
Dir::Etc::Preferences "$apt/empty/none";
Dir::Etc::PreferencesParts "$apt/empty";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::Cache "$apt";
Dir::Cache::Archives "$apt/archives";
Dir::Log "$apt";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
APT::Sandbox::User "$(id -un)";
END
	} >"$apt/conf"
	(
		export APT_CONFIG="$apt/conf"
		cd "$apt/archives" && timeout 300 apt-get -qq update &&
			timeout 120 apt-get -qq download libhiredis-dev '^libhiredis1[.].*'
	) >"$apt/log" 2>&1
	mkdir -p "$1.new"
	for deb in "$apt"/archives/*.deb; do
		[ ! -f "$deb" ] || dpkg-deb -x "$deb" "$1.new" >>"$apt/log" 2>&1
	done
	why=$(tail -n 1 "$apt/log")
	[ -f "$1.new/usr/include/hiredis/hiredis.h" ] && mv "$1.new" "$1"
	rm -rf "$apt" "$1.new"
	[ -d "$1" ] || not_run "not tried with hiredis 1.x, $suite has none to fetch: $why"
}

prefix=${HIREDIS_PREFIX:-}
if [ -z "$prefix" ]; then
	case $(pkg-config --modversion hiredis) in
	0.*) ;;
	*) not_run "the system's hiredis is 1.x already: all was tried with it" ;;
	esac
	prefix=$folder/$suite
	[ -d "$prefix" ] || fetch "$prefix"
fi
prefix=$(realpath "$prefix")

tree=$folder/tree
mkdir -p "$tree"
find "$tree" -maxdepth 1 -type l -exec rm -f {} +
for f in *; do
	[ "$f" = build ] || ln -s "../../../$f" "$tree/$f"
done

# hiredis is called by resp.c alone, and by the tests' own client; what takes its time because
# sessions expire tells nothing of it
export CK_EXCLUDE_TAGS=seconds
parts='test/test_resp asan/test/test_resp fuzz/resp test/wire_fake test/wire_conn test/live_redis
	test/live_contract'
case ${MAKEFLAGS-} in
*-j*) jobs= ;;
*) jobs=-j$(nproc 2>/dev/null || echo 2) ;;
esac
cd "$tree" || exit 1
version=$(cat "$prefix"/include/hiredis/hiredis.h "$prefix"/usr/include/hiredis/hiredis.h \
	2>/dev/null | awk '/^#define HIREDIS_(MAJOR|MINOR|PATCH) / { print $3 }' | paste -s -d . -)
rm -rf build/notes
# shellcheck disable=SC2086 # parts are words
$MAKE --no-print-directory -k -Otarget $jobs HIREDIS_PREFIX="$prefix" NOTES=build/notes/hiredis \
	$(printf 'run/%s ' $parts)
# shellcheck disable=SC2086
sh test/run.sh -t build/notes/hiredis $parts || exit 1
for program in build/test/test/test_resp build/asan/test/fuzz/fuzz_resp; do
	ldd "$program" | grep -F "=> $prefix/" | grep hiredis && continue
	echo "$program: linked to another hiredis:"
	ldd "$program" | grep hiredis
	exit 1
done
echo "hiredis $version"
