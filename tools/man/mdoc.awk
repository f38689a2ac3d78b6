# SPDX-License-Identifier: MIT
#
# Man pages: text as mdoc. All goes to the file `page`; `this` is the page's function.

function put(text)
{
	# no paragraph begins right behind a heading
	if (text != ".Pp" || last !~ /^\.S[hs] /)
		print text > page
	last = text
}

# Text as roff shows it unchanged. Code keeps its ASCII quotes, dashes and carets.
function escape(text, code)
{
	gsub(/\\/, "\\e", text)
	if (code) {
		gsub(/-/, "\\-", text)
		gsub(/'/, "\\(aq", text)
		gsub(/`/, "\\(ga", text)
		gsub(/\^/, "\\(ha", text)
		gsub(/~/, "\\(ti", text)
	}
	return text ~ /^[.']/ ? NOTHING text : text
}

# Words of a macro line: what looks like a macro or a delimiter must not be taken for one.
function words(text, code,    n, i, w, line)
{
	n = split(text, w, " ")
	for (i = 1; i <= n; i++) {
		w[i] = escape(w[i], code)
		if (w[i] ~ /^[A-Z%][A-Za-z0-9]?[a-z]?$/ || w[i] ~ /^[][().,:;?!|]$/)
			w[i] = NOTHING w[i]
		else if (w[i] ~ /[].,:;?!)]$/)
			w[i] = w[i] NOTHING
		gsub(/"/, "\\(dq", w[i])
		line = line (i > 1 ? " " : "") w[i]
	}
	return line
}

function literal(text, indent,    n, i, line)
{
	put(".Bd -literal" (indent ? " -offset indent" : ""))
	n = split(text, line, "\n")
	for (i = 1; i <= n; i++)
		put(escape(line[i], 1))
	put(".Ed")
}

function flush()
{
	if (filled != "")
		put(filled)
	filled = ""
}

# One word of plain text, added to the line.
function plain(text)
{
	text = escape(text) (text ~ /^[.]+$/ ? NOTHING : "")
	if (filled != "" && length(filled) + length(text) > 76)
		flush()
	filled = filled (filled == "" ? "" : " ") text
	# roff wants each sentence to begin a line
	if (text ~ /[.!?][)"]*$/)
		flush()
}

# Text in which nothing is a name.
function plainly(text,    n, i, w)
{
	n = split(text, w, " ")
	for (i = 1; i <= n; i++)
		plain(w[i])
	flush()
}

# One word of running text. A name in it becomes a macro line; brackets and stops beside it are
# arguments of that line, anything else is tied to it by Ns.
function word(text,    macro, before, after, line, stops)
{
	if (match(text, /cloak_[a-z0-9_]+\(\)/)) {
		macro = substr(text, RSTART, RLENGTH - 2)
		macro = macro == this ? "Fn " macro : "Xr " macro " 3"
	} else if (match(text, /CLOAK_[A-Z0-9_]*[A-Z0-9]|NULL/)) {
		macro = "Dv " substr(text, RSTART, RLENGTH)
	} else if (match(text, /`[^`]*`/)) {
		macro = substr(text, RSTART + 1, RLENGTH - 2)
		gsub(HOLD, " ", macro)
		macro = "Ql " words(macro, 1)
	} else {
		plain(text)
		return
	}
	before = substr(text, 1, RSTART - 1)
	after = substr(text, RSTART + RLENGTH)
	flush()
	line = "." macro
	if (before ~ /^[(]$/) {
		line = macro
		sub(/ /, " ( ", line)
		line = "." line
	} else if (before != "")
		line = ".No " words(before) " Ns " macro
	match(after, /[]),.:;?!]*$/)
	stops = substr(after, RSTART)
	after = substr(after, 1, RSTART - 1)
	if (after != "")
		line = line " Ns " words(after)
	gsub(/./, " &", stops)
	put(line stops)
}

function prose(text,    n, i, w, parts, held)
{
	text = squeeze(text)
	# what is between backticks stays one word
	n = split(text, parts, "`")
	for (i = 1; i <= n; i++) {
		if (i % 2 == 0)
			gsub(/ /, HOLD, parts[i])
		held = held (i > 1 ? "`" : "") parts[i]
	}
	n = split(held, w, " ")
	for (i = 1; i <= n; i++)
		word(w[i])
	flush()
}

# Paragraphs, one after the other; those that begin with a tab are shown as they are.
function paragraphs(text,    n, i, p)
{
	n = split(text, p, "\n\n")
	for (i = 1; i <= n; i++) {
		if (p[i] ~ /^\t/) {
			gsub(/\t/, "", p[i])
			literal(p[i], 1)
		} else {
			put(".Pp")
			prose(p[i])
		}
	}
}

function begin_page(name, section, nd)
{
	page = out "/man" section "/" name "." section
	this = name
	put(".\\\" SPDX-License-Identifier: MIT")
	put(".\\\" Made from include/cloakroom.h, which is the place for corrections.")
	put(".Dd " date)
	put(".Dt " toupper(name) " " section)
	put(".Os cloakroom " version)
	put(".Sh NAME")
	put(".Nm " name)
	put(".Nd " nd)
}

# A text that may begin in the middle of a sentence, as one.
function sentence(text)
{
	prose(toupper(substr(text, 1, 1)) substr(text, 2) (text ~ /[.]$/ ? "" : "."))
}

# "CLOAK_OK; CLOAK_E_X: why; CLOAK_E_Y, CLOAK_E_Z: why" as a list, other text as a paragraph. What
# follows a status without a reason, "CLOAK_OK; otherwise as ...", comes after the list.
function returns(text,    n, i, part, names, reasons, items, rest)
{
	put(".Sh RETURN VALUES")
	n = split(text, part, /; /)
	for (i = 1; i <= n; i++) {
		if (rest == "" && match(part[i], /^(CLOAK_[A-Z0-9_]+(, )?)+(: |$)/)) {
			names[++items] = substr(part[i], 1, RLENGTH)
			sub(/: $/, "", names[items])
			reasons[items] = substr(part[i], RLENGTH + 1)
		} else if (items && rest == "" && reasons[items] != "")
			reasons[items] = reasons[items] "; " part[i]
		else
			rest = rest (rest == "" ? "" : "; ") part[i]
	}
	if (items)
		put(".Bl -tag -width Ds")
	for (i = 1; i <= items; i++) {
		gsub(/, /, " , Dv ", names[i])
		put(".It Dv " names[i])
		prose(reasons[i])
	}
	if (items)
		put(".El")
	if (items && rest != "")
		put(".Pp")
	if (rest != "")
		sentence(rest)
}
