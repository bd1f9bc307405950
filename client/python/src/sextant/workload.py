"""What is run, as the service takes it: a command, its files, environment and limits, with the passes that
look at it."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from dataclasses import dataclass, field
from typing import Iterable, Mapping, Optional, Sequence, Union

from sextant.bundle import Bundle, Files, LocalFile, add_files, split_command
from sextant.errors import UsageError
from sextant.passes import RECORDING, REPLAY, PassLike, parse_passes
from sextant.v1.types_pb2 import PassSpec, ProfileTask, ResourceLimits, Workload as WorkloadMessage

#: Passes whose durations of kernels are not the program's own: clean ones are run beside them.
_DISTURB = frozenset(["scopes", "proton", "counters", "pcsampling", "pmsampling", "sassmetrics", "ncu", "cutracer"])
_CLEAN_PASSES = 3
_ENDING = ".rec"
_SIZE = re.compile(r"^([0-9.]+)\s*([kMGT]?)i?B?$")

Command = Union[str, Sequence[Union[str, "os.PathLike[str]"]]]


def parse_bytes(value: Union[int, str], name: str) -> int:
    """1073741824, "1G", "512M": powers of 1024."""
    if isinstance(value, int):
        return value
    found = _SIZE.match(value.strip())
    if not found:
        raise UsageError(f"{name}: {value!r} is no size", field=name, remedy='write bytes, or "512M", "4G"')
    return int(float(found.group(1)) * 1024 ** " kMGT".index(found.group(2) or " "))


@dataclass
class Workload:
    """A program to run, with everything it needs. `job.profile` makes one of a command; `@sextant.kernel`
    makes one of a kernel's launch; make one yourself to use it in several tasks.

    Attributes:
      command: a command line, or its words. Existing files and directories below `directory` that it names
        are sent, and the modules beside a Python script that it imports. Empty: what is replayed stands for it.
      files: more files to send: paths, or {path there: path here or bytes}. Directories are sent whole.
      env: variables added to the minimal environment; None as value: as it is here.
      kernels: regular expression of the names of GPU kernels that matter; empty: all.
      gpu: the program needs a GPU, in every kind of task.
      memory, disk: bytes, or "4G". wall_s, hang_s: seconds. cpu_cores, pids: counts. Zero: the service's default.
      rootfs: a directory on the worker that is the root file system.
      stdin: given to standard input; at most 1 MiB.
      directory: where relative paths begin; default: the current directory.
      name: of jobs and tasks that run it; default: the program's.
    """

    command: Command = ()
    files: Files = None
    env: Mapping[str, Optional[str]] = field(default_factory=dict)
    kernels: str = ""
    gpu: bool = False
    memory: Union[int, str] = 0
    disk: Union[int, str] = 0
    wall_s: float = 0
    hang_s: float = 0
    cpu_cores: float = 0
    pids: int = 0
    rootfs: str = ""
    stdin: str = ""
    directory: Union[str, "os.PathLike[str]", None] = None
    name: str = ""

    def replace(self, **changes: object) -> "Workload":
        """A copy with some attributes changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def default_name(self) -> str:
        if self.name:
            return self.name
        words = split_command(self.command)
        if len(words) > 1 and pathlib.PurePath(words[0]).name.startswith("python") and words[1].endswith(".py"):
            return pathlib.PurePath(words[1]).stem
        return pathlib.PurePath(words[0]).name if words else ""

    def limits(self) -> ResourceLimits:
        return ResourceLimits(memory_bytes=parse_bytes(self.memory, "memory"), disk_bytes=parse_bytes(self.disk, "disk"),
                              wall_s=self.wall_s, hang_s=self.hang_s, cpu_cores=self.cpu_cores, pids=self.pids)

    def bundle(self) -> Bundle:
        return Bundle(self.directory)

    def pack(self, bundle: Optional[Bundle] = None) -> "Packed":
        """The message, and the files to send."""
        bundle = bundle or self.bundle()
        message = WorkloadMessage(kernels=self.kernels, rootfs=self.rootfs, stdin_text=self.stdin,
                                  limits=self.limits(), device="gpu" if self.gpu else "")
        for name, value in self.env.items():
            if value is None and name not in os.environ:
                raise UsageError(f"env[{name!r}]: the variable is not set here", field="env", remedy="give it a value")
            message.env[name] = os.environ[name] if value is None else value
        add_files(bundle, self.files)
        words = split_command(self.command)
        here = bundle.local(words[0]) if words else None
        if self.rootfs and not (here and "/" in words[0] and not words[0].startswith("/") and here.is_file()):
            message.argv.extend(words)  # the program belongs to the root file system
        elif words:
            bundle.collect(words, message)
        return Packed(message, bundle.hash_into(message), bundle.notes)


