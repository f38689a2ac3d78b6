# SPDX-License-Identifier: MIT
#
# C text without comments and without what is inside quotes; lines stay where they are. A line
# comment is kept as //, so that a check can refuse it.
{
	line = $0
	text = ""
	n = length(line)
	for (i = 1; i <= n; i++) {
		c = substr(line, i, 1)
		two = substr(line, i, 2)
		if (comment) {
			if (two == "*/") {
				comment = 0
				i++
			}
			continue
		}
		if (quote != "") {
			if (c == "\\")
				i++
			else if (c == quote) {
				quote = ""
				text = text c
			}
			continue
		}
		if (two == "/*") {
			comment = 1
			text = text " "
			i++
		} else if (two == "//") {
			text = text "//"
			break
		} else if ((c == "\"" || c == "'") && line !~ /^[ \t]*#[ \t]*include/) {
			quote = c
			text = text c
		} else
			text = text c
	}
	quote = ""
	print text
}
