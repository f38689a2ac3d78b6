# SPDX-License-Identifier: MIT
#
# Man pages: the header is read, line by line.
#
#   /* ---- Name ---- */   a section of the list of functions
#   /** ... */             documents the function or the type that follows it
#   /* ... */              a remark, for the pages of its section that say "as said above"
#   #define CLOAK_X 1      a constant; those in consecutive lines are one block, and a page that
#                          names one of them shows the block
#
# gawk 5.2.1 breaks down when an array's element that was never set is handed to a function: set
# each that is optional.
#
# What cannot be read is complained about, with file and line; then the exit status is 1.

function complain(line, text)
{
	print file ":" line ": " text > "/dev/stderr"
	failed = 1
}

function squeeze(text)
{
	gsub(/[ \t\n]+/, " ", text)
	sub(/^ /, "", text)
	sub(/ $/, "", text)
	return text
}

# Take the comment before `name` apart: summary, body, tag[name, "return"], tag[name, "param x"].
function parse_doc(name,    n, i, line, text, key)
{
	body[name] = ""
	n = split(doc, line, "\n")
	for (i = 1; i <= n; i++) {
		text = line[i]
		at = doc_line + i - 1
		sub(/ *\*\/$/, "", text)
		if (!sub(i == 1 ? "^/[*][*] " : "^ [*](  ?|$)", "", text) && text != "")
			complain(at, "in a /** comment each line begins with \" *  \"")
		note_names(text)
		if (text ~ /^@/)
			key = parse_tags(name, text)
		else if (sub(/^Source: /, "", text))
			tag[name, key = "source"] = text
		else if (key != "")
			tag[name, key] = tag[name, key] " " squeeze(text)
		else if (text == "")
			body[name] = body[name] "\n\n"
		else {
			# indented text is shown as it is
			sub(/^  +/, "\t", text)
			body[name] = body[name] (body[name] ~ /\n$/ ? "" : "\n") text
		}
	}
	sub(/^\n/, "", body[name])
	sub(/\n+$/, "", body[name])
	if (gsub(/`/, "`", doc) % 2)
		complain(doc_line, name ": a backtick without its other")
	text = squeeze(body[name])
	if (!match(text, /[.:]( |$)/))
		complain(doc_line, name ": the comment does not begin with a sentence")
	summary[name] = tolower(substr(text, 1, 1)) substr(text, 2, RSTART - 2)
	gsub(/`/, "", summary[name])
	section_of[name] = section
	comment[name] = doc
}

# "@blocks up to `timeout`   @threads any   @since 0.1". Returns the last tag, which the lines that
# follow go on with.
function parse_tags(name, text,    n, i, part, key, value)
{
	gsub(/  +@/, "\n@", text)
	n = split(text, part, "\n")
	for (i = 1; i <= n; i++) {
		match(part[i], /^@[a-z]*/)
		key = substr(part[i], 2, RLENGTH - 1)
		value = substr(part[i], RLENGTH + 1)
		sub(/^ +/, "", value)
		if (key == "param" && match(value, /^[a-z0-9_]+/)) {
			key = "param " substr(value, 1, RLENGTH)
			value = substr(value, RLENGTH + 1)
			sub(/^ +/, "", value)
		} else if (key !~ /^(return|blocks|threads|since)$/)
			complain(at, name ": no tag is written so: " part[i])
		if (value == "")
			complain(at, name ": @" key " says nothing")
		if ((name, key) in tag)
			complain(at, name ": @" key " twice")
		tag[name, key] = value
	}
	return key
}

# Remember what a comment names, to be looked up when all is read.
function note_names(text,    name)
{
	while (match(text, /cloak_[a-z0-9_]+\(\)|CLOAK_[A-Z0-9_]*[A-Z0-9]/)) {
		name = substr(text, RSTART, RLENGTH)
		text = substr(text, RSTART + RLENGTH)
		# CLOAK_E_... is no name
		if (text !~ /^_/) {
			named[++nameds] = name
			named_at[nameds] = at
		}
	}
}

# The parameters' names of a prototype, into list; their number.
function parameters(text, list,    n, i)
{
	sub(/.*\(/, "", text)
	sub(/\).*/, "", text)
	n = text == "void" ? 0 : split(squeeze(text), list, /, */)
	for (i = 1; i <= n; i++) {
		sub(/(\[[^]]*\])+$/, "", list[i])
		sub(/.*[ *]/, "", list[i])
	}
	return n
}

function check_tags(name, result,    n, i, list, wanted, key)
{
	n = parameters(prototype[name], list)
	for (i = 1; i <= n; i++) {
		wanted[name, "param " list[i]] = 1
		if (!((name, "param " list[i]) in tag))
			complain(doc_line, name ": no @param " list[i])
	}
	for (key in tag)
		if (key ~ "^" name SUBSEP "param " && !(key in wanted))
			complain(doc_line, name ": @" substr(key, length(name) + 2) ", which it has not")
	if (result != "void" && !((name, "return") in tag))
		complain(doc_line, name ": no @return")
}

function parse_function(    text, name)
{
	text = squeeze(code)
	gsub(/CLOAK_[A-Z_]+ /, "", text)
	if (!match(text, /cloak_[a-z0-9_]+\([^()]*\);$/)) {
		complain(code_line, "a prototype in a form that is not known here: " text)
		return
	}
	name = substr(text, RSTART)
	prototype[name = substr(name, 1, index(name, "(") - 1)] = substr(text, RSTART)
	if (doc == "") {
		complain(code_line, name ": no /** comment right before it")
		return
	}
	text = substr(text, 1, RSTART - 1)
	sub(/ $/, "", text)
	result_of[name] = text
	functions[++count] = name
	parse_doc(name)
	check_tags(name, text)
	if (!((name, "threads") in tag) || !((name, "since") in tag))
		complain(doc_line, name ": no @threads or no @since")
	remark_of[name] = doc ~ /as said above/ ? remark : ""
	if (doc ~ /as said above/ && remark == "")
		complain(doc_line, name ": \"as said above\", but there is no comment above")
}

function parse_type(    name)
{
	name = code
	if (match(code, /\(\*cloak_[a-z0-9_]+\)/))
		name = substr(code, RSTART + 2, RLENGTH - 3)
	else {
		sub(/;$/, "", name)
		sub(/.*[} ]/, "", name)
	}
	if (name !~ /^cloak_[a-z0-9_]+$/) {
		complain(code_line, "a type in a form that is not known here")
		return
	}
	types[++type_count] = name
	definition[name] = code
	parse_doc(name)
	if (code ~ /\(\*/) {
		prototype[name] = substr(code, index(code, ")") + 1)
		check_tags(name, code ~ /^typedef void /  ? "void" : "")
	}
}

# A #define, with the comment behind it.
function parse_constant(    name, value, text)
{
	text = code
	gsub(/\\\n/, " ", text)
	gsub(/\n[ \t]*\* /, " ", text)
	text = substr(squeeze(text), 9)
	name = value = text
	sub(/ .*/, "", name)
	sub(/^[^ ]+ /, "", value)
	meaning[name] = ""
	if (match(value, /\/\* .* \*\//)) {
		meaning[name] = substr(value, RSTART + 3, RLENGTH - 6)
		value = substr(value, 1, RSTART - 1)
	}
	gsub(/[() ]/, "", value)
	constants[++constant_count] = name
	value_of[name] = value
	section_of[name] = section
	group[name] = remark
	# consecutive lines are one block
	if (code_line != block_end + 1)
		block_start = code_line
	block[name] = block_start
	block_end = FNR
}

# Text of a plain comment.
function parse_remark(text)
{
	gsub(/^\/\*[ \n]|[ \n]*\*\/$/, "", text)
	gsub(/(^|\n) \* ?/, "\n", text)
	return text
}

# What the line begins, if anything.
function begins(text)
{
	if (text ~ /^\/\* ---- .* ---/)
		return "section"
	if (text ~ /^\/\*\*/)
		return "doc"
	if (text ~ /^\/\*/)
		return "remark"
	if (text ~ /^CLOAK_API/)
		return "function"
	if (text ~ /^#define CLOAK_[A-Z0-9_]+ /)
		return "constant"
	return text ~ /^typedef/ && doc != "" ? "type" : ""
}

# Whether what was begun ends with the line just added to `code`.
function complete()
{
	if (reading ~ /^(section|doc|remark)$/)
		return code ~ /\*\//
	if (reading == "constant")
		return code !~ /\\$/ && (code !~ /\/\*/ || code ~ /\*\//)
	return reading == "type" && index(code, "{") ? code ~ /\n}[^\n]*;/ : code ~ /;/
}

function finish()
{
	if (reading == "doc") {
		doc = code
		doc_line = code_line
		return
	}
	if (reading == "function")
		parse_function()
	else if (reading == "type")
		parse_type()
	else if (reading == "constant")
		parse_constant()
	else if (reading == "remark") {
		remark = parse_remark(code)
		if (sub(/^\n*CONVENTIONS[^\n]*\n+/, "", remark))
			conventions = remark
	} else {
		section = substr(code, 9)
		sub(/ -+ \*\/$/, "", section)
		sections[++section_count] = section
		remark = ""
	}
	doc = ""
}

FNR == 1 {
	NOTHING = "\\&"
	HOLD = "\001"
}
part != "header" {
	material[part] = material[part] $0 "\n"
	next
}
{
	file = FILENAME
	if (reading == "") {
		reading = begins($0)
		if (doc != "" && reading !~ /^(function|type)$/) {
			complain(doc_line, "this comment is followed by neither a function nor a type")
			doc = ""
		}
		if (reading == "")
			next
		code = $0
		code_line = FNR
	} else
		code = code "\n" $0
	if (complete()) {
		finish()
		reading = ""
	}
}
