# SPDX-License-Identifier: MIT
"""Programs of Debian packages, each kept busy until it is stopped, and their input."""
import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

from tools import PYTHON, Failed, require

CXX = """
#include <algorithm>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <vector>
int main(int argc, char **argv)
{
	std::map<std::string, std::vector<int>> m;
	for (int i = 0; i < argc; i++)
		m[std::regex_replace(argv[i], std::regex("a+"), "b")].push_back(i);
	for (auto &[k, v] : m)
		std::sort(v.begin(), v.end(), [](int a, int b) { return a > b; }), std::cout << k << v.size();
}
"""
PYTHON_PROGRAM = """
import json, sys
def work(n):
    table = {str(i): [i * j for j in range(20)] for i in range(n)}
    return json.loads(json.dumps(table)) == table
rounds = int(sys.argv[1]) if len(sys.argv) > 1 else -1
while rounds != 0:
    work(2000)
    rounds -= 1
"""
SQL = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT count(DISTINCT hex(i * 7919 % 100003)) FROM n;"""
REDIS_PORT = 16379
TEXT_BYTES = 16 << 20


C_FILES, C_FUNCTIONS = 20, 30


@dataclass
class Workload:
    """The comm of the samples that count, the programs that are needed, the commands."""
    comm: str
    programs: list
    commands: list


WORKLOADS = {
    "xz": Workload("xz", ["xz"], ["while :; do xz -6 -T1 -c text; done"]),
    "sqlite3": Workload("sqlite3", ["sqlite3"], [f"exec sqlite3 :memory: '{SQL}'"]),
    "python3": Workload("python3", [PYTHON], [f"exec {PYTHON} work.py"]),
    "openssl speed": Workload("openssl", ["openssl"], [
        "while :; do openssl speed -seconds 1 sha256 aes-256-cbc rsa2048 2>&1; done"]),
    "redis-server": Workload("redis-server", ["redis-server", "redis-benchmark"], [
        f"exec redis-server --port {REDIS_PORT} --save '' --appendonly no",
        f"sleep 0.3; while :; do redis-benchmark -p {REDIS_PORT} -q -n 200000 -t get,set,lpush,lrange_100; done 2>&1"]),
    "cc1plus": Workload("cc1plus", ["g++"], ["while :; do g++ -O2 -c -o big.o big.cpp; done"]),
}


def prepare(folder):
    """The input files of all workloads."""
    def write(name, text):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    write("big.cpp", CXX)
    write("work.py", PYTHON_PROGRAM)
    for i in range(C_FILES):
        write(f"small{i}.c", "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" + "".join(
            f"int f{j}(const char *s, int n)\n{{\n\tfor (int i = 0; i < n; i++)\n\t\tif (s[i] == {j + i})\n"
            f"\t\t\treturn printf(\"%d %zu\\n\", i, strlen(s));\n\treturn abs(n) + {j};\n}}\n"
            for j in range(C_FUNCTIONS)))
    with open(os.path.join(folder, "text"), "wb") as out:
        for root, _, names in sorted(os.walk("/usr/include")):
            for name in sorted(names):
                with contextlib.suppress(OSError), open(os.path.join(root, name), "rb") as f:
                    shutil.copyfileobj(f, out)
            if out.tell() > TEXT_BYTES:
                break


@contextlib.contextmanager
def running(folder, settle, *names):
    """These workloads' commands, each in a session of its own so that nothing of them survives."""
    wanted = [WORKLOADS[name] for name in names]
    require(*(program for w in wanted for program in w.programs))
    shells = [subprocess.Popen(["sh", "-c", command], cwd=folder, start_new_session=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL) for w in wanted for command in w.commands]
    try:
        time.sleep(settle)
        if any(shell.poll() is not None for shell in shells):
            raise Failed(f"{' or '.join(names)} ended at once")
        yield
    finally:
        for shell in shells:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
