# SPDX-License-Identifier: MIT
"""The root file system of a guest: a cpio archive ("newc") of files of this machine.

An ELF file brings the shared libraries it names.  Nothing is compressed: in an
emulated machine copying is cheaper than decompressing.
"""

import os
import re
import stat
import subprocess
import sys

# Present if the machine has them; tests say what they miss.
TOOLS = ['setcap', 'getcap', 'capsh', 'setpriv', 'unshare', 'strace', 'taskset', 'chrt', 'prlimit', 'readelf', 'bpftool',
         'dash', 'sqlite3', 'xz', 'make', 'dpkg-query']
# Without these fields dpkg takes no package for one.
STATUS = ('Package: ${Package}\\nStatus: ${Status}\\nVersion: ${Version}\\nArchitecture: ${Architecture}\\n'
          'Maintainer: ${Maintainer}\\nDescription: ${binary:Summary}\\n\\n')
STDLIB_LEFT_OUT = {'test', 'tests', 'idlelib', 'tkinter', 'lib2to3', 'ensurepip', 'pydoc_data', 'turtledemo'}
USERS = 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n'
GROUPS = 'root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n'
FOLDERS = {'usr/bin': 0o755, 'usr/sbin': 0o755, 'usr/lib': 0o755, 'usr/lib64': 0o755, 'usr/lib32': 0o755,
           'proc': 0o755, 'sys': 0o755, 'dev': 0o755, 'run': 0o755, 'root': 0o700, 'tmp': 0o1777, 'var/tmp': 0o1777,
           'home': 0o755, 'etc': 0o755}
MERGED = {'bin': 'usr/bin', 'sbin': 'usr/sbin', 'lib': 'usr/lib', 'lib64': 'usr/lib64', 'lib32': 'usr/lib32'}


