# SPDX-License-Identifier: MIT
"""Kernels and perf from Debian packages, kept in a cache outside the tree.

A private apt directory names the machine's own Debian mirror with another
release; apt verifies it with the keys of debian-archive-keyring.  Nothing that
is fetched is installed here, or runs here.
"""

import collections
import contextlib
import fcntl
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time

CACHE = os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'retour', 'vm')
FRESH = 7 * 24 * 3600       # seconds after which there may be a newer package

# name: (release, package that depends on the newest kernel of its kind)
KERNELS = {
    'newest': ('unstable', 'linux-image-cloud-amd64'),
    'stable': ('bookworm', 'linux-image-cloud-amd64'),
    '6.12': ('trixie', 'linux-image-cloud-amd64'),
    'rt': ('unstable', 'linux-image-rt-amd64'),
}
PERF = ('unstable', 'linux-perf')

# What the channel to the guest needs if it is not built in, in the order of loading.
MODULES = {
    'virtio': 'VIRTIO', 'virtio_ring': 'VIRTIO', 'virtio_pci_legacy_dev': 'VIRTIO_PCI_LIB_LEGACY',
    'virtio_pci_modern_dev': 'VIRTIO_PCI_LIB', 'virtio_pci': 'VIRTIO_PCI', 'virtio_console': 'VIRTIO_CONSOLE',
}
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

Kernel = collections.namedtuple('Kernel', 'name release image modules')


class Unavailable(Exception):
    """There is no such thing on this machine, and no way to fetch it; says why."""


def _output(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f'exit status {done.returncode}']
        raise Unavailable(f'{command[0]}: {lines[0]}')
    return done.stdout


def _mirror():
    """The machine's own Debian archive."""
    targets = _output('apt-get', 'indextargets', '--format', '$(REPO_URI) $(COMPONENT) $(ORIGIN):$(LABEL)',
                      'Created-By: Packages')
    for line in targets.splitlines():
        uri, component, origin = line.split(' ', 2)
        if component == 'main' and (origin == 'Debian:Debian' or uri.rstrip('/').endswith('/debian')):
            return uri
    raise Unavailable('the package sources of this machine name no Debian archive')


