"""Proton's own reader of raw buffers, timed on a file: proton_reader.py FILE shift|plain

Calls readCircularLayoutTrace of Triton's libproton.so, the C++ function that Proton itself reads a
buffer of a kernel with (`shift`: with its correction for the cost of recording). It is not exported;
its address is taken from the library's symbol table. Needs no GPU. Prints {"seconds": …}."""

import ctypes
import json
import mmap
import struct
import sys
import time

SYMBOL = b"_ZN6proton23readCircularLayoutTraceERNS_8ByteSpanEb"


def symbol_offset(path):
    """Where SYMBOL lies in the file's memory image (ELF64, little-endian)."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    table, = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
    for section in sections:
        if section[1] not in (2, 11):  # symbols, dynamic symbols
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", data, at)
            if data[names + name:names + name + len(SYMBOL) + 1] == SYMBOL + b"\0":
                return value
    raise SystemExit(f"{path} has no {SYMBOL.decode()}")


class ByteSpan(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t)]


class SharedPointer(ctypes.Structure):
    _fields_ = [("object", ctypes.c_void_p), ("control", ctypes.c_void_p)]


def main():
    import triton._C.libproton as library
    offset = symbol_offset(library.__file__)
    with open("/proc/self/maps", encoding="ascii") as maps:
        base = next(int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith("libproton.so"))
    # A shared_ptr is returned through a hidden first argument.
    read = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(SharedPointer), ctypes.POINTER(ByteSpan),
                            ctypes.c_bool)(base + offset)
    with open(sys.argv[1], "rb") as file:
        content = file.read()
    span = ByteSpan(ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p), len(content), 0)
    result = SharedPointer()
    began = time.monotonic()
    read(ctypes.byref(result), ctypes.byref(span), sys.argv[2] == "shift")
    seconds = time.monotonic() - began
    assert result.object, "nothing was read"
    # The result begins with a vector of blocks.
    begin, end = struct.unpack("<QQ", ctypes.string_at(result.object, 16))
    print(json.dumps({"seconds": seconds, "block_bytes": end - begin}))


main()
