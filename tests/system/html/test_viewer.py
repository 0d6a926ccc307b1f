# SPDX-License-Identifier: MIT
"""The flame graph page in a real browser, without a display or a network.

The page tests itself with checks.js, appended to it; Chromium prints the page
that results.  Each test in there is one here.
"""

import html
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = re.compile(r'(<script type="application/json" id="profile">)(.*?)(</script>)', re.DOTALL)
USER, TASK = 0, 5


def page(workspace):
    """The report of the synthetic recording."""
    recording, report = (os.path.join(workspace, name) for name in ('synthetic.data', 'synthetic.html'))
    subprocess.run([os.environ['MAKE_RECORDING'], recording], check=True)
    subprocess.run([os.environ['RETOUR'], 'report', '-i', recording, '-o', report], check=True,
                   stderr=subprocess.DEVNULL)
    with open(report, encoding='utf-8') as file:
        return file.read()


def profile(functions, nodes):
    """The data of a page from (name, dso, kind) and (distance to the parent, function, self)."""
    strings = sorted({s for name, dso, _ in functions for s in (name, dso)})
    samples = sum(node[2] for node in nodes)
    return {'title': 'test', 'backend': None, 'kernel': None, 'duration': 1, 'foreign': False, 'events': [],
            'quality': {'samples': samples, 'no_user': 0, 'complete': samples, 'truncated': 0, 'missing': 0,
                        'lost': 0, 'truncated_by': [], 'missing_by': []},
            'nodes': [n for node in nodes for n in node],
            'functions': [x for name, dso, kind in functions
                          for x in (strings.index(name), strings.index(dso), kind)],
            'strings': strings}


def processes():
    functions = [('sh', '10', TASK), ('sh', '11', TASK), ('ls', '12', TASK), ('main', '/bin/x', USER)]
    return profile(functions, [(1, 0, 0), (1, 3, 8), (3, 1, 0), (1, 3, 16), (5, 2, 6)])


def big(wanted=60000):
    """A random tree of that many nodes, 30 deep."""
    rng = random.Random(1)
    functions = [('task', '1', TASK)] + [(f'f{i}', f'/lib/lib{i % 40}.so', USER) for i in range(5000)]
    nodes, stack, seen = [(1, 0, 0)], [0], set()
    while len(nodes) < wanted:
        del stack[max(1, min(len(stack), rng.randrange(1, 30))):]
        function = rng.randrange(1, 5001)
        if (stack[-1], function) in seen:
            continue
        seen.add((stack[-1], function))
        nodes.append((len(nodes) - stack[-1], function, rng.randrange(4)))
        stack.append(len(nodes) - 1)
    return profile(functions, nodes)


def browse(chromium, workspace, text, name):
    """Opens the page with the checks appended; what they found."""
    with open(os.path.join(HERE, 'checks.js'), encoding='utf-8') as file:
        checks = file.read()
    path = os.path.join(workspace, name + '.html')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text.replace('</body>', f'<script>window.tests = "{name}";\n{checks}</script>\n</body>'))
    home = tempfile.mkdtemp(dir=workspace)
    done = subprocess.run(
        [chromium, '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync', '--enable-logging=stderr',
         '--window-size=1400,900', f'--user-data-dir={home}', '--dump-dom', 'file://' + path],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        env={**os.environ, 'HOME': home})
    found = re.search(r'<pre id="results">(.*?)</pre>', done.stdout, re.DOTALL)
    if not found:
        console = [line for line in done.stderr.splitlines() if 'CONSOLE' in line] or done.stderr.splitlines()[-9:]
        return {'results': [['not ok', f'{name}: the page runs', '\n'.join(console)]], 'figures': None}
    return json.loads(html.unescape(found[1]))


def main():
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    if not chromium:
        print('1..0 # SKIP chromium is not installed')
        return 0
    with tempfile.TemporaryDirectory(prefix='retour-html-') as workspace:
        text = page(workspace)
        substitute = lambda data: DATA.sub(lambda m: m[1] + json.dumps(data) + m[3], text)
        runs = [browse(chromium, workspace, text, 'synthetic'),
                browse(chromium, workspace, substitute(processes()), 'processes'),
                browse(chromium, workspace, substitute(big()), 'big')]
    results = [result for run in runs for result in run['results']]
    for figures in filter(None, (run['figures'] for run in runs)):
        print('#', figures)
    print(f'1..{len(results)}')
    for number, (verdict, name, *why) in enumerate(results, 1):
        print(f'{verdict} {number} - {name}')
        for line in '\n'.join(why).splitlines():
            print('#', line)
    return int(any(verdict != 'ok' for verdict, *_ in results))


sys.exit(main())
