#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""libretour as it is installed: found by pkg-config, used from C and C++, shared and static, hidden where it should be."""
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile

import retour
from chains import known_symbol
from tap import Skip, main, test

BUILD = os.path.dirname(os.path.abspath(os.environ['RETOUR']))
VERSION = 'RETOUR_0.1'
PROGRAM = r'''
#include <retour/rcu.h>
#include <retour/srcu.h>
#include <retour/tracepoint.h>
RETOUR_DEFINE_STATIC_SRCU_FAST(domain);
RETOUR_TRACEPOINT(app, done, (int, n));
static int called;
#ifdef __cplusplus
extern "C" {
#endif
/* Names that the library uses inside: neither calls the other's. */
void hook(int event);
void report(void);
void domains_lock(void);
#ifdef __cplusplus
}
#endif
void hook(int event) { called = event; }
void report(void) { hook(100); }
void domains_lock(void) { report(); }
static void done(struct retour_rcu_head *head)
{
	(void)head;
	called++;
}
int main(void)
{
	struct retour_rcu_head heads[2];
	struct retour_srcu_bank *bank = retour_srcu_read_lock_fast(&domain);

	retour_rcu_read_lock();
	retour_rcu_read_unlock();
	retour_srcu_read_unlock_fast(&domain, bank);
	retour_synchronize_rcu();
	retour_call_rcu(&heads[0], done);
	retour_call_srcu(&domain, &heads[1], done);
	retour_rcu_barrier();
	retour_srcu_barrier(&domain);
	trace_app_done(called);
	return called == 2 ? 0 : 1;
}
'''
# Each mistake in a function of its own, by which the report must say that it was made.
MISTAKES = r'''
#define RETOUR_RCU_DEBUG
#include <retour/srcu.h>
#include <stdlib.h>
#define MISTAKE(name, ...) __attribute__((noinline, section("mistakes"))) static void name(void) { __VA_ARGS__; retour_barrier(); }
extern const char __start_mistakes[], __stop_mistakes[];
RETOUR_DEFINE_STATIC_SRCU_FAST(domain);
static int *pointer, reports;
MISTAKE(unlock, retour_rcu_read_lock_notrace(); retour_rcu_read_unlock())
MISTAKE(look, (void)retour_rcu_dereference(pointer))
MISTAKE(block, retour_rcu_read_lock(); retour_rcu_might_block(); retour_rcu_read_unlock())
MISTAKE(wait, retour_rcu_read_lock(); retour_synchronize_srcu(&domain); retour_rcu_read_unlock())
static void hear(const struct retour_rcu_report *report, void *arg)
{
	(void)arg;
	reports++;
	if ((const char *)report->where < __start_mistakes || (const char *)report->where >= __stop_mistakes)
		exit(report->kind);
}
int main(void)
{
	retour_rcu_set_report(hear, 0);
	unlock();
	look();
	block();
	wait();
	return reports == 4 ? 0 : 100;
}
'''
# About a thousand times a second, and never over by itself.
FIRING = r'''
#include <retour/tracepoint.h>
#include <unistd.h>
RETOUR_TRACEPOINT(app, done, (int, n));
int main(void)
{
	for (int n = 0;; n++) {
		trace_app_done(n);
		usleep(1000);
	}
}
'''
# What it opens has tracepoints, threads and objects of its own before it is there.
HOST = r'''
#ifdef FIRES
#include <retour/tracepoint.h>
RETOUR_TRACEPOINT(app, done, (int, n));
#else
#define trace_app_done(n)
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
static void *let_go_on(void *arg)
{
	struct timespec left = { 0, 200000000 };

	while (nanosleep(&left, &left))
		;
	kill(getppid(), SIGCONT);
	return arg;
}
/* Our parent: so that who comes meanwhile waits for it. */
static void stop_recorder(void)
{
	pthread_t thread;

	kill(getppid(), SIGSTOP);
	pthread_create(&thread, 0, let_go_on, 0);
}
int main(int argc, char **argv)
{
	void *plugin;
	void (*fire)(int);

	if (argc > 2)
		stop_recorder();
	plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW) : 0;
	fire = plugin ? (void (*)(int))dlsym(plugin, "fire") : 0;
	for (int n = 0; fire; n++) {
		trace_app_done(n);
		fire(n);
		usleep(1000);
	}
	return 1;
}
'''
PLUGIN = r'''
#include <dlfcn.h>
#include <pthread.h>
#include <retour/tracepoint.h>
#include <unistd.h>
RETOUR_TRACEPOINT(plugin, done, (int, n));
void fire(int n);
void fire(int n)
{
	trace_plugin_done(n);
}
static void *sleeping(void *arg)
{
	return pause() ? arg : 0;
}
__attribute__((constructor)) static void start(void)
{
	pthread_t thread;

	pthread_create(&thread, 0, sleeping, 0);
	for (int i = 0; i < 20; i++, usleep(1000))
		dlopen("libm.so.6", RTLD_NOW);
}
'''


