# SPDX-License-Identifier: MIT
"""Symbols and machine code of a test program, to check return addresses against."""

import bisect
import os
import struct

_INDIRECT_LENGTHS = (2, 3, 4, 6, 7)


class Elf:
    """A 64-bit little-endian ELF file."""

    def __init__(self, path):
        with open(path, 'rb') as file:
            self.data = file.read()
        self.name = os.path.basename(path)
        self.loads = self._loads()
        self.symbols = self._symbols()
        self.starts = [start for start, _, _ in self.symbols]
        self.by_name = {name: start for start, _, name in self.symbols}

    def _loads(self):
        offset, size, count = struct.unpack_from('<Q14xHH', self.data, 32)
        headers = (struct.unpack_from('<IIQQQQ', self.data, offset + i * size) for i in range(count))
        return [(virtual, length, at) for kind, _, at, virtual, _, length in headers if kind == 1]

    def _symbols(self):
        offset, size, count = struct.unpack_from('<Q10xHH', self.data, 40)
        sections = [struct.unpack_from('<IIQQQQII', self.data, offset + i * size) for i in range(count)]
        found = []
        for _, kind, _, _, at, length, link, _ in sections:
            if kind != 2:
                continue
            strings = sections[link][4]
            for entry in range(at, at + length, 24):
                name, info, _, _, value, extent = struct.unpack_from('<IBBHQQ', self.data, entry)
                if info & 15 == 2 and extent:
                    end = self.data.index(b'\0', strings + name)
                    found.append((value, extent, self.data[strings + name:end].decode()))
        return sorted(found)

    def symbol(self, address):
        """The function at a virtual address, or None."""
        i = bisect.bisect_right(self.starts, address) - 1
        if i < 0 or address >= self.symbols[i][0] + self.symbols[i][1]:
            return None
        return self.symbols[i][2]

    def code(self, address, length):
        """Bytes before a virtual address."""
        for virtual, size, at in self.loads:
            if virtual <= address - length and address <= virtual + size:
                return self.data[at + address - length - virtual:at + address - virtual]
        return b''

    def wrong_call(self, sample, own):
        """What is wrong with the return addresses in this file, or None.

        Each must follow a call, and a direct call must be one of the frame inside.
        """
        frames = sample['user']
        for inner, frame in zip(frames, frames[1:]):
            if os.path.basename(frame['dso'] or '') != self.name or frame.get('sym') not in self.by_name:
                continue
            address = self.by_name[frame['sym']] + frame['off']
            before = self.code(address, 7)
            if before[-5:-4] == b'\xe8':
                target = address + struct.unpack('<i', before[-4:])[0]
                called = self.by_name.get(inner.get('sym'), target)     # the PLT, for other files
                if os.path.basename(inner['dso'] or '') in own and target != called:
                    return f'{frame["sym"]} calls {self.symbol(target)}, not {inner.get("sym")}'
            elif not any(_is_indirect_call(before, n) for n in _INDIRECT_LENGTHS):
                return f'{frame["sym"]}+{frame["off"]} does not follow a call'
        return None


def _is_indirect_call(before, length):
    """FF /2, with an optional REX prefix in the longer forms."""
    tail = before[len(before) - length:]
    if len(tail) == length and tail[0] & 0xf0 == 0x40:
        tail = tail[1:]
    return len(tail) >= 2 and tail[0] == 0xff and tail[1] >> 3 & 7 == 2
