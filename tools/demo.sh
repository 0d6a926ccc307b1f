#!/bin/sh
# SPDX-License-Identifier: MIT
# Records this machine for five seconds while a database, a compressor and an
# interpreter work, and shows the result: demo.sh BUILD_DIR
# Who may not record the machine sees the three workers.  demo.sh BUILD_DIR work
# is their work alone, the command that is recorded.  DEMO_SECONDS is another time.
set -eu

retour=$1/retour
out=$1/demo
mkdir -p "$out"
# Only if it asks for no password.
as_root=
if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then
	as_root=sudo
fi

# Each works until it is stopped.
database() {
	exec sqlite3 :memory: >/dev/null "
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
		SELECT count(DISTINCT hex(i * 7919 % 100003)) FROM n"
}
compressor() {
	exec xz -9 -c </dev/urandom >/dev/null
}
interpreter() {
	exec python3 -c "
import json
while True:
    table = {str(i): [i * j for j in range(20)] for i in range(2000)}
    assert json.loads(json.dumps(table)) == table"
}

if [ "${2-}" = work ]; then
	workers=
	# shellcheck disable=SC2086 # a list of words
	trap 'kill $workers 2>/dev/null || :' EXIT INT TERM
	database & workers="$workers $!"
	compressor & workers="$workers $!"
	interpreter & workers="$workers $!"
	sleep "${DEMO_SECONDS:-5}"
	exit
fi

build=$1
record() {
	$as_root "$retour" record "$@" -F 999 -o "$out/retour.data" -- "$0" "$build" work
}
# A first recording of nothing shows what may be recorded.
if $as_root "$retour" record -a --quiet -o "$out/retour.data" -- true 2>/dev/null; then
	record -a
else
	echo "This user may not record the machine: only the three workers are recorded."
	record
fi

[ -z "$as_root" ] || $as_root chown "$(id -u):$(id -g)" "$out/retour.data"
"$retour" report -i "$out/retour.data" | head -n 25
"$retour" report -i "$out/retour.data" -o "$out/profile.html"
echo
echo "The flame graph is $out/profile.html"
