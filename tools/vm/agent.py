# SPDX-License-Identifier: MIT
"""Runs inside a guest: reads requests from the channel, one JSON object a line, and answers in frames.

A frame is one letter, the length in four bytes, little endian, and the data: "o" and
"e" for what a command wrote to standard output and error, "f" for a piece of a file, "x"
with the exit status at the end.
"""

import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import time


def frame(channel, kind, data):
    """Sends one frame."""
    view = memoryview(struct.pack('<cI', kind, len(data)) + data)
    while view:
        view = view[os.write(channel, view):]


def forward(channel, process, deadline):
    """Sends what the process writes until it closes its pipes or the time is over; then it is killed."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, b'o')
        selector.register(process.stderr, selectors.EVENT_READ, b'e')
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                os.killpg(process.pid, signal.SIGKILL)
                return 'none: still running after the time limit'
            for key, _ in selector.select(left):
                data = os.read(key.fd, 65536)
                if data:
                    frame(channel, key.data, data)
                else:
                    selector.unregister(key.fileobj)
    return None


def run(channel, request):
    """Runs a command; returns its exit status as the shell says it."""
    environment = {**os.environ, **request['env']}
    deadline = time.monotonic() + request['timeout']
    try:
        process = subprocess.Popen(request['argv'], cwd=request['cwd'], env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        frame(channel, b'e', f'{request["argv"][0]}: {error.strerror}\n'.encode())
        return 127
    killed = forward(channel, process, deadline)
    status = process.wait()
    return killed or (128 - status if status < 0 else status)


def send(channel, request):
    """Sends a file."""
    try:
        with open(request['get'], 'rb') as f:
            while data := f.read(1 << 20):
                frame(channel, b'f', data)
    except OSError as error:
        return f'{request["get"]}: {error.strerror}'
    return 0


def main():
    """Answers requests until the channel is closed."""
    channel = os.open(sys.argv[1], os.O_RDWR)
    frame(channel, b'x', b'"ready"')
    with open(channel, 'rb', closefd=False) as requests:
        for line in requests:
            request = json.loads(line)
            status = send(channel, request) if 'get' in request else run(channel, request)
            frame(channel, b'x', json.dumps(status).encode())


main()
