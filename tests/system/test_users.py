# SPDX-License-Identifier: MIT
"""What every user can do, everywhere: doctor says it, and record does just that.

In each environment every backend that doctor calls usable has to record, every
other one has to be refused with the reason and remedy that doctor names, and
auto has to take the first usable one.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time

import retour
import tap
from chains import MAIN, WORK, Truth
from retour import Sysctl

NOBODY = 65534
AUTO_ORDER = ('bpf', 'stack', 'agent')
AGENT = ('libretour-agent.so', 'libretour.so.0')
# What the features of backend bpf may fail for.
CAUSES = ('user-namespace', 'btf', 'task-work', 'cap-bpf', 'cap-perfmon')
EVENTS = ('cpu-clock', 'task-clock', 'cycles', 'page-faults', 'context-switches')
# Without capabilities, as they go with the user; setpriv is not the same program everywhere.
BECOME_NOBODY = f"""import os, sys
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
os.execvp(sys.argv[1], sys.argv[1:])"""
AS_NOBODY = (sys.executable, '-c', BECOME_NOBODY)
SECONDS = 0.4
# A guest on a busy machine may be so slow that it would do nothing else than take samples.
FREQUENCY = 199 if os.environ.get('KERNEL') else 1999
LEAST = 2       # samples of the work: who may record is the question here …
LONGER = (SECONDS, 4, 30)       # … and a busy machine may run the program for hardly any of the time
WORKING = {'burn', 'plain_inner'}


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise tap.Skip(f'{tool} is not installed')


def shared_copy(path, name=None):
    """A copy that every user may run, as the build may lie where they cannot look."""
    copy = os.path.join(retour.workspace, name or os.path.basename(path))
    if not os.path.exists(copy):
        shutil.copy(path, copy)
        os.chmod(copy, 0o755)
    return copy


class Environment:
    """A user in some surroundings: the command line that leads there."""

    def __init__(self, *prefix, binary=None, user=0):
        self.prefix = prefix
        self.binary = binary or shared_copy(retour.RETOUR, 'retour')
        for name in AGENT:      # is looked for beside it
            shared_copy(os.path.join(os.path.dirname(retour.RETOUR), 'src', 'runtime', name))
        self.program = shared_copy(retour.program('plain'))
        self.folder = retour.fresh_path('')
        os.mkdir(self.folder)
        os.chown(self.folder, user, user)
        self.user = user
        doctor = self.run('doctor', '--json')
        assert doctor.returncode == 0, f'doctor exited {doctor.returncode}: {doctor.stderr}'
        self.doctor = json.loads(doctor.stdout)
        self.backends = {b['name']: b for b in self.doctor['backends']}
        self.features = {f['name']: f for f in self.doctor['features']}

    def run(self, *args):
        return retour.run_other(*self.prefix, self.binary, *args)

    def expect_bpf(self):
        """The bpf backend, if it is not for the kernel that it cannot be."""
        assert 'bpf' in self.usable() or not self.features['task-work']['available'], self.backends['bpf']

    def usable(self):
        return {name for name, backend in self.backends.items() if backend['usable']}

    def record(self, *options, command=None, seconds=SECONDS):
        """(the finished process, the path it was to write)."""
        path = os.path.join(self.folder, f'{len(os.listdir(self.folder))}-{os.urandom(4).hex()}.data')
        command = command or [self.program, '--seconds', seconds]
        return self.run('record', '-F', FREQUENCY, '-o', path, *options, '--', *command), path

    def record_work(self, *options):
        """(the recording, the finished process), for as long as it takes the program to come to work."""
        for seconds in LONGER:
            done, path = self.record(*options, seconds=seconds)
            recording = self.recording(done, path)
            if at_work(recording) >= LEAST:
                break
        return recording, done

    def recording(self, done, path):
        assert done.returncode == 0, f'exited {done.returncode}: {done.stderr}'
        owner = os.stat(path)
        assert owner.st_uid == self.user, f'{path} belongs to user {owner.st_uid}'
        return retour.Recording(path, done.stdout, done.stderr)

    def refused(self, done, path, why, remedy):
        assert done.returncode == 1, f'exited {done.returncode}: {done.stderr}'
        assert why in done.stderr, f'{why!r} is not in {done.stderr!r}'
        assert remedy and remedy in done.stderr, f'{remedy!r} is not in {done.stderr!r}'
        assert not os.path.exists(path), 'a file was left behind'

    def check(self):
        """doctor and record agree on every backend, on auto and on the whole machine."""
        for name in self.backends:
            self.check_backend(name)
        self.check_auto()
        self.check_machine()

    def check_backend(self, name):
        backend = self.backends[name]
        if not backend['usable']:
            assert backend['why'], f'no reason for {name}'
            self.refused(*self.record('--backend', name), backend['why'], backend['remedy'])
            return
        assert backend['why'] is None and backend['remedy'] is None, backend
        self.check_recording(name, self.record_work('--backend', name)[0])

    def check_recording(self, name, recording):
        assert recording.stats['backend'] == name, recording.stats['backend']
        if name == 'native':    # follows frame pointers, which the program does not have
            assert at_work(recording) >= LEAST, f'{at_work(recording)} of {len(recording.samples)} samples'
            return
        # A copy of the stack is taken where nothing can be paged in: at a program's start there may be little.
        # The agent begins inside the loader, and has no rules for what has no table.
        reasons = {'stack': ['page not readable'], 'agent': ['no unwind info']}.get(name, [])
        begins = r'|(?:libretour |libc |ld |vdso )+' if name == 'agent' else ''
        truth = Truth(self.program, f'{WORK}plain_inner plain_middle plain_outer {MAIN}',
                      edges=rf'(?:plain_\w+ )*{MAIN}{begins}', edge_reasons=reasons, least=LEAST)
        try:
            truth.check(recording)
        except AssertionError as error:
            raise AssertionError(f'backend {name}: {error}') from error

    def check_auto(self):
        usable = self.usable()
        first = next((name for name in AUTO_ORDER if name in usable), None)
        if first is None:
            best = self.backends[AUTO_ORDER[0]]
            done, path = self.record()
            self.refused(done, path, best['why'], best['remedy'])
            for name in AUTO_ORDER:
                assert f'backend {name} is not usable, {self.backends[name]["why"]}' in done.stderr, done.stderr
            return
        recording, done = self.record_work()
        self.check_recording(first, recording)
        notes = [line for line in done.stderr.splitlines() if line.startswith('note: this is backend')]
        if first == AUTO_ORDER[0]:
            assert not notes, notes
            return
        assert len(notes) == 1, done.stderr
        for part in (f'backend {first}', self.backends[AUTO_ORDER[0]]['remedy']):
            assert part in notes[0], f'{part!r} is not in {notes[0]!r}'

    def check_machine(self):
        """-a is recorded as the feature says, or refused with its remedy."""
        usable = [name for name in AUTO_ORDER if name in self.usable()]
        if self.features['perf-events']['available'] and set(usable) - {'agent'}:
            self.check_machine_recording()
            return
        done, path = self.record('-a')
        self.refused(done, path, '', self.backends[AUTO_ORDER[0]]['remedy'])
        for name in AUTO_ORDER:
            assert f'backend {name} is not usable, ' in done.stderr, done.stderr
        for name in usable[:1]:
            assert f'own processes can be recorded by backend {name}' in done.stderr, done.stderr

    def check_machine_recording(self):
        """The program is in it, although others may be using the CPUs."""
        recording, _ = self.record_work('-a')
        assert at_work(recording) >= LEAST, f'{at_work(recording)} samples: {recording.stats}'

    def check_events(self):
        """Every event is sampled, or refused with the remedy of doctor."""
        sleeper = ['sh', '-c', 'i=0; while [ $i -lt 100 ]; do sleep 0.001; i=$((i + 1)); done']
        for event in EVENTS:
            feature = self.features[event]
            done, path = self.record('-e', event, command=sleeper)
            if feature['available']:
                assert self.recording(done, path).samples, f'no sample of {event}'
            else:
                self.refused(done, path, feature['value'], feature['remedy'])


def at_work(recording):
    """How many samples there are of the program at its work."""
    return sum(bool(WORKING & {frame['sym'] for frame in s['user']}) for s in recording.of('plain'))


def expect(environment, feature, available, value=''):
    found = environment.features[feature]
    assert found['available'] == available, found
    assert value in (found['value'] or ''), found


@tap.test('root')
def root():
    environment = Environment()
    environment.expect_bpf()
    expect(environment, 'cap-bpf', True)
    environment.check()
    environment.check_events()


@tap.test('a plain user')
def plain_user():
    environment = Environment(*AS_NOBODY, user=NOBODY)
    assert 'bpf' not in environment.usable()
    expect(environment, 'cap-perfmon', False)
    assert 'setcap' in environment.features['cap-perfmon']['remedy']
    for value, said in {'-1': 'the whole machine', '1': 'own processes only', '2': 'user space only',
                        '3': 'or else as 2'}.items():
        with Sysctl('kernel.perf_event_paranoid', value):
            found = Environment(*AS_NOBODY, user=NOBODY).features['perf-event-paranoid']
            assert found['available'] == (value == '-1') and said in found['value'], found
            assert found['available'] or found['remedy'] == 'sudo sysctl kernel.perf_event_paranoid=0', found
    environment.check()
    if environment.usable() & set(AUTO_ORDER) - {'agent'}:
        environment.check_events()


@tap.test('a plain user after the setcap that doctor names')
def file_capabilities():
    need('setcap')
    binary = shutil.copy(retour.RETOUR, os.path.join(retour.workspace, "a user's $HOME; retour"))
    os.chmod(binary, 0o755)
    before = Environment(*AS_NOBODY, binary=binary, user=NOBODY)
    done = retour.run_other('sh', '-c', command_of(before.features['cap-bpf']['remedy'], 'setcap'))
    if done.returncode:
        raise tap.Skip(f'the file system has no capabilities: {done.stderr.strip()}')
    environment = Environment(*AS_NOBODY, binary=binary, user=NOBODY)
    if not environment.features['cap-bpf']['available']:
        raise tap.Skip('file capabilities have no effect here')
    missing = [name for name, f in environment.features.items() if name.startswith('cap-') and not f['available']]
    assert not missing, missing
    environment.check()
    if 'sysctl' not in (environment.backends['bpf']['remedy'] or ''):
        environment.expect_bpf()
        return
    with Sysctl(*sysctl_of(environment.backends['bpf']['remedy'])):     # some distributions want that, too
        environment = Environment(*AS_NOBODY, binary=binary, user=NOBODY)
        environment.expect_bpf()
        environment.check()


@tap.test('what fails because something else is missing has the remedy of that')
def remedy_of_the_cause():
    need('unshare')
    without_btf = 'mount --bind /dev/null /sys/kernel/btf/vmlinux && exec "$@"'
    in_namespace = (*AS_NOBODY, 'unshare', '--user', '--map-root-user')
    for prefix, user, names in ((AS_NOBODY, NOBODY, ['bpf-program', 'bpf-walker']),
                                (in_namespace, NOBODY, ['bpf-program', 'bpf-walker', 'kernel-symbols']),
                                (('unshare', '--mount', 'sh', '-c', without_btf, 'sh'), 0, ['task-work', 'bpf-walker'])):
        if retour.run_other(*prefix, 'true').returncode:
            print(f'# not possible here: {prefix[-1]}')
            continue
        features = Environment(*prefix, user=user).features
        causes = {f['remedy'] for name, f in features.items() if name in CAUSES and not f['available']}
        for feature in (features[name] for name in names):
            assert feature['available'] or feature['remedy'] in causes, f'{feature} is not of {causes}'


@tap.test('a plain user is not told to setcap where that has no effect')
def no_file_capabilities():
    need('unshare', 'setpriv')
    folder = retour.fresh_path('')
    os.mkdir(folder)
    prefix = ('unshare', '--mount', 'sh', '-c',
              f'mount -t tmpfs -o nosuid,mode=755 none {folder} && cp {shared_copy(retour.RETOUR)} {folder}/ && exec "$@"', 'sh')
    done = retour.run_other(*prefix, *AS_NOBODY, os.path.join(folder, 'retour'), 'doctor', '--json')
    features = {f['name']: f for f in json.loads(done.stdout)['features']}
    assert not features['cap-bpf']['available'] and features['cap-bpf']['remedy'] == 'run with sudo', features['cap-bpf']


@tap.test('names of kernel functions are hidden: the remedy brings them back, or there is none')
def kernel_names():
    need('unshare')
    for prefix, options in ((), {}), (AS_NOBODY, {'user': NOBODY}):
        with Sysctl('kernel.kptr_restrict', 2), Sysctl('kernel.perf_event_paranoid', 2):
            before = Environment(*prefix, **options)
            expect(before, 'kernel-symbols', False, 'kptr_restrict = 2')
            settings = command_of(before.features['kernel-symbols']['remedy'], 'sysctl').split()[1:]
            with contextlib.ExitStack() as changed:
                for setting in settings:
                    changed.enter_context(Sysctl(*setting.split('=')))
                expect(Environment(*prefix, **options), 'kernel-symbols', True)
    masked = Environment('unshare', '--mount', 'sh', '-c', 'mount --bind /dev/null /proc/kallsyms && exec "$@"', 'sh')
    expect(masked, 'kernel-symbols', False, 'has none')
    assert 'cap' not in masked.features['kernel-symbols']['remedy'], masked.features['kernel-symbols']


@tap.test('/proc of processes only')
def part_of_proc():
    need('unshare')
    script = 'mount -t proc -o subset=pid proc /proc && exec "$@"'
    for prefix, available in ((), True), (AS_NOBODY, False):
        environment = Environment('unshare', '--mount', 'sh', '-c', script, 'sh', *prefix, user=NOBODY if prefix else 0)
        expect(environment, 'perf-event-paranoid', available, 'cannot be read')


@tap.test('a process of another user')
def process_of_another():
    environment = Environment(*AS_NOBODY, user=NOBODY)
    path = os.path.join(environment.folder, 'other.data')
    remedy = environment.features['cap-perfmon']['remedy']
    with retour.Running('plain', '--seconds', 100000) as other:
        for value in (2, 0):
            with Sysctl('kernel.perf_event_paranoid', value):
                done = environment.run('record', '-p', other.pid, '--duration', 0.5, '-o', path)
            environment.refused(done, path, '', remedy)
            assert 'sysctl' not in done.stderr, f'that does not help: {done.stderr}'


@tap.test('a process of the same user')
def own_process():
    own = subprocess.Popen([*AS_NOBODY, shared_copy(retour.program('plain')), '--seconds', '100000'],
                           stdout=subprocess.PIPE, text=True)
    try:
        assert own.stdout.readline(), 'the program has not started'
        with Sysctl('kernel.perf_event_paranoid', 2):
            environment = Environment(*AS_NOBODY, user=NOBODY)
            path = os.path.join(environment.folder, 'own.data')
            for seconds in LONGER:
                done = environment.run('record', '-F', FREQUENCY, '-p', own.pid, '--duration', seconds, '-o', path)
                recording = environment.recording(done, path)
                if at_work(recording) >= LEAST:
                    break
    finally:
        own.kill()
        own.communicate()
    environment.check_recording(AUTO_ORDER[1], recording)
    assert {s['pid'] for s in recording.samples} == {own.pid}


@tap.test('a plain user after the sysctl that doctor names')
def sysctl_remedy():
    prefix = AS_NOBODY
    before = Environment(*prefix, user=NOBODY)
    if before.features['perf-events']['available']:
        raise tap.Skip('every user may record the machine here')
    with Sysctl(*sysctl_of(before.features['perf-events']['remedy'])):
        environment = Environment(*prefix, user=NOBODY)
        expect(environment, 'perf-events', True)
        expect(environment, 'context-switches', True)
        environment.check()


def command_of(remedy, program):
    """The command in a remedy that runs the program, as root would type it."""
    return re.search(rf'sudo ({program} .*?)(?:, or: |$)', remedy)[1].replace('sudo ', '')


def sysctl_of(remedy):
    """(name, value) of the sysctl command in a remedy."""
    return command_of(remedy, 'sysctl').split()[1].split('=')


@tap.test('a plain user without locked memory')
def no_locked_memory():
    need('prlimit')
    prefix = ('prlimit', '--memlock=0', *AS_NOBODY)
    with Sysctl('kernel.perf_event_paranoid', 2), Sysctl('kernel.perf_event_mlock_kb', 0):
        environment = Environment(*prefix, user=NOBODY)
        expect(environment, 'memlock', False, '0 kB: too little')
        expect(environment, 'perf-event-mlock-kb', False, '0 kB a CPU: too little')
        expect(environment, 'perf-events-own', False, 'locked memory')
        environment.check()
        with Sysctl(*sysctl_of(environment.features['perf-events-own']['remedy'])):
            expect(Environment(*prefix, user=NOBODY), 'perf-events-own', True)


@tap.test('a plain user after the prlimit that doctor names')
def prlimit_remedy():
    need('prlimit')
    with Sysctl('kernel.perf_event_mlock_kb', 0):
        environment = Environment('prlimit', '--memlock=0', *AS_NOBODY, user=NOBODY)
        script = command_of(environment.features['memlock']['remedy'], 'prlimit')
        if retour.run_other('sh', '-c', script).returncode:
            raise tap.Skip('root may not raise limits here')
        environment = Environment('sh', '-c', script + ' && exec "$@"', 'sh', *AS_NOBODY, user=NOBODY)
        expect(environment, 'memlock', True, 'unlimited')


def under_limit(environment, limit, backend, frequency=499):
    """What a recording under a limit prints, which may be refused but not killed."""
    path = os.path.join(environment.folder, 'limited.data')
    done = retour.run_other(*environment.prefix, 'prlimit', limit, environment.binary, 'record', '--backend', backend, '-F',
                            frequency, '-o', path, '--', environment.program, '--seconds', 0.05)
    assert done.returncode in (0, 1), f'{limit} {backend}: ended by {done.returncode}: {done.stderr}'
    return done


def check_limit(environment, option, value, backends, always=True):
    """Where the limit is in the way, it is named by the command that raises it."""
    for backend in backends:
        done = under_limit(environment, f'--{option}={value}:{value}', backend)
        refused = done.returncode == 1 or 'not recorded' in done.stderr or 'warning: process' in done.stderr
        assert refused or not always, f'--{option}={value} {backend}: {done.stderr}'
        assert not refused or f'remedy: sudo prlimit --pid $$ --{option}=' in done.stderr, \
            f'--{option}={value} {backend}: {done.stderr}'


@tap.test('each limit that is in the way is named, with what raises it')
def limits():
    need('prlimit')
    environment = Environment()
    every = ['auto', *sorted(environment.usable() - {'native'})]
    for files in 4, 5, 6, 8, 12, 20, 28:
        check_limit(environment, 'nofile', files, every, always=files < 8)
    for backend in every:
        done = under_limit(environment, '--nofile=4096:4096', backend)
        assert done.returncode == 0, f'{backend}: {done.stderr}'
    check_limit(environment, 'stack', 65536, every)
    check_limit(environment, 'fsize', 1000, every)
    check_limit(environment, 'data', 1000000, every)
    check_limit(environment, 'sigpending', 0, ['agent'])
    limited = Environment('prlimit', '--nofile=20:20')
    expect(limited, 'open-files', False, '20: too few')
    assert '--nofile=' in limited.features['open-files']['remedy'], limited.features['open-files']
    expect(environment, 'open-files', True)


@tap.test('a cgroup whose limit on memory would kill who tries backend bpf')
def limited_memory():
    with retour.memory_cgroup(60 << 20) as prefix:
        environment = Environment(*prefix)
        expect(environment, 'memory', False, '60 MB: backend bpf takes more')
        environment.check_backend('bpf')
        environment.check_auto()
    expect(Environment(), 'memory', True)


@tap.test('a plain user who may start no process')
def no_processes():
    need('prlimit')
    # The limit counts all processes of a user, so this one is nobody else's.
    check_limit(Environment(*AS_NOBODY, user=NOBODY), 'nproc', 1, ['stack', 'agent'])


@tap.test('more samples than the kernel allows')
def rate():
    with open('/proc/sys/kernel/perf_cpu_time_max_percent', encoding='ascii') as file:
        if int(file.read()) in (0, 100):
            raise tap.Skip('the kernel takes no other rate while perf_cpu_time_max_percent is 0 or 100')
    environment = Environment()
    with Sysctl('kernel.perf_event_max_sample_rate', 400):
        for backend in environment.usable() & {'bpf', 'stack'}:
            done = under_limit(environment, '--core=0', backend)
            assert done.returncode == 1 and 'remedy: -F 400, or: sudo sysctl kernel.perf_event_max_sample_rate=499)' in done.stderr, \
                done.stderr
            assert under_limit(environment, '--core=0', backend, frequency=400).returncode == 0
        # What can be recorded does not hang on a rate.
        assert Environment().usable() == environment.usable()


@tap.test('new privileges are ruled out')
def no_new_privileges():
    need('setpriv')
    environment = Environment('setpriv', '--no-new-privs', *AS_NOBODY, user=NOBODY)
    expect(environment, 'new-privileges', False)
    assert 'setcap' not in environment.features['cap-bpf']['remedy'], environment.features['cap-bpf']
    environment.check()


def filtered(call, answer, *prefix, **options):
    """Root, or the user of prefix, with a system call refused."""
    environment = Environment(*prefix, shared_copy(retour.program('refuse')), call, answer, **options)
    expect(environment, f'seccomp-{call.replace("_", "-")}', False, 'seccomp filter')
    return environment


@tap.test('bpf refused by seccomp')
def bpf_refused():
    for answer in (1, 38):
        environment = filtered('bpf', answer)
        expect(environment, 'seccomp-perf-event-open', True, 'lets it pass')
        assert 'bpf' not in environment.usable()
        environment.check()


@tap.test('bpf kills by seccomp')
def bpf_kills():
    filtered('bpf', 'kill').check()


# Numbers of bpf(2); only PREEMPT_RT runs an iterator at the start, others do at the end, and go on without.
BPF_STEPS = {'BPF_MAP_CREATE': 0, 'BPF_PROG_LOAD': 5, 'BPF_RAW_TRACEPOINT_OPEN': 17, 'BPF_LINK_CREATE': 28,
             'BPF_ITER_CREATE': 33}


@tap.test('a single step of bpf refused: the next backend does it, and one line says why')
def step_refused():
    Environment().expect_bpf()
    retour.need('bpf')
    for name, number in BPF_STEPS.items():
        for answer, remedy in ((1, 'seccomp'), (12, 'none known')):
            environment = Environment(shared_copy(retour.program('refuse')), f'bpf:{number}', answer)
            environment.check_auto()
            if name == 'BPF_ITER_CREATE' and 'PREEMPT_RT' not in os.uname().version:
                assert 'bpf' in environment.usable(), environment.backends['bpf']
                continue
            bpf = environment.backends['bpf']
            assert not bpf['usable'] and remedy in bpf['remedy'], f'{name}: {bpf}'


@tap.test('what is no fault of a backend ends the recording, without another one')
def not_the_backend():
    environment = Environment()
    done = environment.run('record', '-o', os.path.join(environment.folder, 'none', 'x'), '--', environment.program)
    *notes, fault = done.stderr.splitlines()
    first = next(name for name in AUTO_ORDER if name in environment.usable())
    assert done.returncode == 1 and 'cannot create' in fault and 'remedy' not in fault, done
    assert len(notes) == (first != AUTO_ORDER[0]) and all(f'this is backend {first};' in n for n in notes), notes


@tap.test('perf_event_open refused by seccomp')
def perf_refused():
    """With EINVAL, too, which the kernel says to whoever asks for what there is not."""
    for answer in (1, 13, 38, 22):
        environment = filtered('perf_event_open', answer)
        assert not environment.usable() - {'agent'}, environment.backends
    environment.check()


@tap.test('perf_event_open kills by seccomp')
def perf_kills():
    environment = filtered('perf_event_open', 'kill')
    assert not environment.usable() - {'agent'}, environment.backends
    environment.check()
    listed = environment.run('list', '--json')
    assert listed.returncode == 0, f'list exited {listed.returncode}'
    assert not any(event['available'] for event in json.loads(listed.stdout)['events'] if event['name'] in EVENTS)


@tap.test('a plain user with bpf refused by seccomp')
def plain_and_filtered():
    filtered('bpf', 1, *AS_NOBODY, user=NOBODY).check()


@tap.test('a user namespace')
def user_namespace():
    need('unshare')
    if retour.run_other(*AS_NOBODY, 'unshare', '--user', '--map-root-user', 'true').returncode:
        raise tap.Skip('users may not have user namespaces here')
    environment = Environment(*AS_NOBODY, 'unshare', '--user', '--map-root-user', user=NOBODY)
    assert environment.doctor['user'] == 'root'
    expect(environment, 'user-namespace', False)
    expect(environment, 'cap-bpf', False)
    assert 'namespace' in environment.backends['bpf']['remedy']
    environment.check()


@tap.test('a time namespace: its clock is not that of the records')
def time_namespace():
    need('unshare')
    for offset in 100000, -int(time.monotonic() / 2):
        prefix = ('unshare', '--time', '--monotonic', str(offset))
        if retour.run_other(*prefix, 'true').returncode:
            raise tap.Skip('there are no time namespaces here')
        environment = Environment(*prefix)
        for name in environment.usable() - {'agent'}:
            begin = time.monotonic()
            recording = environment.recording(*environment.record('--backend', name, seconds=4))
            stats, times = recording.stats, [s['time'] for s in recording.samples]
            # The program has been running for at least a quarter of its seconds.
            seen = stats['samples'] + stats['lost_samples'] + stats['lost_records']
            assert seen > FREQUENCY / 4, f'{offset} {name}: {stats}'
            assert begin < min(times) and max(times) < time.monotonic(), f'{offset} {name}: {min(times)}, {max(times)}'


@tap.test('a container with its own process IDs')
def container():
    need('unshare')
    environment = Environment('unshare', '--pid', '--fork', '--mount-proc', '--cgroup')
    expect(environment, 'container', False, 'process IDs')
    expect(environment, 'pid-namespace', False)
    environment.check()


@tap.test('a container that only its runtime tells of')
def marked_container():
    need('unshare')
    script = 'mount -t tmpfs none /run && touch /run/.containerenv && exec "$@"'
    environment = Environment('unshare', '--mount', 'sh', '-c', script, 'sh')
    expect(environment, 'container', False, '/run/.containerenv')
    expect(environment, 'pid-namespace', True)
    environment.expect_bpf()


def enter_chroot(with_kernel_files):
    """A command that makes a new root of what the programs need, in its own mount namespace, and enters it."""
    new = retour.fresh_path('.root')
    os.mkdir(new)
    names = ['usr', 'tmp', 'dev', os.path.relpath(retour.workspace, '/').split('/')[0]]
    names += ['proc', 'sys'] if with_kernel_files else []
    script = ['set -e', f'mount -t tmpfs none {new}', f'mkdir {new}/root']
    for name in dict.fromkeys(names):
        script += [f'mkdir {new}/root/{name}', f'mount --rbind /{name} {new}/root/{name}']
    for name in ('bin', 'sbin', 'lib', 'lib64', 'etc'):
        if os.path.islink(f'/{name}'):
            script.append(f'cp -P /{name} {new}/root/')
        elif stat.S_ISDIR(os.stat(f'/{name}').st_mode):
            script += [f'mkdir {new}/root/{name}', f'mount --rbind /{name} {new}/root/{name}']
    script.append(f'exec chroot {new}/root "$@"')
    return ('unshare', '--mount', 'sh', '-c', '\n'.join(script), 'sh')


@tap.test('chroot')
def inside_chroot():
    need('unshare', 'chroot')
    environment = Environment(*enter_chroot(True))
    expect(environment, 'chroot', False)
    environment.expect_bpf()
    environment.check()


@tap.test('chroot without /proc and /sys')
def bare_chroot():
    need('unshare', 'chroot')
    environment = Environment(*enter_chroot(False))
    expect(environment, 'proc', False)
    expect(environment, 'sys', False)
    assert not environment.usable() - {'agent'}, environment.backends
    environment.check()
    # The remedies, one after the other.
    script = command_of(environment.backends['bpf']['remedy'], 'mkdir') + ' && exec "$@"'
    environment = Environment(*enter_chroot(False), 'sh', '-c', script, 'sh')
    expect(environment, 'proc', True)
    script = command_of(environment.backends['bpf']['remedy'], 'mkdir') + ' && ' + script
    environment = Environment(*enter_chroot(False), 'sh', '-c', script, 'sh')
    environment.expect_bpf()
    environment.check_auto()


ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))


WORKERS = {'sqlite3', 'xz', 'python3'}


def recorded(folder):
    """The names in what the demo has recorded."""
    return {s['comm'] for s in retour.Recording(os.path.join(folder, 'demo', 'retour.data')).samples}


def until_all_worked(folder, *command):
    """Runs the demo, for longer if a machine is so busy that some worker has not come to work; its process."""
    for seconds in (5, 20, 60):
        done = retour.run_other('env', f'DEMO_SECONDS={seconds}', *command, timeout=1800)
        if done.returncode or WORKERS <= recorded(folder):
            break
    return done


def demo(environment):
    """Runs the demo as the user of the environment; its process."""
    script = shared_copy(os.path.join(ROOT, 'tools', 'demo.sh'))
    shutil.copy(environment.binary, os.path.join(environment.folder, 'retour'))
    for name in AGENT:
        shutil.copy(os.path.join(retour.workspace, name), environment.folder)
    return until_all_worked(environment.folder, *environment.prefix, script, environment.folder)


@tap.test('the demo of root')
def root_demo():
    need('sqlite3', 'xz')
    environment = Environment()
    done = demo(environment)
    assert done.returncode == 0, f'exited {done.returncode}: {done.stderr}'
    check_demo(environment.folder)


@tap.test('the demo of a plain user')
def plain_demo():
    need('sqlite3', 'xz')
    environment = Environment(*AS_NOBODY, user=NOBODY)
    check_plain_demo(environment, demo(environment), environment.folder)


def copy_for(user, path, folder, leave_out):
    """A copy of a tree, with the times of its files, that belongs to the user."""
    shutil.copytree(path, folder, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*leave_out))
    for parent, folders, files in os.walk(folder):
        for name in ['.', *folders, *files]:
            os.chown(os.path.join(parent, name), user, user, follow_symlinks=False)


def built_tree(folder):
    """(tree, build directory, what to tell make) in a guest, which has what was built, and not what of."""
    build = os.path.join(folder, 'build')
    copy_for(NOBODY, os.path.join(ROOT, 'tools'), os.path.join(folder, 'tools'), [])
    copy_for(NOBODY, os.path.dirname(retour.RETOUR), build, ['tests'])
    shutil.copy(os.path.join(ROOT, 'Makefile'), folder)
    open(os.path.join(build, 'build.ninja'), 'wb').close()
    return folder, build, ['NINJA=true']


def whole_tree(folder):
    """The same with all there is: it keeps its places, so that nothing has to be built anew."""
    need('ninja')
    build = os.path.dirname(os.path.abspath(retour.RETOUR))
    if not os.path.exists(os.path.join(build, 'build.ninja')):
        raise tap.Skip('there is no build directory beside retour')
    common = os.path.commonpath([ROOT, build])
    root, copy = (os.path.join(folder, os.path.relpath(path, common)) for path in (ROOT, build))
    copy_for(NOBODY, ROOT, root, ['.git', '__pycache__', os.path.basename(build)])
    copy_for(NOBODY, build, copy, ['asan', 'bench', 'tests', 'demo', 'meson-logs'])
    with open(os.path.join(copy, 'build.ninja'), 'r+', encoding='utf-8') as file:
        rules = file.read()
        for python in set(re.findall(r'/[^ \n]+/python3(?= )', rules)):
            if retour.run_other(*AS_NOBODY, 'test', '-x', python).returncode:     # it lies in root's home
                rules = rules.replace(python, '/usr/bin/python3')
        file.seek(0)
        file.truncate()
        file.write(rules)
    return root, copy, []


@tap.test('make demo of a plain user, in a tree of his own')
def make_demo():
    need('sqlite3', 'xz', 'make', 'dpkg-query')
    environment = Environment(*AS_NOBODY, user=NOBODY)
    root, build, told = (built_tree if os.environ.get('KERNEL') else whole_tree)(environment.folder)
    done = until_all_worked(build, *environment.prefix, 'make', '--no-print-directory', '-C', root, 'demo',
                            f'BUILD={build}', *told)
    check_plain_demo(environment, done, build)


def check_plain_demo(environment, done, folder):
    # The copy it runs is another file to grant capabilities to.
    remedy = environment.backends['bpf']['remedy'].split('+ep')[0]
    assert remedy in done.stderr, f'{remedy!r} is not in {done.stderr!r}'
    if environment.usable() & set(AUTO_ORDER):
        assert done.returncode == 0, f'exited {done.returncode}: {done.stderr}'
        check_demo(folder)
    else:
        assert done.returncode != 0, 'nothing is usable, and yet it succeeded'


def check_demo(folder):
    seen = recorded(folder)
    assert WORKERS <= seen, seen
    assert os.path.getsize(os.path.join(folder, 'demo', 'profile.html')) > 10000


tap.main(None if os.geteuid() == 0 else 'other users need root')
