"""Which local files a workload needs, and under which paths they travel.

The same rules as `sextant run`: a bundle keeps the layout the user sees, so that `./build/prog data/in.txt`
sends build/prog and data/in.txt; a program outside system directories brings its shared libraries; a
Python environment does not travel. Beyond the command line, a Python script brings the modules beside it
that it imports."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import shlex
import shutil
import stat
import struct
import subprocess
from dataclasses import dataclass
from typing import Iterable, Mapping, Optional, Sequence, Union

from sextant.errors import UsageError
from sextant.imports import local_modules
from sextant.v1.types_pb2 import File, Workload

#: A directory named by mistake ("/", "~") is noticed before it is read to its end.
MAX_COLLECTED_FILES = 100_000
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/dev", "/proc", "/sys")
_PYTHON = re.compile(r"python(\d+(\.\d+)?)?$")


def is_system_path(absolute: str) -> bool:
    """True for what every worker has: /usr, /bin, … and files that are no files (/dev, /proc)."""
    return any(absolute == prefix or absolute.startswith(prefix + "/") for prefix in _SYSTEM)


def _inside(path: str) -> bool:
    return path not in ("", ".", "..") and not path.startswith(("/", "../"))


@dataclass(frozen=True)
class LocalFile:
    """A file to send: where it is here (or its contents), and its permission bits there."""

    local: str = ""
    contents: Optional[bytes] = None
    mode: int = 0o644

    def read_chunks(self, size: int = 1 << 20) -> Iterable[bytes]:
        if self.contents is not None:
            for at in range(0, len(self.contents), size):
                yield self.contents[at:at + size]
            return
        try:
            with open(self.local, "rb") as file:
                while chunk := file.read(size):
                    yield chunk
        except OSError as error:
            raise UsageError(f"file {self.local} cannot be read: {error.strerror}", field="files") from None

    def digest(self) -> tuple[bytes, int]:
        """SHA-256 and size of what it holds now."""
        sha, size = hashlib.sha256(), 0
        for chunk in self.read_chunks():
            sha.update(chunk)
            size += len(chunk)
        return sha.digest(), size


class Bundle:
    """The files of one workload, by their path in its working directory; notes say what was not sent."""

    def __init__(self, directory: Union[str, os.PathLike[str], None] = None) -> None:
        self.directory = pathlib.Path(directory or os.curdir).absolute()
        self.files: dict[str, LocalFile] = {}
        self.placed: set[str] = set()   # paths that other tasks' files will have: nothing of here is sent for them
        self.notes: list[str] = []

    def local(self, path: Union[str, os.PathLike[str]]) -> pathlib.Path:
        """A path here, relative ones from the bundle's directory."""
        return self.directory / os.path.expanduser(os.fspath(path))

    def add_text(self, path: str, text: str) -> None:
        self._put(path, LocalFile(contents=text.encode()))

    def add_bytes(self, path: str, contents: bytes) -> None:
        self._put(path, LocalFile(contents=contents))

    def add(self, local: Union[str, os.PathLike[str]], path: str = "") -> None:
        """A file, or a directory whole, as `path`; by default where it lies below the directory, else by
        its name."""
        here = self.local(local)
        if not path:
            path = os.path.normpath(os.path.relpath(here, self.directory))
            if not _inside(path):
                path = here.resolve().name
        if here.is_dir():
            self._add_directory(here, path)
        else:
            self.add_file(here, path)

    def add_file(self, here: pathlib.Path, path: str) -> None:
        try:
            info = here.stat()
        except OSError:
            raise UsageError(f"file {here} does not exist", field="files", remedy="check the path") from None
        if not stat.S_ISREG(info.st_mode):
            raise UsageError(f"file {here} is not a regular file", field="files")
        if not os.access(here, os.R_OK):
            raise UsageError(f"file {here} is not readable", field="files")
        self._put(path, LocalFile(str(here), mode=stat.S_IMODE(info.st_mode) & 0o777))

    def _put(self, path: str, file: LocalFile) -> None:
        normal = os.path.normpath(path)
        if not _inside(normal):
            raise UsageError(f"file {file.local or path}: its path {path!r} must stay inside the working directory",
                             field="files", remedy="give it another: files={\"NAME\": LOCAL}")
        there = self.files.get(normal)
        if there is not None and (there.contents != file.contents
                                  or os.path.realpath(there.local) != os.path.realpath(file.local)):
            raise UsageError(f"files {there.local} and {file.local} would both be {normal}", field="files",
                             remedy="give one another path: files={\"NAME\": LOCAL}")
        self.files[normal] = file
        if len(self.files) > MAX_COLLECTED_FILES:
            raise UsageError(f"more than {MAX_COLLECTED_FILES} files", field="files",
                             remedy="name a smaller directory")

    def _add_directory(self, here: pathlib.Path, path: str) -> None:
        for folder, folders, names in os.walk(here):
            folders.sort()
            for name in sorted(names):
                entry = pathlib.Path(folder) / name
                if entry.is_file():
                    self.add_file(entry, (pathlib.PurePath(path) / entry.relative_to(here)).as_posix())
                else:
                    self.notes.append(f"not sent: {entry} is not a regular file")

    # ---- what a command needs --------------------------------------------------------------------

    def collect(self, argv: Sequence[str], workload: Workload) -> None:
        """Adds what `argv` needs and writes argv and environment of `workload`."""
        arguments = list(argv)
        if not arguments:
            raise UsageError("command: no program was given", field="command")
        if os.path.normpath(arguments[0]) in self.placed:
            self._collect_arguments(arguments)
            workload.argv.extend(arguments)
            return
        program = self._resolve(arguments[0])
        real = os.path.realpath(program)
        if not is_system_path(real) and (_PYTHON.match(arguments[0]) or _in_python_environment(program)):
            # Its packages do not travel: the worker has an environment of its own, or shows this one. `python3`
            # in PATH may be a script that chooses one.
            if "/" in arguments[0]:
                arguments[0] = str(program)
        elif not is_system_path(real):
            path = os.path.normpath(os.path.relpath(program, self.directory))
            if not _inside(path):
                path = program.name
            if path not in self.files:
                self.add_file(program, path)
            arguments[0] = path if "/" in path else f"./{path}"
            libraries = private_libraries(str(program))
            for soname, library in libraries.items():
                if f"lib/{soname}" not in self.files:
                    self.add_file(pathlib.Path(library), f"lib/{soname}")
            if libraries:
                said = workload.env.get("LD_LIBRARY_PATH", "")
                workload.env["LD_LIBRARY_PATH"] = f"/work/lib:{said}" if said else "/work/lib"
        self._collect_arguments(arguments)
        if _PYTHON.match(pathlib.PurePath(arguments[0]).name):
            self._collect_script(arguments[1:])
        workload.argv.extend(arguments)

    def _collect_arguments(self, arguments: Sequence[str]) -> None:
        for argument in arguments[1:]:
            named = argument
            if "=" in named and not self.local(named).exists():
                named = named.split("=", 1)[1]
            if os.path.normpath(named) not in self.placed:
                self._collect_named(named)

    def _resolve(self, name: str) -> pathlib.Path:
        if "/" in name:
            here = self.local(name)
            if not here.exists():
                raise UsageError(f"command: program {name} does not exist", field="command", remedy="check the path")
            if not here.is_file() or not os.access(here, os.X_OK):
                raise UsageError(f"command: program {name} is not an executable file", field="command",
                                 remedy="chmod +x it")
            return here
        found = shutil.which(name)
        if found is None:
            hint = f"did you mean ./{name}?" if self.local(name).exists() else ""
            raise UsageError(f"command: program {name} is not in PATH", field="command", remedy=hint)
        return pathlib.Path(found)

    def _collect_named(self, named: str) -> None:
        if named in ("", ".", "/"):
            return
        here = self.local(named)
        try:
            if not (here.is_file() or here.is_dir()):
                return
        except (OSError, ValueError):  # an argument that can be no path
            return
        normal = os.path.normpath(named)
        if not _inside(normal):
            if not is_system_path(os.path.realpath(here)):
                self.notes.append(f"not sent: {named} is outside {self.directory}; add files={{\"PATH\": {named!r}}} "
                                  "and name PATH in the command")
        elif here.is_dir():
            self._add_directory(here, normal)
        elif normal not in self.files:
            self.add_file(here, normal)

    def _collect_script(self, arguments: Sequence[str]) -> None:
        """Modules beside the script that a `python … script.py` or `python -m module` imports."""
        for i, argument in enumerate(arguments):
            if argument == "-c":
                return
            if argument == "-m":
                module = arguments[i + 1] if i + 1 < len(arguments) else ""
                self._add_modules(local_modules([module], self.directory), self.directory)
                return
            if argument.startswith("-"):
                continue
            script = self.local(argument)
            if script.suffix == ".py" and script.is_file():
                self._add_modules(local_modules(script, script.parent), self.directory)
            return

    def _add_modules(self, modules: Iterable[pathlib.Path], top: pathlib.Path) -> None:
        for module in modules:
            path = os.path.normpath(os.path.relpath(module, top))
            if _inside(path) and path not in self.files:
                self.add_file(module, path)

    def hash_into(self, workload: Workload) -> dict[bytes, LocalFile]:
        """Writes the files of `workload`; returns them by digest."""
        by_digest: dict[bytes, LocalFile] = {}
        for path in sorted(self.files):
            file = self.files[path]
            digest, size = file.digest()
            workload.files.append(File(path=path, digest=digest, size_bytes=size, mode=file.mode))
            by_digest[digest] = file
        return by_digest