class Image:
    """Guest path (without the first slash) to what is there."""

    def __init__(self):
        self.entries = {}       # path: (mode, host path or content)
        self.elf_files = []
        for path, mode in FOLDERS.items():
            self.folder(path, mode)
        for path, target in MERGED.items():
            self.link(path, target)
        self.text('etc/passwd', USERS)
        self.text('etc/group', GROUPS)

    def folder(self, path, mode=0o755):
        """A directory, and those above it."""
        if path and path not in self.entries:
            self.folder(os.path.dirname(path))
            self.entries[path] = (stat.S_IFDIR | mode, b'')

    def _put(self, path, mode, content):
        self.folder(os.path.dirname(path))
        self.entries[path] = (mode, content)

    def link(self, path, target):
        """A symbolic link."""
        self._put(path, stat.S_IFLNK | 0o777, target.encode())

    def text(self, path, content, mode=0o644):
        """A file with this content."""
        self._put(path, stat.S_IFREG | mode, content.encode())

    def file(self, host, path=None):
        """A file of the host, at the same path unless another is given; a link brings its target."""
        if path is None:
            host = os.path.join(os.path.realpath(os.path.dirname(host)), os.path.basename(host))
            if os.path.islink(host):
                self.link(host[1:], os.readlink(host))
                self.file(os.path.join(os.path.dirname(host), os.readlink(host)))
                return
            path = host[1:]
        if path in self.entries:
            return
        self._put(path, stat.S_IFREG | stat.S_IMODE(os.stat(host).st_mode), host)
        with open(host, 'rb') as f:
            if f.read(4) == b'\x7fELF':
                self.elf_files.append(host)

    def tree(self, host, path=None, wanted=lambda name: True):
        """A directory of the host and all below it."""
        path = host[1:] if path is None else path
        self.folder(path)
        for entry in os.scandir(host):
            if not wanted(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                self.tree(entry.path, f'{path}/{entry.name}', wanted)
            elif entry.is_file():
                self.file(entry.path, f'{path}/{entry.name}')

    def libraries(self):
        """The shared libraries of all ELF files so far."""
        files = [f for f in self.elf_files if os.access(f, os.R_OK)]
        text = subprocess.run(['ldd', *files], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
        for name in sorted(set(re.findall(r'^\s+(?:\S+ => )?(/\S+) \(', text.decode(), re.MULTILINE))):
            self.file(name)

    def write(self, out):
        """Writes the archive; returns its size."""
        size = 0
        for number, (path, (mode, content)) in enumerate({**self.entries, 'TRAILER!!!': (0, b'')}.items(), 1):
            if isinstance(content, str):
                with open(content, 'rb') as f:
                    content = f.read()
            name = path.encode() + b'\0'
            fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
            record = b'070701' + b''.join(b'%08x' % field for field in fields) + name
            record += bytes(-len(record) % 4) + content + bytes(-len(content) % 4)
            out.write(record)
            size += len(record)
        return size


def add_system(image):
    """busybox, Python and the tools of the host."""
    image.file('/bin/busybox', 'usr/bin/busybox')
    applets = subprocess.run(['/bin/busybox', '--list'], stdout=subprocess.PIPE, check=True, text=True).stdout
    for tool in TOOLS:
        for folder in ('/usr/bin', '/usr/sbin'):
            if os.path.exists(f'{folder}/{tool}'):
                image.file(f'{folder}/{tool}')
    if 'usr/bin/dash' in image.entries:     # busybox's shell takes its own xz for any other, which only decompresses
        image.link('usr/bin/sh', 'dash')
    for applet in applets.split():
        if f'usr/bin/{applet}' not in image.entries and f'usr/sbin/{applet}' not in image.entries:
            image.link(f'usr/bin/{applet}', 'busybox')
    image.file('/usr/bin/python3')
    stdlib = subprocess.run(['/usr/bin/python3', '-c', 'import sysconfig; print(sysconfig.get_path("stdlib"))'],
                            stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    image.tree(stdlib, wanted=lambda name: name not in STDLIB_LEFT_OUT and not name.startswith('config-'))
    for library in ('libgcc_s.so.1', 'libnss_files.so.2'):
        found = f'/usr/lib/{sys.implementation._multiarch}/{library}'   # pylint: disable=protected-access
        if os.path.exists(found):
            image.file(found)


def add_build(image, build, source):
    """What was built, in /build, the tests, in /tests, and what `make demo` runs, in their places beside them."""
    for name in ('retour', 'src/runtime/libretour-agent.so', 'src/runtime/libretour.so.0'):
        image.file(os.path.join(build, name), f'build/{name}')
    image.tree(os.path.join(build, 'tests', 'programs'), 'build/tests/programs',
               lambda name: not name.endswith(('.p', '.symbols', 'go-cache')))
    image.tree(os.path.join(source, 'tests'), 'tests', lambda name: name not in ('__pycache__', 'unit', 'fuzz'))
    for name in ('Makefile', 'tools/demo.sh', 'tools/install-deps.sh', 'tools/packages.txt'):
        image.file(os.path.join(source, name), name)
    add_packages(image, os.path.join(source, 'tools', 'packages.txt'))


def add_packages(image, wanted):
    """What dpkg knows of the packages that are named there: all would be much to read for an emulated machine."""
    with open(wanted, encoding='utf-8') as f:
        names = {name for line in f if not line.startswith('#') for name in line.split()[1:]}
    if 'usr/bin/dpkg-query' in image.entries:
        known = subprocess.run(['dpkg-query', '-W', '-f', STATUS, *sorted(names)], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, check=False, text=True).stdout.split('\n\n')
        image.text('var/lib/dpkg/status', '\n\n'.join(p for p in known if ' installed\n' in p) + '\n')


def add_perf(image, folder):
    """perf of another release, run by its own loader with its own libraries: /usr/bin/perf7."""
    image.tree(folder, 'opt/perf')
    image.elf_files = [f for f in image.elf_files if not f.startswith(folder)]
    image.text('usr/bin/perf7', '#!/bin/sh\nexec /opt/perf/ld-linux-x86-64.so.2 --library-path /opt/perf '
               '--argv0 perf /opt/perf/perf "$@"\n', 0o755)