def output(*command, **env):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            check=False, timeout=retour.TIMEOUT, env={**os.environ, **env})
    assert result.returncode == 0, f'{" ".join(command)}: {result.stdout}'
    return result.stdout


class Installed:
    """What `make install` puts below DESTDIR, and pkg-config there."""

    def __enter__(self):
        if not shutil.which('pkg-config'):
            raise Skip('pkg-config is not installed')
        self.folder = tempfile.TemporaryDirectory()
        self.root = os.path.join(self.folder.name, 'root')
        output('meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--tags', 'devel,runtime', '--destdir', self.root)
        self.description = self.find('**/pkgconfig/retour.pc')
        self.library = self.find('**/libretour.so')
        self.archive = self.find('**/libretour.a')
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def find(self, pattern):
        found = glob.glob(os.path.join(self.root, pattern), recursive=True)
        assert len(found) == 1, f'{pattern}: {found}'
        return found[0]

    def pkg_config(self, *options):
        return output('pkg-config', *options, 'retour', PKG_CONFIG_LIBDIR=os.path.dirname(self.description),
                      PKG_CONFIG_SYSROOT_DIR=self.root).split()

    def compiled(self, compiler, *options, text=PROGRAM, libraries=None, name='program'):
        """A program, with what pkg-config says, and how it says to link, or with these libraries."""
        static = ['--static'] if '-static' in options else []
        program = os.path.join(self.folder.name, name)
        source = program + ('.cpp' if compiler.endswith('++') else '.c')
        with open(source, 'w', encoding='utf-8') as f:
            f.write(text)
        output(compiler, '-O2', '-Wall', '-Wextra', '-Werror', *options, '-Wl,--fatal-warnings', *self.pkg_config('--cflags'),
               source, '-o', program, *(libraries or self.pkg_config(*static, '--libs')))
        return program


def declared(root):
    """The names of functions that installed headers declare as the library's."""
    names = set()
    for header in glob.glob(os.path.join(root, '**', 'include', 'retour', '*.h'), recursive=True):
        with open(header, encoding='utf-8') as f:
            names.update(re.findall(r'^RETOUR_(?:SLOW_)?API [^;(]*?(\w+)\(', f.read(), re.MULTILINE))
    return names


def compilers():
    return [c for c in ('gcc', 'g++', 'clang', 'clang++') if shutil.which(c)]


@test('a program finds the shared library by pkg-config, as C and as C++')
def _():
    with Installed() as installed:
        for compiler in compilers():
            program = installed.compiled(compiler)
            assert 'libretour.so.0' in output('readelf', '-dW', program), compiler
            output(program, LD_LIBRARY_PATH=os.path.dirname(installed.library))


@test('a program finds the static library by pkg-config, as C and as C++')
def _():
    with Installed() as installed:
        for compiler in compilers():
            program = installed.compiled(compiler, '-static')
            assert 'NEEDED' not in output('readelf', '-dW', program), compiler
            output(program)


@test('examples are built as their page says')
def _():
    with Installed() as installed:
        # The page says `cc`, which knows nothing of this project's options.
        for compiler, pattern in ('gcc', '*.c'), ('g++', '*.cpp'):
            sources = glob.glob(os.path.join(os.path.dirname(__file__), '..', '..', 'examples', pattern))
            assert sources
            for source in sources:
                with open(source, encoding='utf-8') as f:
                    installed.compiled(compiler, '-Wno-unused-parameter', text=f.read())


