#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Show cloakroom at work: a walk through one session's life, then a page that counts visits.
#
#   examples/demo.sh [BUILD]     BUILD: where the examples were built, else build/release
#
# Starts a Redis on a Unix socket and a lighttpd on a free port of 127.0.0.1, both with all their
# files in one temporary folder. However it ends, also by a signal, nothing stays: no process, no
# file. Exit status 0 only if all that is shown is as it should be.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
dir=

# ---- leaving nothing -----------------------------------------------------------------------------

# All children are in the shell's job list from the moment of their fork, so a signal at any moment
# misses none. Whatever is waited for is a background job too: bash would put off the trap until a
# foreground program has ended.
cleanup() {
	trap '' INT TERM HUP
	local pids=()
	mapfile -t pids <<<"$(jobs -pr)"
	if [ -n "${pids[0]}" ]; then
		kill -TERM "${pids[@]}" 2>/dev/null || true
		# one that does not go within 3 s is made to
		(
			for _ in {1..60}; do
				kill -0 "${pids[@]}" 2>/dev/null || exit 0
				sleep 0.05
			done
			kill -KILL "${pids[@]}" 2>/dev/null
		) &
		wait "${pids[@]}" 2>/dev/null || true
		wait
	fi
	# what was ended a moment ago may still have made a file while the folder is emptied
	[ -z "$dir" ] || rm -rf "$dir" 2>/dev/null || { sleep 0.2; rm -rf "$dir"; }
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

fail() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

run() {
	"$@" &
	wait $!
}

pause() {
	run sleep 0.03
}

heading() {
	printf '\n%s\n%s\n\n' "$1" "${1//?/-}"
}

# ---- what it takes -------------------------------------------------------------------------------

for program in lighttpd redis-cli curl od; do
	command -v $program >/dev/null || fail "$program is missing (tools/deps.sh demo)"
done
quickstart=$build/examples/quickstart
counter=$build/examples/cgi/counter
login=$build/examples/cgi/login
for program in "$quickstart" "$counter" "$login"; do
	[ -x "$program" ] || fail "$program is not built (make)"
done

# The name of a Unix socket has room for about 100 characters.
base=${TMPDIR:-/tmp}
[ ${#base} -le 60 ] || base=/tmp
# A signal must not come between the folder and its name.
dir=$(trap '' INT TERM HUP; mktemp -d "$base/cloakroom-demo.XXXXXX")
socket=$dir/redis.sock
uri=redis+unix://$socket

# Debian's redis-check-rdb is the server under another name.
server=${REDIS_SERVER:-$(command -v redis-server || true)}
if [ -z "$server" ]; then
	check=$(command -v redis-check-rdb) || fail "redis-server is missing (tools/deps.sh demo)"
	server=$dir/redis-server
	ln -s "$check" "$server"
fi

"$server" --port 0 --unixsocket "$socket" --unixsocketperm 700 --save '' --appendonly no \
	--daemonize no --dir "$dir" --logfile "$dir/redis.log" >"$dir/redis.out" 2>&1 &
redis=$!
for _ in {1..150}; do
	! redis-cli -s "$socket" ping >/dev/null 2>&1 || break
	kill -0 $redis 2>/dev/null || break
	pause
done
[ "$(redis-cli -s "$socket" ping 2>&1)" = PONG ] || {
	cat "$dir/redis.out" "$dir/redis.log" >&2 || true
	fail "Redis does not come up"
}

# ---- 1 -------------------------------------------------------------------------------------------

heading "Part 1. The life of a session (examples/quickstart.c)"
run "$quickstart" "$uri" || fail "quickstart found something wrong"

# ---- 2 -------------------------------------------------------------------------------------------

heading "Part 2. A page that counts visits (examples/cgi/counter.c, served by lighttpd)"
mkdir "$dir/www"
for program in counter login; do
	ln -s "$(cd "$(dirname "$counter")" && pwd)/$program" "$dir/www/$program.cgi"
done
token=$$-$RANDOM$RANDOM
echo "$token" >"$dir/www/token.txt"
key=$(head -c 32 /dev/urandom | base64)
(
	umask 077
	printf 'seal %s write\nuser %s\n' "$key" "$(head -c 32 /dev/urandom | base64)" >"$dir/keys"
)

lighttpd=
for _ in {1..10}; do
	port=$((20000 + RANDOM % 10000))
	cat >"$dir/lighttpd.conf" <<END
server.modules = ("mod_setenv", "mod_cgi")
server.bind = "127.0.0.1"
server.port = $port
server.document-root = "$dir/www"
server.errorlog = "$dir/lighttpd.log"
server.upload-dirs = ("$dir")
cgi.assign = (".cgi" => "")
setenv.set-environment = ("CLOAKROOM_URI" => "$uri", "CLOAKROOM_KEY" => "$key", # counter.c
	"CLOAKROOM_KEY_FILE" => "$dir/keys") # login.c
END
	lighttpd -D -f "$dir/lighttpd.conf" >"$dir/lighttpd.out" 2>&1 &
	lighttpd=$!
	for _ in {1..100}; do
		# another's server on a port that was taken does not know the token
		got=$(curl -sS -m 2 "http://127.0.0.1:$port/token.txt" 2>/dev/null || true)
		[ "$got" != "$token" ] || break 2
		kill -0 $lighttpd 2>/dev/null || break
		pause
	done
	kill $lighttpd 2>/dev/null || true
	wait $lighttpd 2>/dev/null || true
	lighttpd=
done
[ -n "$lighttpd" ] || {
	cat "$dir/lighttpd.out" "$dir/lighttpd.log" >&2 || true
	fail "lighttpd does not come up"
}
site=http://127.0.0.1:$port
url=$site/counter.cgi
printf 'Serving %s\n\n' "$url"

# One request of a browser: $1 its name, $2 the address, the rest for curl. Sets status, page, note.
#
# The cookie is Secure, to be returned over https, and this is http. curl from 7.79 on takes 127.0.0.1
# for safe and would return it from its own cookie jar (-b, -c). So that any curl will do, each browser's
# jar is a file of ours, sent by hand.
ask() {
	local jar=$dir/jar.$1 address=$2 cookie=() new
	shift 2
	note="returns its cookie"
	if [ -s "$jar" ]; then
		cookie=(-H "Cookie: $(cat "$jar")")
	else
		note="has no cookie yet"
	fi
	run curl -sS -m 5 -D "$dir/header" -o "$dir/body" ${cookie[@]+"${cookie[@]}"} "$@" "$address" ||
		fail "no answer from $address"
	status=$(sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p' "$dir/header")
	new=$(tr -d '\r' <"$dir/header" | sed -n 's/^[Ss]et-[Cc]ookie: *\([^;]*\).*/\1/p')
	if [ -n "$new" ]; then
		if [ -n "${new#*=}" ]; then printf '%s' "$new" >"$jar"; else rm "$jar"; fi
		# SEC-40
		grep -qi '^cache-control: *no-store' "$dir/header" || fail "a cookie that caches may keep"
	fi
	page=$(sed -n 's/^<p>\(.*\)<\/p>$/\1/p' "$dir/body" | sed 's/<[^>]*>//g' | tr '\n' ' ')
	page=${page% }
}

# A visit to the counter: $1 whose, $2 the count to expect.
visit() {
	ask "$1" "$url"
	printf '   browser %s %s: %s %s\n' "$1" "$note" "$status" "$page"
	[ "$2" = - ] || [ "$page" = "This browser has been here $2." ] ||
		fail "browser $1 should have been counted $2"
}

visit A "1 time"
[ -s "$dir/jar.A" ] || fail "no cookie was set"
visit A "2 times"
visit B "1 time"
printf '\n   The cookie of browser A, as it was set:\n'
printf '   Set-Cookie: %s; ...\n' "$(cat "$dir/jar.A")"

# ---- 3 -------------------------------------------------------------------------------------------

heading "Part 3. What Redis holds of these visits (redis-cli)"
count=0
for name in $(redis-cli -s "$socket" --raw keys '*' | sort); do
	ttl=$(redis-cli -s "$socket" --raw pttl "$name")
	redis-cli -s "$socket" --raw get "$name" >"$dir/value"
	printf '   %s, ends in %s ms\n' "$name" "$ttl"
	od -A d -t x1 -N 32 "$dir/value" | sed -n 's/^/      /; 1,2p'
	[ "$ttl" -gt 0 ] || fail "$name has no time to live"
	! grep -q visits "$dir/value" || fail "$name can be read"
	count=$((count + 1))
done
[ $count -eq 2 ] || fail "2 sessions should be stored, not $count"

# ---- 4 -------------------------------------------------------------------------------------------

heading "Part 4. Logging in and out (examples/cgi/login.c)"

# What browser $1 does, $2 in words; $3 the status to expect and $4 a part of the page; the rest for curl.
step() {
	local who=$1 what=$2 wanted=$3 text=$4
	shift 4
	ask "$who" "$site/login.cgi" "$@"
	printf '   browser %s %s: %s %s\n' "$who" "$what" "$status" "$page"
	[ "$status" = "$wanted" ] || fail "the answer should be $wanted, not $status"
	case $page in *"$text"*) ;; *) fail "the page should say: $text" ;; esac
}

# The token in the page that was sent last, as data for curl.
token() {
	sed -n '/name="token"/{ s/.*value="\([A-Za-z0-9_-]*\)".*/token=\1/p; q; }' "$dir/body"
}

ada=(-d action=login -d name=ada -d password=analytical)
step C "asks for the form" 200 ""
cp "$dir/jar.C" "$dir/jar.planted"
token=$(token)
step C "sends it with a wrong password" 303 "" -d "$token" -d action=login -d name=ada -d password=x
step C "is told" 200 "Name or password is wrong."
step C "is told once" 200 ""
[ -z "$page" ] || fail "a message was shown twice"
# SEC-43
[ "$(token)" != "$token" ] || fail "two pages have the same token"
step C "sends the form of another site" 403 "" "${ada[@]}"
step C "sends a token of its own making" 403 "" -d "${token%?????}AAAAA" "${ada[@]}"
# SEC-11
step C "logs in with the form it had first" 303 "" -d "$token" "${ada[@]}"
! cmp -s "$dir/jar.C" "$dir/jar.planted" || fail "the id is the one of before"
step C "is logged in" 200 "You are logged in. You are ada."
step C "sends an old form" 403 "" -d "$token" -d action=logout
step planted "knows the id of before" 200 ""
[ -z "$page" ] || fail "the id of before opens something"
! grep -qi '^set-cookie' "$dir/header" || fail "a cookie was set over the new one"
step C "is logged in still" 200 "You are ada."
cp "$dir/jar.C" "$dir/jar.stolen"
# SEC-18
step C "logs out" 303 "" -d "$(token)" -d action=logout
[ ! -e "$dir/jar.C" ] || fail "the cookie was not dropped"
step stolen "has the id of the session that ended" 200 ""
[ -z "$page" ] || fail "the session goes on"

printf '\n   His devices, each with a browser of its own, and one of another user:\n'

# Browser $1 logs in, the rest are its fields and how it calls itself.
logs_in() {
	local who=$1
	shift
	step "$who" "asks for the form" 200 ""
	step "$who" "logs in" 303 "" -d "$(token)" -d action=login "$@"
}

# The page that was sent last lists $1 devices, and $2 of them is this one.
devices() {
	sed -n 's/^<li>/      - /p' "$dir/body"
	[ "$(grep -c '^<li>' "$dir/body")" -eq "$1" ] || fail "the page should list $1"
	[ "$(grep -c '^<li>.*(this one)' "$dir/body")" -eq 1 ] || fail "the page should mark this one"
}

# The handle of the device whose line has $1, as data for curl.
handle() {
	sed -n "/^<li>$1/,/name=\"handle\"/s/.*name=\"handle\" value=\"\([^\"]*\)\".*/handle=\1/p" \
		"$dir/body" | sed -n 1p
}

# Browser $1 is logged in no more.
is_out() {
	step "$1" "is logged out" 200 ""
	{ [ -z "$page" ] && grep -q 'name="password"' "$dir/body"; } || fail "it is logged in still"
}

logs_in D "${ada[@]}" -A "Desk <b>"
logs_in E "${ada[@]}" -A "Phone"
logs_in F -d name=grace -d password=nanosecond -A "Laptop"
step D "is shown its devices" 200 "You are ada."
devices 2
grep -q '^<li>Desk &#60;b&#62;, since .*, last seen .* (this one)' "$dir/body" ||
	fail "the list should name the desk"
phone=$(handle Phone)
[ -n "$phone" ] || fail "no handle of the phone"
# the handle is ada's, and it is grace who is logged in
step F "is another user's" 200 "You are grace."
devices 1
step F "sends the handle of E" 303 "" -d "$(token)" -d action=end -d "$phone"
step F "is told" 200 "You have no such device."
step E "is logged in still" 200 "You are ada."
devices 2
step D "sends no token" 403 "" -d action=end -d "$phone"
step D "is shown its devices" 200 "You are ada."
step D "logs E out" 303 "" -d "$(token)" -d action=end -d "$phone"
step D "is told" 200 "It is logged out. You are ada."
devices 1
is_out E
logs_in E "${ada[@]}" -A "Phone"
step D "is shown its devices" 200 "You are ada."
devices 2
step D "logs out all others" 303 "" -d "$(token)" -d action=others
step D "is told" 200 "All your other devices are logged out. You are ada."
devices 1
is_out E
logs_in E "${ada[@]}" -A "Phone"
cp "$dir/jar.D" "$dir/jar.stolen"
step D "is logged in still" 200 "You are ada."
devices 2
# SEC-18
step D "logs out everywhere" 303 "" -d "$(token)" -d action=everywhere
[ ! -e "$dir/jar.D" ] || fail "the cookie was not dropped"
is_out D
is_out E
is_out stolen
step F "is logged in still" 200 "You are grace."

# ---- 5 -------------------------------------------------------------------------------------------

heading "Part 5. Redis goes away: an outage is not a logout"
cp "$dir/jar.A" "$dir/jar.before"
kill $redis
wait $redis 2>/dev/null || true
visit A -
[ "$status" = 503 ] || fail "the answer should be 503, not $status"
cmp -s "$dir/jar.A" "$dir/jar.before" || fail "the cookie was changed"
! grep -qi '^set-cookie' "$dir/header" || fail "a cookie was set"
grep -qi '^retry-after' "$dir/header" || fail "no Retry-After"
step A "wants to log in" 503 ""
! grep -qi '^set-cookie' "$dir/header" || fail "a cookie was set"
printf '\n   503, Retry-After, and the cookie is left alone.\n'
printf '\nAll as it should be. Nothing is left running, no file is left behind.\n'
