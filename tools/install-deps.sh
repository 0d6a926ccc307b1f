#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the packages of the named groups of packages.txt that are missing.
set -eu

list=$(dirname "$0")/packages.txt
missing=
for group in "$@"; do
	for package in $(sed -n "s/^$group  *//p" "$list"); do
		case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
		*" installed") ;;
		*) missing="$missing $package" ;;
		esac
	done
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "not installed:$missing (run as root: apt-get install$missing)"; exit 1; }
	as_root=sudo
fi
install() {
	# shellcheck disable=SC2086 # a list of words
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
		install -y -q --no-install-recommends $missing </dev/null
}

echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists of a fresh machine may be absent or stale: only then update them.
if ! install >"$log" 2>&1; then
	$as_root apt-get -q update </dev/null >"$log" 2>&1 || { cat "$log"; exit 1; }
	install >"$log" 2>&1 || { cat "$log"; exit 1; }
fi