def split_command(command: Union[str, Sequence[Union[str, os.PathLike[str]]]]) -> list[str]:
    """A command line as a shell would split it, or its words."""
    if isinstance(command, str):
        try:
            return shlex.split(command)
        except ValueError as error:
            raise UsageError(f"command: {error}", field="command", remedy="give it as a list of words") from None
    return [os.fspath(word) for word in command]


Local = Union[str, bytes, "os.PathLike[str]"]
#: Files to send beside what a command names: local paths, or {path there: local path or bytes}.
Files = Union[None, str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]", tuple[str, Local]]],
              Mapping[str, Local]]


def add_files(bundle: Bundle, files: Files) -> None:
    """Adds them; directories whole."""
    if files is None:
        return
    if isinstance(files, (str, os.PathLike)):
        files = [files]
    for entry in files.items() if isinstance(files, Mapping) else files:
        path, local = entry if isinstance(entry, tuple) else ("", entry)
        if isinstance(local, bytes):
            bundle.add_bytes(path, local)
        else:
            bundle.add(local, path)


def _in_python_environment(program: pathlib.Path) -> bool:
    """Whether it belongs to a Python environment or installation, whose packages lie beside it."""
    for path in (program, pathlib.Path(os.path.realpath(program))):
        prefix = path.parent.parent
        if (prefix / "pyvenv.cfg").exists():
            return True
        if _PYTHON.match(path.name) and any((prefix / "lib").glob("python3*")):
            return True
    return False


