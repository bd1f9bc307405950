"""Recordings (docs/recordings.md) changed for a test: what hardware left, as if the program had been another."""

import struct
import subprocess

MAGIC = b"sxrec 1\n"


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _fields(data):
    """(number, value) of a protobuf message; messages and strings as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(key & 7)
            if size is None:
                size, at = _varint(data, at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


class Recording:
    """The files of a recording, by name. Contents may be replaced by others of the same size."""

    def __init__(self, path):
        packed = path.read_bytes()
        assert packed.startswith(MAGIC)
        frame = subprocess.run(["zstd", "-dcq"], input=packed[len(MAGIC):], stdout=subprocess.PIPE, check=True).stdout
        at = 4 + struct.unpack_from("<I", frame)[0]
        self._head, self.files = frame[:at], {}
        for number, value in _fields(self._head[4:]):
            if number != 6:
                continue
            about = dict(_fields(value))
            name, size = about[1].decode(), about.get(2, 0)
            self.files[name], at = bytearray(frame[at:at + size]), at + size

    def save(self, path):
        frame = self._head + b"".join(self.files.values())
        packed = subprocess.run(["zstd", "-3", "-cq", "--check"], input=frame, stdout=subprocess.PIPE, check=True).stdout
        path.write_bytes(MAGIC + packed)


def section(elf, wanted):
    """(offset, size) of a section of a 64-bit ELF file."""
    headers, = struct.unpack_from("<Q", elf, 40)
    entry, count, names = struct.unpack_from("<HHH", elf, 58)

    def header(index):
        return struct.unpack_from("<IIQQQQ", elf, headers + entry * index)

    text = header(names)[4]
    for index in range(count):
        name, _, _, _, offset, size = header(index)
        if elf[text + name:elf.index(0, text + name)].decode() == wanted:
            return offset, size
    raise KeyError(wanted)


def slow_down_proton(raw, times):
    """Every clock in a raw buffer of Proton `times` as far from the warp's first, and every CTA as much longer: the same
    code, slower at the same clock."""
    offset, = struct.unpack_from("<I", raw, 12)
    blocks, units, stride, recording = struct.unpack_from("<4I", raw, 24)
    for block in range(offset, offset + blocks * stride, stride):
        if struct.unpack_from("<I", raw, block)[0] != 0xDEADBEEF:
            continue
        start, *ends = struct.unpack_from("<3Q", raw, block + 16)
        struct.pack_into("<2Q", raw, block + 24, *(start + (end - start) * times for end in ends))
        part = struct.unpack_from("<I", raw, block + 12)[0] // recording
        counts = struct.unpack_from(f"<{units}I", raw, block + 40)
        for unit in range(recording):
            begin = block + 40 + 4 * units + unit * part
            words = min(counts[unit], part // 4) // 2 * 2
            entries = struct.unpack_from(f"<{words}I", raw, begin)
            clocks = [(high & 0x7FF) << 32 | low for high, low in zip(entries[::2], entries[1::2])]
            if not clocks:
                continue
            first, slower = min(clocks), []
            for tag, clock in zip(entries[::2], clocks):
                clock = first + (clock - first) * times
                slower += [tag & ~0x7FF | clock >> 32 & 0x7FF, clock & 0xFFFFFFFF]
            struct.pack_into(f"<{words}I", raw, begin, *slower)


def _check(kind, payload):
    """CheckBegin, CheckMore and CheckEnd of workers/inject/format.h."""
    mask, prime, value = (1 << 64) - 1, 0x100000001B3, 0xCBF29CE484222325 ^ kind
    whole = len(payload) // 8 * 8
    for word, in struct.iter_unpack("<Q", payload[:whole]):
        value = (value ^ word) * prime & mask
        value ^= value >> 29
    for byte in payload[whole:]:
        value = (value ^ byte) * prime & mask
    return (value ^ value >> 32) & 0xFFFFFFFF


def replace_in_frames(file, was, now):
    """Replaces bytes in the payloads of an injection library's file (workers/inject/format.h), and renews their checks."""
    assert len(was) == len(now)
    at = 4096
    while at + 16 <= len(file):
        length, kind = struct.unpack_from("<2I", file, at)
        payload = bytes(file[at + 16:at + 16 + length])
        if was in payload:
            payload = payload.replace(was, now)
            file[at + 16:at + 16 + length] = payload
            struct.pack_into("<I", file, at + 8, _check(kind, payload))
        at += 16 + (length + 7) // 8 * 8