@test('reports name the call in a program that is optimized as a whole')
def _():
    with Installed() as installed:
        for options in (), ('-static',), ('-flto',), ('-flto', '-static'):
            output(installed.compiled('gcc', '-O3', *options, text=MISTAKES), LD_LIBRARY_PATH=os.path.dirname(installed.library))


def recorded(*options):
    """Until there are some hundreds of hits."""
    recorder = retour.Recorder(*options, frequency=100)
    retour.wait_for_samples(recorder.process, recorder.path, size=1 << 18)
    return recorder.end()


def returned(stats):
    """The samples, but one whose thread had no CPU to go on with when the recording ended."""
    late = stats['missing'].get('not-returned', 0)
    assert late <= 1, stats
    return stats['samples'] - late


def attached(*command, tracepoints=('app:done',), **env):
    """What is recorded of its tracepoints by a recorder that comes while it runs."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**os.environ, **env}) as process:
        try:
            retour.wait_until(lambda: all(name in retour.run('list', 'tracepoints', '-p', process.pid).stdout
                                          for name in tracepoints))
            recording = recorded('-e', '*:done', '-p', process.pid)
        finally:
            process.kill()
    assert {s['event'] for s in recording.samples} == set(tracepoints), recording.stats
    for name in tracepoints:
        hits = [s['fields']['n'] for s in recording.samples if s['event'] == name]
        assert len(hits) > 10 and hits == list(range(hits[0], hits[0] + len(hits))), (hits, recording.stats)
    return recording


@test('a program with the static library can be attached to, however it is linked')
def _():
    with Installed() as installed:
        plain = {'libraries': [installed.archive], 'text': FIRING}
        for compiler in [c for c in ('gcc', 'g++') if shutil.which(c)]:
            for program in (lambda: installed.compiled(compiler, **plain),
                            lambda: installed.compiled(compiler, '-fPIE', '-static-pie', **plain),
                            lambda: installed.compiled(compiler, '-static', text=FIRING)):
                recording = attached(program())
                assert recording.stats['complete'] == returned(recording.stats), recording.stats
                assert all(known_symbol(s['user'][0]) == 'main' for s in recording.samples if s['user']), recording.samples[0]


@test('a static program with the library is recorded as a command, too')
def _():
    with Installed() as installed:
        stats = recorded('--backend', 'agent', '-e', 'app:*', '--', installed.compiled('gcc', '-static', text=FIRING)).stats
        assert stats['complete'] == returned(stats), stats
        assert {e['name']: e['samples'] for e in stats['events']} == {'app:done': stats['samples']}, stats


@test('a static program without a table of its unwind rules says so of each chain')
def _():
    with Installed() as installed:
        program = installed.compiled('gcc', '-static', '-Wl,--no-eh-frame-hdr', text=FIRING, libraries=[installed.archive])
        stats = attached(program).stats
        assert stats['truncated_by'] == {'no unwind info': returned(stats)}, stats


@test('what is installed below DESTDIR records commands from there, and what runs also without the object to preload')
def _():
    with Installed() as installed:
        command, env = installed.find('**/bin/retour'), {'LD_LIBRARY_PATH': os.path.dirname(installed.library)}
        features = json.loads(output(command, 'doctor', '--json'))['features']
        preloaded = installed.find('**/libretour-agent.so')
        assert [os.path.realpath(f['value']) for f in features if f['name'] == 'agent'] == [preloaded], features
        output(command, 'record', '--backend', 'agent', '-q', '-o', os.path.join(installed.folder.name, 'command'), '--', 'true')
        os.unlink(preloaded)
        with subprocess.Popen([installed.compiled('gcc', text=FIRING)], env={**os.environ, **env}) as process:
            try:
                retour.wait_until(lambda: 'app:done' in retour.run('list', 'tracepoints', '-p', process.pid).stdout)
                path = os.path.join(installed.folder.name, 'attached')
                output(command, 'record', '-e', 'app:done', '-p', str(process.pid), '--duration', '1', '-q', '-o', path)
            finally:
                process.kill()
        assert [e['name'] for e in json.loads(output(command, 'stats', '-i', path, '--json'))['events']] == ['app:done']


def with_plugins(installed):
    """Programs without the library, with the shared, the static one; plugins with a copy whose names are theirs, or the program's."""
    shared = ['-L' + os.path.dirname(installed.library), '-lretour', '-Wl,-rpath,' + os.path.dirname(installed.library)]
    for export in ['-Wl,--exclude-libs,ALL'], []:
        plugin = installed.compiled('gcc', '-shared', '-fPIC', *export, text=PLUGIN, libraries=[installed.archive], name='plugin.so')
        yield installed.compiled('gcc', '-pthread', text=HOST, libraries=['-ldl']), plugin, ['plugin:done']
        for libraries in shared, [installed.archive], [installed.archive, '-rdynamic']:
            yield (installed.compiled('gcc', '-pthread', '-DFIRES', text=HOST, libraries=libraries), plugin, ['app:done', 'plugin:done'])