@dataclass
class Packed:
    """A workload ready to be sent: its message, its files by digest, and what was not sent."""

    message: WorkloadMessage
    files: dict[bytes, LocalFile]
    notes: list[str]


def _recordings(named: pathlib.Path, said: str) -> list[pathlib.Path]:
    if named.is_file():
        return [named]
    with_ending = named.with_name(named.name + _ENDING)
    if with_ending.is_file():
        return [with_ending]
    if not named.is_dir():
        raise UsageError(f"passes: replay: {said} is neither a recording nor a directory", field="passes")
    found = sorted(p for p in named.glob("*" + _ENDING) if p.is_file())
    if not found:
        raise UsageError(f"passes: replay: directory {said} holds no recording (*{_ENDING})", field="passes")
    return found


def _add_recordings(spec: PassSpec, bundle: Bundle) -> list[PassSpec]:
    said = spec.options[RECORDING]
    found = _recordings(bundle.local(said), said)
    if spec.repeat > len(found):
        raise UsageError(f"passes: replay: {spec.repeat} passes are asked for, {said} holds {len(found)}",
                         field="passes", remedy=f"leave *{spec.repeat} out to play what there is")
    passes = []
    for recording in found[:spec.repeat or None]:
        path = f"recordings/{recording.absolute().parent.name}/{recording.name}"
        bundle.add_file(recording, path)
        passes.append(PassSpec(backend=REPLAY, repeat=1, options={RECORDING: path}))
    return passes


def replayed_name(workload: Workload, passes: Union[PassLike, Iterable[PassLike]]) -> str:
    """"conv" of replay:recordings/conv and of replay:recordings/conv/job1-0000.rec."""
    for spec in parse_passes(passes):
        if spec.backend == REPLAY:
            here = workload.bundle().local(spec.options[RECORDING])
            return here.name if here.is_dir() else here.absolute().parent.name
    return ""


def with_clean_passes(passes: Iterable[PassSpec]) -> list[PassSpec]:
    """Beside passes that disturb kernels, clean ones that give the time, where a worker can make them."""
    passes = list(passes)
    backends = {p.backend for p in passes}
    if "activity" not in backends and backends & _DISTURB:
        passes.append(PassSpec(backend="activity", options={"light": "1"}, repeat=_CLEAN_PASSES, optional=True))
    return passes


def pack_profile(workload: Workload, passes: Union[PassLike, Iterable[PassLike]], *, clean: bool = True,
                 warm: bool = True, placed: Iterable[str] = ()) -> tuple[ProfileTask, dict[bytes, LocalFile], list[str], str]:
    """A profile task, the files to send, what was not sent, and a name for it. `placed`: paths of inputs."""
    bundle = workload.bundle()
    bundle.placed.update(os.path.normpath(path) for path in placed)
    specs: list[PassSpec] = []
    for spec in parse_passes(passes):
        specs += _add_recordings(spec, bundle) if spec.backend == REPLAY else [spec]
    if not specs:
        raise UsageError("passes: at least one, like host*20", field="passes")
    if clean:
        specs = with_clean_passes(specs)
    packed = workload.pack(bundle)
    name = workload.default_name()
    if not packed.message.argv:
        if any(spec.backend != REPLAY for spec in specs):
            raise UsageError("command: no program was given", field="command",
                             remedy='write it as "./program args", or replay recordings alone')
        packed.message.argv.extend([REPLAY, specs[0].options[RECORDING]])
        name = name or replayed_name(workload, passes)
    if not warm:
        for spec in specs:
            spec.options["warm"] = "0"
    return ProfileTask(workload=packed.message, passes=specs), packed.files, packed.notes, name
