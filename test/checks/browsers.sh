#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What real browsers do with the cookies that the library sets, and with others, over plain http: to
# 127.0.0.1, to localhost, and to a host that is neither. Then the examples in a browser.
#
#   test/checks/browsers.sh [BUILD]     BUILD: where the examples were built, else build/release
#
# curl is always asked; Chromium where it is installed (tools/deps.sh browser), headless, with a profile
# of its own. Both talk to a lighttpd on loopback alone. Everything is in one temporary folder and ends
# with this script.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
cd "$(dirname "$0")/../.."
build=$(cd "${1:-build/release}" && pwd)

dir=
cleanup() {
	trap '' INT TERM HUP
	local pids=()
	mapfile -t pids <<<"$(jobs -pr)"
	if [ -n "${pids[0]}" ]; then
		kill -TERM "${pids[@]}" 2>/dev/null || true
		wait "${pids[@]}" 2>/dev/null || true
	fi
	[ -z "$dir" ] || rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

bad=0
complain() {
	printf '%s\n' "$*"
	bad=1
}
for program in lighttpd curl redis-cli; do
	command -v $program >/dev/null || {
		echo "browsers: $program is missing (tools/deps.sh demo)"
		exit 1
	}
done
dir=$(trap '' INT TERM HUP; mktemp -d /tmp/cloakroom-browsers.XXXXXX)

# ---- a site --------------------------------------------------------------------------------------

mkdir "$dir/www"
# Sets a cookie of each kind, drops one, and sends the browser to the page that tells which came back.
cat >"$dir/www/set.cgi" <<'END'
#!/bin/sh
printf 'Status: 303 See Other\r\nLocation: %s\r\n' "${QUERY_STRING:-/echo.cgi}"
for cookie in '__Host-default=1; Path=/; Secure; HttpOnly; SameSite=Lax' \
	'__Host-gone=1; Path=/; Secure; HttpOnly; SameSite=Lax' \
	'__Host-insecure=1; Path=/' '__Host-domain=1; Path=/; Secure; Domain='"${HTTP_HOST%:*}" \
	'__Host-path=1; Path=/echo.cgi; Secure' '__host-case=1; Path=/' \
	'__Secure-s=1; Path=/; Secure' 'secure=1; Path=/; Secure' 'plain=1; Path=/' \
	'none=1; Path=/; SameSite=None' 'none-secure=1; Path=/; Secure; SameSite=None' \
	'partitioned=1; Path=/; Secure; SameSite=None; Partitioned' \
	'__Host-gone=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax'
do
	printf 'Set-Cookie: %s\r\n' "$cookie"
done
printf '\r\n'
END
cat >"$dir/www/echo.cgi" <<'END'
#!/bin/sh
printf 'Content-Type: text/html\r\nCache-Control: no-store\r\n\r\n'
printf '<p>method %s; came: %s;</p><p>script: <script>document.write(document.cookie)</script>;</p>\n' \
	"$REQUEST_METHOD" "$HTTP_COOKIE"
END
chmod +x "$dir"/www/*.cgi
ln -s "$build/examples/cgi/counter" "$dir/www/counter.cgi"
ln -s "$build/examples/cgi/login" "$dir/www/login.cgi"
# A page is dumped when it is loaded, and requests that a script waits for are part of that.
cat >"$dir/www/ask.js" <<'END'
function ask(method, path, body) {
	const request = new XMLHttpRequest();
	request.open(method, path, false);
	if (body)
		request.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded');
	request.send(body);
	return request.responseText;
}
END
cat >"$dir/www/twice.html" <<'END'
<script src="ask.js"></script>
<script>ask('GET', '/counter.cgi'); document.write(ask('GET', '/counter.cgi'));</script>
END
cat >"$dir/www/login.html" <<'END'
<script src="ask.js"></script>
<script>
const token = ask('GET', '/login.cgi').match(/name="token" value="([^"]*)"/)[1];
document.write(ask('POST', '/login.cgi', 'action=login&name=ada&password=analytical&token=' + token));
</script>
END
# On another site: sends a form to 127.0.0.1, as a page that wants to log its visitor out would.
echo '<form method="post"></form><script>
document.forms[0].action = "http://127.0.0.1:" + location.port + "/echo.cgi";
document.forms[0].submit();
</script>' >"$dir/www/cross.html"
token=$$-$RANDOM$RANDOM
echo "$token" >"$dir/www/token.txt"

redis=${REDIS_SERVER:-$(command -v redis-server || true)}
if [ -z "$redis" ]; then
	redis=$dir/redis-server
	ln -s "$(command -v redis-check-rdb)" "$redis"
fi
"$redis" --port 0 --unixsocket "$dir/redis.sock" --save '' --appendonly no --dir "$dir" \
	>"$dir/redis.log" 2>&1 &
key=$(head -c 32 /dev/urandom | base64)
(
	umask 077
	printf 'seal %s write\nuser %s\n' "$key" "$(head -c 32 /dev/urandom | base64)" >"$dir/keys"
)
port=
for _ in {1..10}; do
	port=$((20000 + RANDOM % 10000))
	cat >"$dir/lighttpd.conf" <<END
server.modules = ("mod_setenv", "mod_cgi")
server.bind = "127.0.0.1"
server.port = $port
server.document-root = "$dir/www"
server.errorlog = "$dir/lighttpd.log"
server.upload-dirs = ("$dir")
mimetype.assign = (".html" => "text/html", ".js" => "text/javascript")
cgi.assign = (".cgi" => "")
setenv.set-environment = ("CLOAKROOM_URI" => "redis+unix://$dir/redis.sock", "CLOAKROOM_KEY" => "$key",
	"CLOAKROOM_KEY_FILE" => "$dir/keys")
END
	lighttpd -D -f "$dir/lighttpd.conf" >"$dir/lighttpd.out" 2>&1 &
	for _ in {1..100}; do
		got=$(curl -sS -m 2 "http://127.0.0.1:$port/token.txt" 2>/dev/null || true)
		[ "$got" != "$token" ] || break 2
		kill -0 $! 2>/dev/null || break
		sleep 0.03
	done
	port=
done
[ -n "$port" ] || {
	cat "$dir/lighttpd.out" "$dir/lighttpd.log"
	echo "browsers: lighttpd does not come up"
	exit 1
}
for _ in {1..200}; do
	! redis-cli -s "$dir/redis.sock" ping >/dev/null 2>&1 || break
	sleep 0.03
done

# ---- two browsers --------------------------------------------------------------------------------

# ask_NAME HOST PATH: the page that the browser ends up with, to stdout. With a budget of milliseconds it
# is the one that scripts lead to.
budget=
ask_curl() {
	rm -f "$dir/jar"
	curl -sS -m 10 -L -c "$dir/jar" -b "$dir/jar" --resolve "site.example:$port:127.0.0.1" \
		"http://$1:$port/$2"
}
ask_chromium() {
	rm -rf "$dir/profile"
	timeout -k 5 60 chromium --headless --no-sandbox --disable-gpu --disable-quic \
		--disable-dev-shm-usage --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --no-proxy-server \
		--host-resolver-rules='MAP site.example 127.0.0.1' --user-data-dir="$dir/profile" \
		${budget:+--virtual-time-budget=$budget} --dump-dom "http://$1:$port/$2" 2>"$dir/chromium.err"
}

# expect BROWSER HOST WORDS: the cookies, sorted, that come back of those that set.cgi sets.
expect() {
	local page came
	page=$("ask_$1" "$2" set.cgi) || page=
	came=$(printf '%s' "$page" | sed -n 's/.*came: \([^<]*\);<\/p>.*/\1/p' | tr -d ' ' | tr ';' '\n' |
		sed 's/=1$//' | sort | tr '\n' ' ')
	printf '   %-9s http://%-13s %s\n' "$1" "$2" "$came"
	[ "$came" = "$3 " ] || complain "$1, $2: expected $3"
}

