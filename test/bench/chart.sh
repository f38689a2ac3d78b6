#!/bin/sh
# SPDX-License-Identifier: MIT
#
# chart.sh FOLDER > threads.svg: draw the loads a second by number of threads, from the results.tsv
# and machine.tsv that `make bench` left in FOLDER.
#
# Colours are attributes, for what shows SVG without styles; a style sheet changes them where the
# reader prefers dark. Lines differ by mark and dash too, for those who do not see the colours.
set -eu
LC_ALL=C
export LC_ALL
for f in "$1/results.tsv" "$1/machine.tsv"; do
	[ -s "$f" ] || { echo "chart: there is no $f: run \`make bench\` first" >&2; exit 1; }
done

awk -F '\t' '
function xml(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s); return s }
function brief(v) {
	if (v < 1000) return sprintf("%.0f", v)
	return sprintf(v >= 99500 || v % 1000 == 0 ? "%.0fk" : "%.1fk", v / 1000)
}
function x_of(i) { return left + (i - 1) * (right - left) / 3 }
function y_of(v) { return bottom - v * (bottom - top) / most }
function text(x, y, anchor, size, class, colour, s) {
	printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\" class=\"%s\" fill=\"%s\">%s</text>\n",
		x, y, anchor, size, class, colour, s
}
function mark(side, x, y) {
	if (side == 1)
		printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\"", x, y
	else if (side == 2)
		printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"9\"", x - 4.5, y - 4.5
	else
		printf "<path d=\"M%.1f %.1fl5.5 9h-11z\"", x, y - 5
	printf " class=\"s%d f%d\" fill=\"%s\"/>\n", side, side, colour[side]
}
function line_style(side) {
	return sprintf("class=\"s%d\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\"%s", side,
		colour[side], dash[side] ? " stroke-dasharray=\"" dash[side] "\"" : "")
}
function scale(    i, side, size, part) { # most: the top of the axis; step: between its lines
	for (i = 1; i <= 4; i++)
		for (side = 1; side <= 3; side++)
			if (rate[side, i] > most)
				most = rate[side, i]
	for (size = 1; size * 10 <= most / 5; size *= 10)
		;
	part = most / 5 / size
	step = size * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10)
	most = step * int(most / step + 0.999)
}
function axes(    v, i) {
	for (v = 0; v <= most; v += step) {
		printf "<path d=\"M%d %.1fH%d\" class=\"grid\" stroke=\"#d8dee4\"/>\n", left, y_of(v), right
		text(left - 10, y_of(v) + 4, "end", 12, "soft", soft, brief(v))
	}
	for (i = 1; i <= 4; i++)
		text(x_of(i), bottom + 22, "middle", 12, "soft", soft, threads[i])
	text((left + right) / 2, bottom + 44, "middle", 13, "ink", ink, "threads")
	printf "<text transform=\"translate(24 %.1f) rotate(-90)\" text-anchor=\"middle\" font-size=\"13\" class=\"ink\" fill=\"%s\">loads a second</text>\n",
		(top + bottom) / 2, ink
}
function legend(    side, x) {
	for (side = 1; side <= 3; side++) {
		x = left + (side - 1) * 190
		printf "<path d=\"M%d 76h34\" %s/>\n", x, line_style(side)
		mark(side, x + 17, 76)
		text(x + 42, 80, "start", 13, "ink", ink, name[side])
	}
}
function line(side,    i) {
	printf "<path d=\""
	for (i = 1; i <= 4; i++)
		printf "%s%.1f %.1f", i == 1 ? "M" : "L", x_of(i), y_of(rate[side, i])
	printf "\" %s/>\n", line_style(side)
	for (i = 1; i <= 4; i++)
		mark(side, x_of(i), y_of(rate[side, i]))
}
# The last values, beside the ends of the lines, moved apart where they would lie on each other.
function ends(    i, k, order, swap, y, last) {
	for (i = 1; i <= 3; i++)
		order[i] = i
	for (i = 1; i <= 3; i++)
		for (k = i + 1; k <= 3; k++)
			if (rate[order[k], 4] > rate[order[i], 4]) {
				swap = order[i]; order[i] = order[k]; order[k] = swap
			}
	last = -100
	for (i = 1; i <= 3; i++) {
		y = y_of(rate[order[i], 4])
		if (y < last + 16)
			y = last + 16
		last = y
		text(right + 14, y + 4, "start", 13, "f" order[i], colour[order[i]], brief(rate[order[i], 4]))
	}
}
function dark(selector, what, value) { printf "%s{%s:%s}", selector, what, value }

BEGIN {
	left = 84; right = 640; top = 104; bottom = 356
	ink = "#1f2328"; soft = "#59636e"
	split("1 4 16 64", threads, " ")
	split("cloakroom|hiredis + secretbox|hiredis, unencrypted", name, "|")
	split("#0b62d0 #b3470c #6b7280", colour, " ")
	split("#6cb0ff #f5a06a #a8b1bd", at_night, " ")
	dash[2] = "8 4"; dash[3] = "2 4"
}
FILENAME ~ /machine\.tsv$/ { machine[$1] = xml($2); next }
{
	for (i = 1; i <= 4; i++) {
		row = i == 1 ? "load.1.tcp" : "load." threads[i]
		if ($1 == row) { rate[1, i] = $3; rate[2, i] = $4; found++ }
		if ($1 == row ".plain") { rate[3, i] = $4; found++ }
	}
}
END {
	if (found != 8) {
		print "chart: the results lack load.1.tcp, load.4, load.16 or load.64" > "/dev/stderr"
		exit 1
	}
	scale()
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"456\" viewBox=\"0 0 720 456\" role=\"img\" aria-labelledby=\"title\" font-family=\"system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif\">"
	print "<title id=\"title\">Session loads a second by number of threads</title>"
	printf "<style>@media (prefers-color-scheme: dark){"
	dark(".card", "fill", "#161b22"); dark(".ink", "fill", "#e6edf3"); dark(".soft", "fill", "#9aa4af")
	dark(".grid", "stroke", "#30363d")
	for (i = 1; i <= 3; i++) {
		dark("path.s" i, "stroke", at_night[i])
		dark(".f" i, "fill", at_night[i])
	}
	print "}</style>"
	print "<rect x=\"0.5\" y=\"0.5\" width=\"719\" height=\"455\" rx=\"8\" class=\"card grid\" fill=\"#ffffff\" stroke=\"#d8dee4\"/>"
	text(24, 34, "start", 17, "ink", ink, "Session loads a second by number of threads")
	text(24, 54, "start", 12, "soft", soft, "one server on the same machine, TCP loopback, sessions of 1 KiB; hiredis: a connection per thread; medians")
	legend()
	axes()
	for (i = 3; i >= 1; i--)
		line(i)
	ends()
	text(24, 424, "start", 11, "soft", soft, machine["machine"] ", shared with the server; " machine["system"])
	server = "Redis" in machine ? "Redis " machine["Redis"] : "Valkey " machine["Valkey"]
	text(24, 440, "start", 11, "soft", soft, server ", hiredis " machine["hiredis"] ", libsodium " machine["libsodium"] ", cloakroom " machine["cloakroom"] ", " machine["date"])
	print "</svg>"
}' "$1/machine.tsv" "$1/results.tsv"
