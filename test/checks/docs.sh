#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each CLOAK_API function has, right before it, a comment with one imperative sentence first, a
# @param line for each parameter by name and for nothing else, @return unless it is void, @threads
# and @since.
set -u
LC_ALL=C
export LC_ALL
awk '
function complain(text) { print FILENAME ": " name ": " text; failed = 1 }
function tags(    i, n, words) {
	delete seen
	n = split(doc, words, /[ \t\n]+/)
	for (i = 1; i < n; i++)
		if (words[i] == "@param")
			seen[words[i + 1]] = 1
}
function check(    text, list, n, i, p, first, word, result, left) {
	functions++
	text = decl
	gsub(/[ \t\n]+/, " ", text)
	name = text
	sub(/\(.*/, "", name)
	result = name
	sub(/.*[ *]/, "", name)
	if (doc == "") {
		complain("no /** comment right before it")
		return
	}
	# the first sentence: up to the first full stop before a space or the end
	first = doc
	gsub(/[ \t\n]+\*?[ \t\n]+/, " ", first)
	sub(/^\/\*\* ?/, "", first)
	word = first
	sub(/ .*/, "", word)
	if (match(first, /[.:]( |$)/) == 0 || first ~ /^@/)
		complain("the comment does not begin with a sentence")
	if (word !~ /^[A-Z][a-z]+,?$/ || word ~ /[^s]s$/ || word ~ /ing$/ || word == "This" || word == "The")
		complain("\"" word " ...\": the first sentence is not imperative")
	if (doc !~ /@threads[ \t]+[a-z]/)
		complain("no @threads")
	if (doc !~ /@since[ \t]+[0-9]+\.[0-9]+/)
		complain("no @since")
	if (result ~ /(^| )void [a-z_0-9]+$/) {
		if (doc ~ /@return/)
			complain("@return, but it is void")
	} else if (doc !~ /@return[ \t]+[^ \t]/)
		complain("no @return")
	tags()
	list = text
	sub(/^[^(]*\(/, "", list)
	sub(/\).*/, "", list)
	n = split(list, p, /,/)
	for (i = 1; i <= n; i++) {
		word = p[i]
		sub(/ *$/, "", word)
		sub(/.*[ *]/, "", word)
		if (word == "void" || word == "")
			continue
		if (!(word in seen))
			complain("no @param " word)
		delete seen[word]
	}
	for (left in seen)
		complain("@param " left ", but there is no such parameter")
}
FNR == 1 { doc = decl = ""; open = inside = 0 }
inside {
	decl = decl "\n" $0
	if (/;/) { inside = 0; check(); doc = decl = "" }
	next
}
open { doc = doc "\n" $0; if (/\*\//) open = 0; next }
/^\/\*\*/ { doc = $0; open = !/\*\//; next }
/^CLOAK_API/ { decl = $0; if (/;/) { check(); doc = decl = "" } else inside = 1; next }
{ doc = "" }
END {
	if (!functions) { print "no CLOAK_API function found"; exit 1 }
	if (!failed) print "docs: " functions " functions"
	exit failed
}' $(ls include/*.h include/*/*.h)
