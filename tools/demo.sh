#!/bin/sh
# SPDX-License-Identifier: MIT
# Records this machine for five seconds while a database, a compressor and an
# interpreter work, and shows the result: demo.sh BUILD_DIR
set -eu

retour=$1/retour
out=$1/demo
mkdir -p "$out"
as_root=
if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null; then
	as_root=sudo
fi

workers=
stop_workers() {
	[ -z "$workers" ] || kill $workers 2>/dev/null || :
	workers=
}
trap stop_workers EXIT INT TERM

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

database & workers="$workers $!"
compressor & workers="$workers $!"
interpreter & workers="$workers $!"

$as_root "$retour" record -a -F 999 --duration 5 -o "$out/retour.data"
stop_workers

[ -z "$as_root" ] || $as_root chown "$(id -u):$(id -g)" "$out/retour.data"
"$retour" report -i "$out/retour.data" | head -n 25
"$retour" report -i "$out/retour.data" -o "$out/profile.html"
echo
echo "The flame graph is $out/profile.html"