@test('a process with several copies of the library has the tracepoints of all')
def _():
    with Installed() as installed:
        for program, plugin, tracepoints in with_plugins(installed):
            stats = attached(program, plugin, tracepoints=tracepoints).stats
            assert stats['complete'] == returned(stats), stats


@test('with several copies of the library threads have the clocks of one of them')
def _():
    with Installed() as installed:
        for program, plugin, tracepoints in with_plugins(installed):
            recording = recorded('--backend', 'agent', '-e', 'wall-clock', '-e', '*:done', '--', program, plugin, 'stop the recorder')
            clocks = [s for s in recording.samples if s['event'] == 'wall-clock' and s['tid'] == s['pid']]
            assert {s['event'] for s in recording.samples} == {'wall-clock', *tracepoints}, recording.stats
            # From where it seems least: a handler may have to wait for a CPU before it looks at the time.
            more = min(sum(s['period'] for s in clocks[i + 1:]) - 1.5e9 * (clocks[-1]['time'] - clocks[i]['time'])
                       for i in range(len(clocks) // 2 + 1))
            assert more < 2e7, ([(s['time'], s['period']) for s in clocks], recording.stats)


@test('the library needs libc alone')
def _():
    with Installed() as installed:
        needed = re.findall(r'NEEDED.*\[(.*)\]', output('readelf', '-dW', installed.library))
        assert set(needed) <= {'libc.so.6', 'ld-linux-x86-64.so.2'}, needed
        with open(installed.description, encoding='utf-8') as f:
            assert 'Requires' not in f.read()


@test('exported is what the headers declare, with a version')
def _():
    with Installed() as installed:
        symbols = [line.split() for line in output('nm', '-D', '--defined-only', installed.library).splitlines()]
        names = [name for _, kind, name in symbols if kind != 'A']
        assert names and all(re.fullmatch(rf'retour_\w+@@{VERSION}', name) for name in names), names
        exported = {name.partition('@')[0] for name in names}
        functions = declared(installed.root)
        assert len(functions) > 60 and functions <= exported, functions - exported
        # Besides there is what the library's own object for preloading needs of it.
        preloaded = output('nm', '-D', '--undefined-only', installed.find('**/libretour-agent.so'))
        unknown = {name.partition('@')[0] for _, kind, name in symbols if kind == 'T'} - functions - \
            set(re.findall(r'(retour_\w+)@', preloaded))
        assert not unknown, unknown


@test('a program is bound to versions')
def _():
    with Installed() as installed:
        undefined = output('nm', '-D', '--undefined-only', installed.compiled('gcc'))
        assert f'retour_synchronize_rcu@{VERSION}' in undefined
        assert not re.search(r'retour_\w+$', undefined, re.MULTILINE)


@test('the static library lacks nothing that it refers to')
def _():
    with Installed() as installed:
        installed.compiled('gcc', '-static', f'-Wl,--whole-archive,{installed.archive},--no-whole-archive')


@test('the static library shows no other name')
def _():
    with Installed() as installed:
        # The hidden ones count, too: they are, but not from what they are linked with.
        shown = re.findall(r'(?:GLOBAL|WEAK)\s+\w+\s+(?!UND)\S+\s+(\w+)$', output('readelf', '-sW', installed.archive),
                           re.MULTILINE)
        assert len(shown) > 60
        assert all(name.startswith('retour_') for name in shown), shown


if __name__ == '__main__':
    main()