curl_version=$(curl --version | sed -n '1s/^curl \([0-9.]*\).*/\1/p')
echo "curl $curl_version: which cookies it returns"
if [ "$(printf '%s\n' 7.79.0 "$curl_version" | sort -V | head -n 1)" = 7.79.0 ]; then
	common="__Secure-s none none-secure partitioned plain secure"
	expect curl 127.0.0.1 "__Host-default __Host-domain $common" # Domain is the very address
	expect curl localhost "__Host-default $common"
	expect curl site.example "none plain"
else
	echo "note: curl $curl_version takes no Secure cookie over http, be it to 127.0.0.1"
fi

if ! command -v chromium >/dev/null; then
	echo "note: Chromium is not installed (tools/deps.sh browser): only curl was asked"
	exit $bad
fi
chromium_version=$(chromium --version 2>/dev/null | sed -n 's/^Chromium \([0-9.]*\).*/\1/p')
echo "Chromium $chromium_version: which cookies it returns"
common="__Secure-s none-secure partitioned plain secure"
expect chromium 127.0.0.1 "__Host-default __Host-domain $common"
expect chromium localhost "__Host-default $common"
expect chromium site.example "plain"

# says WHAT HOST PATH TEXT
says() {
	local page
	page=$(ask_chromium "$2" "$3") || page=
	case $page in
	*"$4"*) printf '   %s\n' "$1" ;;
	*) complain "Chromium: not so: $1" "$page" "$(tail -n 5 "$dir/chromium.err")" ;;
	esac
}
echo "Chromium $chromium_version: the library's cookie"
says "no script sees it, for it is HttpOnly" 127.0.0.1 set.cgi '</script>__Host-domain=1; __Secure-s=1; '
# SEC-37, SEC-43
budget=20000
says "it does not come with a form that another site sends (SameSite=Lax)" 127.0.0.1 \
	"set.cgi?http://localhost:$port/cross.html" 'method POST; came: __Host-domain=1; __Secure-s=1; '
budget=
says "counter.cgi knows the browser again" 127.0.0.1 twice.html 'here <strong>2</strong> times'
says "login.cgi logs it in" localhost login.html 'You are <strong>ada</strong>'
exit $bad
