#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes a static library in which every symbol is named retour_*:
# static-library.sh NM OBJCOPY LD AR LIBRARY "SOURCE..." OBJECT...
#
# Objects refer to each other by names that are hidden from other objects at
# run time, but not from a static link: there a program's function of the same
# name would silently take the place of the library's.  Nor is anything left
# for link-time optimization, which inlines what asks for its caller.
#
# Objects of the listed sources become one member.  A link takes members that
# something refers to, and nothing refers to what works by its constructor.
set -e
nm=$1 objcopy=$2 ld=$3 ar=$4 library=$5 together=$6
shift 6
work=$library.d
rm -rf "$library" "$work"
mkdir "$work"
"$nm" -g --defined-only "$@" >"$work/symbols"
awk 'NF == 3 && $3 ~ /^[a-z]/ && $3 !~ /^retour_/ { print $3, "retour_private_" $3 }' "$work/symbols" | sort -u >"$work/names"
for object; do
	# Sources of other folders make objects whose names begin with dots, which *.o below would not mean.
	member=$work/$(basename "$object" | sed 's/^[._]*//')
	"$objcopy" --redefine-syms="$work/names" --wildcard --remove-section='.gnu.*lto_*' --strip-symbol='__gnu_lto_*' \
		"$object" "$member"
done
one=
for source in $together; do
	one="$one $work/$source.o"
done
# shellcheck disable=SC2086
"$ld" -r -o "$work/together.o" $one
# shellcheck disable=SC2086
rm $one
"$ar" rcsD "$library" "$work"/*.o
rm -r "$work"