def _interpreter_of(program: str) -> str:
    """The path in PT_INTERP; empty for anything but a 64-bit dynamically linked ELF program."""
    try:
        with open(program, "rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:5] != b"\x7fELF\x02":
                return ""
            (offset,) = struct.unpack_from("<Q", head, 32)
            size, count = struct.unpack_from("<HH", head, 54)
            for i in range(count):
                file.seek(offset + i * size)
                segment = file.read(56)
                if len(segment) < 56:
                    return ""
                kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", segment)
                if kind == 3 and 0 < length <= 4096:
                    file.seek(at)
                    return file.read(length).split(b"\0")[0].decode(errors="replace")
    except OSError:
        pass
    return ""


def private_libraries(program: str) -> dict[str, str]:
    """Shared libraries of a program outside system directories, soname → path, as its loader finds them."""
    interpreter = _interpreter_of(program)
    if not interpreter or not is_system_path(interpreter):
        return {}
    try:
        listing = subprocess.run([interpreter, "--list", os.path.abspath(program)], capture_output=True, text=True,
                                 timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"command: listing the shared libraries of {program}: {error}", field="command") from None
    libraries: dict[str, str] = {}
    for line in listing.splitlines():
        soname, arrow, target = line.strip().partition(" => ")
        if not arrow:
            continue
        if target == "not found":
            raise UsageError(f"command: program {program}: its shared library {soname} is not found on this machine",
                             field="command", remedy="set LD_LIBRARY_PATH or add it to files")
        target = target.rpartition(" (")[0]
        if not is_system_path(target) and not is_system_path(os.path.realpath(target)):
            libraries[os.path.basename(soname)] = target
    return libraries