class Release:
    """The packages of one Debian release."""

    def __init__(self, name):
        home = os.path.join(CACHE, 'apt', name)
        for folder in ('lists/partial', 'cache/archives/partial'):
            os.makedirs(os.path.join(home, folder), exist_ok=True)
        sources, status = os.path.join(home, 'sources.list'), os.path.join(home, 'status')
        key = f'[signed-by={KEYRING}] ' if os.path.exists(KEYRING) else ''
        with open(sources, 'w', encoding='utf-8') as f:
            f.write(f'deb {key}{_mirror()} {name} main\n')
        open(status, 'w', encoding='utf-8').close()
        self.options = [f'-o{option}' for option in (
            f'Dir::Etc::SourceList={sources}', 'Dir::Etc::SourceParts=/dev/null', f'Dir::State={home}',
            f'Dir::State::Status={status}', f'Dir::Cache={home}/cache', 'APT::Sandbox::User=',
            'APT::Update::Post-Invoke-Success::=true', 'Acquire::Languages=none', 'Acquire::Retries=2')]
        _output('apt-get', *self.options, '--error-on=any', 'update')

    def show(self, package, field):
        """One field of the newest version of the package, '' if it has none."""
        text = _output('apt-cache', *self.options, '--no-all-versions', 'show', package)
        found = re.search(rf'^{field}: (.*)$', text, re.MULTILINE)
        return found[1] if found else ''

    def depends(self, package, pattern):
        """The packages matching the pattern that this one depends on directly."""
        names = re.findall(r'[^\s,|]+(?=[\s,|]|$)', self.show(package, 'Depends'))
        return [name for name in names if re.fullmatch(pattern, name)]

    def closure(self, package):
        """The package and all that it would install beside it."""
        text = _output('apt-get', *self.options, '--no-install-recommends', '-s', 'install', package)
        return re.findall(r'^Inst (\S+)', text, re.MULTILINE)

    def fetch(self, packages, folder):
        """Downloads the packages; returns the paths of the files."""
        before = set(os.listdir(folder))
        done = subprocess.run(['apt-get', *self.options, '-q', 'download', *packages], cwd=folder, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise Unavailable(f'apt-get download: {done.stderr.strip().splitlines()[-1:]}')
        return [os.path.join(folder, name) for name in sorted(set(os.listdir(folder)) - before)]


def _files(package, wanted):
    """(path, content or target of the link) of the files of a package whose path matches."""
    with subprocess.Popen(['dpkg-deb', '--fsys-tarfile', package], stdout=subprocess.PIPE) as proc:
        with tarfile.open(fileobj=proc.stdout, mode='r|') as tar:
            for member in tar:
                if member.isfile() and re.search(wanted, member.name):
                    yield member.name, tar.extractfile(member).read()
                elif member.issym() and re.search(wanted, member.name):
                    yield member.name, member.linkname
        proc.stdout.read()


def _write(path, content):
    with open(path, 'wb') as f:
        f.write(content)


def _fetch_kernel(name, folder):
    release_name, meta = KERNELS[name]
    release = Release(release_name)
    image = release.depends(meta, r'linux-image-\d.*')[0]
    version = image.removeprefix('linux-image-')
    parts = release.depends(image, rf'linux-(binary|base)-{re.escape(version)}')
    packages = release.fetch([image, *parts], folder)
    config = ''
    for package in packages:
        for path, content in _files(package, r'/vmlinuz(-|$)|/config(-\d|$)'):
            if 'vmlinuz' in path:
                _write(os.path.join(folder, 'vmlinuz'), content)
            else:
                config = content.decode()
    wanted = [module for module, option in MODULES.items() if f'CONFIG_{option}=m\n' in config]
    if wanted:
        packages += release.fetch(release.depends(image, rf'linux-modules-{re.escape(version)}') or [], folder) \
            if parts else []
        pattern = rf'/({"|".join(wanted)})\.ko(\.xz)?$'
        for package in packages:
            for path, content in _files(package, pattern):
                plain = lzma.decompress(content) if path.endswith('.xz') else content
                _write(os.path.join(folder, os.path.basename(path).removesuffix('.xz')), plain)
    _write(os.path.join(folder, 'release'), version.encode())


def _needed(path):
    text = _output('readelf', '-dW', path)
    return re.findall(r'\(NEEDED\).*\[(.*)\]', text)


def _fetch_perf(folder):
    release = Release(PERF[0])
    packages = release.fetch([p for p in release.closure(PERF[1]) if re.match('lib|zlib|linux-perf', p)], folder)
    unpacked = os.path.join(folder, 'unpacked')
    os.mkdir(unpacked)
    links = {}
    for package in packages:
        for path, content in _files(package, r'/lib/x86_64-linux-gnu/[^/]*\.so[^/]*$|^\./usr/bin/perf$'):
            name = os.path.basename(path)
            if isinstance(content, bytes):
                _write(os.path.join(unpacked, name), content)
            elif name != os.path.basename(content):
                links[name] = os.path.basename(content)
    names = ['perf']
    for name in names:      # grows while it is read
        source = name
        while source in links:
            source = links[source]
        shutil.copy(os.path.join(unpacked, source), os.path.join(folder, name))
        names += [n for n in _needed(os.path.join(folder, name)) if n not in names]
    shutil.rmtree(unpacked)
    for program in ('perf', 'ld-linux-x86-64.so.2'):
        os.chmod(os.path.join(folder, program), 0o755)
    _write(os.path.join(folder, 'release'), release.show(PERF[1], 'Version').encode())


def _cached(folder, fetch):
    """The folder, fetched if it is missing or old; an old one serves where there is no network."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder + '.lock', 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = os.path.join(folder, 'release')
        if os.path.exists(stamp) and time.time() - os.path.getmtime(stamp) < FRESH:
            return folder
        new = tempfile.mkdtemp(prefix='new-', dir=os.path.dirname(folder))
        try:
            fetch(new)
            for name in os.listdir(new):
                if name.endswith('.deb'):
                    os.unlink(os.path.join(new, name))
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(new, folder)
        except (Unavailable, OSError, IndexError, tarfile.TarError, lzma.LZMAError) as error:
            if not os.path.exists(stamp):
                raise Unavailable(f'cannot be fetched: {error}') from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(new)
    return folder


def _release(folder):
    with open(os.path.join(folder, 'release'), encoding='utf-8') as f:
        return f.read()


def kernel(name):
    """The kernel of that name, or the one in a file; raises Unavailable."""
    if name not in KERNELS:
        if not os.path.isfile(name):
            raise Unavailable(f'{name}: neither one of {", ".join(KERNELS)} nor a file')
        return Kernel(name, os.path.basename(name), name, [])
    folder = _cached(os.path.join(CACHE, 'kernels', name), lambda new: _fetch_kernel(name, new))
    modules = [os.path.join(folder, module + '.ko') for module in MODULES]
    return Kernel(name, _release(folder), os.path.join(folder, 'vmlinuz'), [m for m in modules if os.path.exists(m)])


def perf():
    """(version, folder) of the newest perf with its libraries; raises Unavailable."""
    folder = _cached(os.path.join(CACHE, 'perf'), _fetch_perf)
    return _release(folder), folder
