"""The embedded default: the service of this machine, which `sextant up` starts."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from typing import Optional, Sequence

from sextant.errors import SextantError, UsageError

#: Longest wait for a service that starts.
START_TIMEOUT_S = 120.0


def home_directory() -> pathlib.Path:
    """$SEXTANT_HOME; else /var/lib/sextant for root, $XDG_DATA_HOME/sextant or ~/.local/share/sextant."""
    if named := os.environ.get("SEXTANT_HOME"):
        return pathlib.Path(named).absolute()
    if os.geteuid() == 0:
        return pathlib.Path("/var/lib/sextant")
    if data := os.environ.get("XDG_DATA_HOME"):
        return pathlib.Path(data) / "sextant"
    return pathlib.Path(os.environ.get("HOME", "/tmp")) / ".local/share/sextant"


def socket_address(home: pathlib.Path) -> str:
    return f"unix://{home}/run/sextantd.sock"


def default_address() -> str:
    """$SEXTANT_SERVER, else the embedded default's socket."""
    return os.environ.get("SEXTANT_SERVER") or socket_address(home_directory())


def find_program(program: Optional[str]) -> str:
    """The `sextant` command: as named, $SEXTANT_PROGRAM, or in PATH."""
    named = program or os.environ.get("SEXTANT_PROGRAM") or "sextant"
    found = shutil.which(named)
    if found is None:
        raise UsageError(f"program: {named} is not there or not executable", field="program",
                         remedy="build Sextant (./quickstart) or unpack its bundle, and put `sextant` into PATH or "
                                "name it: sextant.local(program=…) or SEXTANT_PROGRAM")
    return found


def python_environment() -> list[str]:
    """Arguments of a worker so that `python` inside passes is this interpreter's environment: its folder of
    programs first in PATH. Empty for the system's own Python, which passes see anyway."""
    if sys.prefix in ("/usr", "/usr/local"):
        return []
    return ["--path-prefix", str(pathlib.Path(sys.prefix) / "bin")]


def run(program: str, arguments: Sequence[str]) -> str:
    """Runs the command; what it says is the error when it fails."""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=START_TIMEOUT_S + 10,
                              check=False, stdin=subprocess.DEVNULL, env=dict(os.environ, NO_COLOR="1"))
    except subprocess.TimeoutExpired:
        raise SextantError(f"{program} {arguments[0]} does not end") from None
    if done.returncode != 0:
        raise SextantError(done.stderr.strip().removeprefix("sextant: ") or f"{program} {arguments[0]} failed",
                           remedy="see what this machine can do: sextant doctor")
    return done.stderr


def start(home: pathlib.Path, program: str, worker: Sequence[str]) -> bool:
    """Starts what does not run yet; True when something was started."""
    said = run(program, ["up", "--state", str(home), "--wait", str(START_TIMEOUT_S), "--", *worker])
    return "already" not in said.splitlines()[0]


def stop(home: pathlib.Path, program: str) -> None:
    run(program, ["down", "--state", str(home)])
