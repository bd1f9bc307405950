#!/usr/bin/env python3
"""Who may include whom: the rooms, and which foreign headers each may see.

Reads every #include of the tree. A rule is one row; a room without a row may include nothing of
ours but itself and the contracts."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

CONTRACTS = {"proto/certificate", "proto/chunk", "proto/occupancy", "proto/opcode", "proto/status", "proto/table", "sextant/v1", "client/include", "sextant"}

# Room → rooms it may include, beside itself and the contracts.
ROOMS = {
    "proto": set(),
    "server/job": set(),
    "server/store": {"server/job"},
    "server/trace": {"server/store", "server/job"},
    "server/dispatch": {"server/store", "server/job"},
    "server/access": {"server/store", "server/job"},
    "server/analysis": {"server/store", "server/trace", "server/job"},
    "server/http": set(),
    "server/tls": set(),
    "server/rpc": {"server/store", "server/trace", "server/job", "server/dispatch",
                   "server/analysis", "server/access", "server/tls"},
    "server/gateway": {"server/http", "server/rpc", "client/mcp"},
    "server/main.cc": {"server/access", "server/http", "server/gateway", "client/mcp", "server/store", "server/trace", "server/job", "server/dispatch",
                       "server/analysis", "server/rpc", "server/tls"},
    "workers/sandbox": set(),
    "workers/backends": {"workers/inject"},  # its file format, and what both compute of a cubin
    "workers/inject": set(),
    "workers/gpu": set(),
    "workers/agent": {"workers/sandbox", "workers/backends", "workers/gpu", "client/endpoint"},
    "workers/main.cc": {"workers/sandbox", "workers/backends", "workers/gpu", "workers/agent", "client/endpoint"},
    "client/endpoint": set(),
    "client/pass": set(),
    "client/mcp": {"client/pass"},
    "client/cli": {"client/endpoint", "client/pass", "client/mcp"},
    "client/include": set(),
    "examples": set(),
}

# Foreign headers that live in one place: pattern → where it may be included.
FOREIGN = [
    (r"pqxx/|libpq-fe\.h", ["server/store"]),
    (r"grpcpp/|grpc/|.*\.grpc\.pb\.h", ["server/rpc", "server/gateway", "server/main.cc", "workers/agent",
                                        "workers/main.cc", "client/endpoint", "client/cli", "client/mcp"]),
    (r"cupti", ["workers/inject", "workers/backends"]),
    (r"seccomp\.h", ["workers/sandbox"]),
    (r"boost/", ["server/http"]),
    (r"prometheus/", ["server/rpc"]),
    (r"catch2/", []),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def room_of(path: str) -> str:
    """The longest room that `path` (relative to the root) lies in; the files beside main.cc are its."""
    for side in ("server", "workers"):
        if path.startswith(side + "/") and path.count("/") == 1:
            return side + "/main.cc"
    fits = [room for room in ROOMS if path == room or path.startswith(room + "/")]
    return max(fits, key=len) if fits else ""


def is_test(path: pathlib.Path) -> bool:
    return path.name.endswith("_test.cc") or path.name.startswith("test_") or \
        path.name == "synthetic.h" or "tests" in path.parts or "testing" in path.stem or \
        "testing" in path.parts


def check(path: pathlib.Path, errors: list) -> int:
    relative = path.relative_to(ROOT).as_posix()
    room = room_of(relative)
    if not room:
        errors.append(f"{relative}: lies in no room of tests/check_layers.py")
        return 0
    count = 0
    for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
        count += 1
        quoted, header = match.group(1) == '"', match.group(2)
        line = path.read_text(encoding="utf-8")[: match.start()].count("\n") + 1
        if not is_test(path):
            for pattern, places in FOREIGN:
                if re.match(pattern, header) and room not in places:
                    errors.append(f"{relative}:{line}: <{header}> may only be included in "
                                  f"{', '.join(places) or 'tests/catch.h'}")
        if not quoted:
            continue
        target = room_of(header)
        if target and target != room and target not in ROOMS[room] and \
                not any(header.startswith(c + "/") for c in CONTRACTS) and not is_test(path):
            errors.append(f"{relative}:{line}: {room} may not include {header}")
        if is_test(path):
            continue
        if header.startswith("tests/"):
            errors.append(f"{relative}:{line}: only tests include {header}")
        if not target and not any(header.startswith(c + "/") for c in CONTRACTS):
            first = header.split("/")[0]
            if first not in ("absl", "google", "openssl", "spdlog", "migrations", "tests"):
                errors.append(f"{relative}:{line}: \"{header}\" is not a path from the root")
    return count


def main() -> int:
    errors, includes, files = [], 0, 0
    for top in ("proto", "server", "workers", "client", "examples"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".h", ".cc", ".cuh", ".cu", ".c") and path.is_file():
                files += 1
                includes += check(path, errors)
    for error in errors:
        print(error)
    print(f"{files} files, {includes} includes, {len(errors)} errors")
    if files < 50 or includes < 200:
        print("too few files were read: the check looked in the wrong place")
        return 1
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
