# SPDX-License-Identifier: MIT
#
# Man pages: what is on each, written when all has been read.

function has_word(text, name)
{
	return (" " text " ") ~ ("[^A-Za-z0-9_]" name "[^A-Za-z0-9_]")
}

function parameter_list(name,    n, i, list)
{
	n = parameters(prototype[name], list)
	if (n)
		put(".Bl -tag -width Ds")
	for (i = 1; i <= n; i++) {
		put(".It Fa " list[i])
		prose(tag[name, "param " list[i]])
	}
	if (n)
		put(".El")
}

# A status is a constant of the section that has CLOAK_OK.
function is_status(name)
{
	return section_of[name] == section_of["CLOAK_OK"]
}

# The types that the prototype names; text, which may name constants, grows by what they say.
function type_texts(name, text,    i, t)
{
	for (i = 1; i <= type_count; i++) {
		t = types[i]
		# handles have nothing to show, and the error is the same everywhere
		if (t == "cloak_error" || definition[t] !~ /[({]/ || !has_word(prototype[name], t))
			continue
		paragraphs(body[t])
		literal(definition[t], 1)
		text = text " " definition[t] " " comment[t]
		if (t in prototype) {
			parameter_list(t)
			if ((t, "return") in tag)
				sentence("It returns " tag[t, "return"])
		}
	}
	return text
}

# The blocks of constants of which the text names one.
function constant_list(text,    i, c, shown)
{
	for (i = 1; i <= constant_count; i++)
		if (!is_status(constants[i]) && has_word(text, constants[i]))
			shown[block[constants[i]]] = 1
	for (i = 1; i <= constant_count; i++) {
		c = constants[i]
		if (!(block[c] in shown))
			continue
		if (i == 1 || block[constants[i - 1]] != block[c])
			put(".Bl -tag -width Ds")
		put(".It Dv " c " No = " words(value_of[c]))
		prose(meaning[c])
		if (i == constant_count || block[constants[i + 1]] != block[c])
			put(".El")
	}
}

# The pages that text refers to, in the order of their names.
function see_also(text,    i)
{
	put(".Sh SEE ALSO")
	for (i = 1; i <= count; i++)
		if (sorted[i] != this && has_word(text, sorted[i]))
			put(".Xr " sorted[i] " 3 ,")
	put(".Xr cloakroom 3 ,")
	put(".Xr cloakroom 7")
}

function synopsis(name,    n, i, list, text)
{
	put(".Sh LIBRARY")
	put("libcloakroom, by")
	put(".Ql pkg\\-config \\-\\-cflags \\-\\-libs cloakroom")
	put(".Sh SYNOPSIS")
	put(".In cloakroom.h")
	put(".Ft " result_of[name])
	put(".Fo " name)
	text = prototype[name]
	sub(/^[^(]*\(/, "", text)
	sub(/\);$/, "", text)
	n = split(text, list, /, */)
	for (i = 1; i <= n; i++)
		put(".Fa \"" list[i] "\"")
	put(".Fc")
}

function function_page(name)
{
	begin_page(name, 3, summary[name])
	synopsis(name)
	put(".Sh DESCRIPTION")
	paragraphs(body[name])
	paragraphs(remark_of[name])
	parameter_list(name)
	constant_list(type_texts(name, comment[name] " " remark_of[name]))
	put(".Bl -tag -width Threads")
	put(".It Blocks")
	prose((name, "blocks") in tag ? tag[name, "blocks"] : "never")
	put(".It Threads")
	prose(tag[name, "threads"])
	put(".El")
	if ((name, "return") in tag)
		returns(tag[name, "return"])
	see_also(comment[name] " " remark_of[name])
	if ((name, "source") in tag) {
		put(".Sh STANDARDS")
		sentence(tag[name, "source"])
	}
	put(".Sh HISTORY")
	put(".Fn " name)
	put("is there since cloakroom " tag[name, "since"] ".")
	close(page)
}

function list_page(    i, j)
{
	begin_page("cloakroom", 3, "the functions of libcloakroom")
	put(".Sh LIBRARY")
	put("libcloakroom, by")
	put(".Ql pkg\\-config \\-\\-cflags \\-\\-libs cloakroom")
	put(".Sh SYNOPSIS")
	put(".In cloakroom.h")
	put(".Sh DESCRIPTION")
	put("What holds for all functions, the statuses and the options are in")
	put(".Xr cloakroom 7 .")
	for (i = 1; i <= section_count; i++) {
		put(".Ss " words(sections[i]))
		for (j = 1; j <= type_count; j++)
			if (section_of[types[j]] == sections[i]) {
				paragraphs(body[types[j]])
				literal(definition[types[j]], 1)
			}
		put(".Bl -tag -width Ds")
		for (j = 1; j <= count; j++)
			if (section_of[functions[j]] == sections[i]) {
				put(".It Xr " functions[j] " 3")
				prose(summary[functions[j]])
			}
		put(".El")
	}
	put(".Sh SEE ALSO")
	put(".Xr cloakroom 7")
	close(page)
}

# ---- the overview ------------------------------------------------------------------------------

function status_list(wanted,    i, c)
{
	put(".Bl -tag -width Ds")
	for (i = 1; i <= constant_count; i++) {
		c = constants[i]
		if (!is_status(c) || group[c] != wanted)
			continue
		put(".It Dv " c " No = " words(value_of[c]))
		prose(meaning[c])
	}
	put(".El")
}

# "Threads. A store may be used ...": what stands before the first stop is the name of the rule.
function convention_list(    n, i, p, name)
{
	n = split(conventions, p, /\n\n+/)
	put(".Bl -tag -width Ds")
	for (i = 1; i <= n; i++) {
		name = p[i]
		sub(/[.] .*/, "", name)
		if (length(name) == length(p[i]))
			complain(1, "a convention in a form that is not known here: " p[i])
		put(".It Sy " words(name ":"))
		prose(substr(p[i], length(name) + 3))
	}
	put(".El")
}

# A table for README.md: the name is in the first column, what it means in the last. The others
# come below, with their headings.
function table_list(text,    n, i, j, m, row, heading, cell, below)
{
	put(".Bl -tag -width Ds")
	n = split(text, row, "\n")
	m = split(row[1], heading, / *[|] */)
	for (i = 3; i < n; i++) {
		gsub(/\\[|]/, HOLD, row[i])
		if (split(row[i], cell, / *[|] */) != m)
			complain(i, "a row in a form that is not known here: " row[i])
		gsub(/`/, "", cell[2])
		put(".It Cm " words(cell[2], 1))
		prose(cell[m - 1])
		below = ""
		for (j = 3; j < m - 1; j++) {
			gsub(HOLD, "|", cell[j])
			gsub(/^`|`$/, "", cell[j])
			if (cell[j] != "")
				below = below (below == "" ? "" : "; ") heading[j] ": " cell[j]
		}
		put(".br")
		plainly(below)
	}
	put(".El")
}

function overview_page(    n, i, line)
{
	page = out "/man7/cloakroom.7"
	this = ""
	n = split(material["overview"], line, "\n")
	for (i = 1; i < n; i++) {
		if (line[i] == "@OUTCOMES@")
			status_list("outcomes")
		else if (line[i] == "@FAILURES@")
			status_list("failures")
		else if (line[i] == "@CONVENTIONS@")
			convention_list()
		else if (line[i] ~ /^@(OPTIONS|METRICS|EVENTS)@$/)
			table_list(material[tolower(substr(line[i], 2, length(line[i]) - 2))])
		else if (line[i] == "@PROGRAM@")
			literal(substr(material["program"], 1, length(material["program"]) - 1))
		else {
			gsub(/@VERSION@/, version, line[i])
			put(line[i])
		}
	}
	close(page)
}

function sort_names(    i, j, name)
{
	for (i = 1; i <= count; i++) {
		name = functions[i]
		for (j = i - 1; j >= 1 && sorted[j] > name; j--)
			sorted[j + 1] = sorted[j]
		sorted[j + 1] = name
	}
}

END {
	if (reading != "")
		complain(code_line, "what begins here has no end")
	for (i = 1; i <= nameds; i++) {
		name = named[i]
		if (sub(/\(\)$/, "", name) ? !(name in result_of) : !(name in value_of))
			complain(named_at[i], named[i] " is not in the header")
	}
	if (!count)
		complain(1, "no CLOAK_API function")
	# every page has the date of the overview
	match(material["overview"], /\n\.Dd [^\n]*/)
	date = substr(material["overview"], RSTART + 5, RLENGTH - 5)
	sort_names()
	for (i = 1; i <= count; i++)
		function_page(functions[i])
	list_page()
	overview_page()
	exit failed
}
