#!/bin/sh
# SPDX-License-Identifier: MIT
#
# man.sh FOLDER OPTIONS_PROGRAM: write the man pages into FOLDER/man3 and FOLDER/man7, replacing
# what is there. Section 3 comes from include/cloakroom.h, a page for each function and
# cloakroom.3, the list of them. cloakroom.7 is cloakroom.7.in, with the tables that the program
# prints, statuses and conventions of the header, and examples/minimal.c. When something in them
# cannot be read, it is said, and FOLDER stays as it is.
set -eu
LC_ALL=C
export LC_ALL
folder=$1
options=$2
here=$(dirname "$0")
new=$folder.new
trap 'rm -rf "$new"' EXIT
rm -rf "$new"
mkdir -p "$new/man3" "$new/man7"
for table in options metrics events; do
	"$options" $table >"$new/$table"
done

version=$(sed -n 's/^#define CLOAK_VERSION_[A-Z]* //p' include/cloakroom.h | paste -s -d . -)
awk -f "$here/mdoc.awk" -f "$here/header.awk" -f "$here/pages.awk" \
	out="$new" version="$version" part=header include/cloakroom.h \
	part=options "$new/options" part=metrics "$new/metrics" part=events "$new/events" \
	part=program examples/minimal.c part=overview "$here/cloakroom.7.in"
rm -rf "$folder" "$new/options" "$new/metrics" "$new/events"
mv "$new" "$folder"
