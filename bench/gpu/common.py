"""What the benchmarks of GPUs share."""

import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("SEXTANT_BUILD", ROOT / "build"))


def nvcc():
    """The CUDA compiler on the path, of a toolkit, or of this tree."""
    for candidate in (shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc", ROOT / ".cache/cuda/bin/nvcc"):
        if candidate and pathlib.Path(candidate).exists():
            return str(candidate)
    raise SystemExit("no nvcc: install a CUDA toolkit, or run deploy/cuda.sh nvcc")


def compile_cuda(source, program, *flags):
    """Compiles `source` (relative to the tree) into `program`, or takes the program of that name from
    $SEXTANT_COMPILED: where seconds on the GPU's machine are dear."""
    ready = pathlib.Path(os.environ.get("SEXTANT_COMPILED", "/nonexistent")) / pathlib.Path(program).name
    if ready.is_file():
        shutil.copy(ready, program)
        return
    subprocess.run([nvcc(), "-O3", "-std=c++17", "-gencode=arch=compute_90a,code=sm_90a", f"-I{ROOT}",
                    f"-I{ROOT / 'client/include'}", *flags, "-o", str(program), str(ROOT / source)], check=True)


def run(argv, env=None, timeout=120):
    """Standard output of a program that must succeed."""
    done = subprocess.run([str(a) for a in argv], env={**os.environ, **(env or {})}, timeout=timeout,
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, argv))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def last_json(text):
    return json.loads(text.strip().splitlines()[-1])


def built(name, *places):
    """A program or library of the build: beneath SEXTANT_BUILD, whatever its folder."""
    for place in places:
        for path in (BUILD / place / name, BUILD / name):
            if path.exists():
                return path
    return None


def machine():
    try:
        name = run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]).strip().splitlines()[0]
    except (OSError, SystemExit):
        name = "no GPU"
    return f"{name}; {platform.machine()}"


def finish(bench, figures):
    print(json.dumps({"bench": bench, "machine": machine(), "figures": figures}))


def regions(files):
    """The regions that recorders' files hold (bench/scopes_regions.cc)."""
    tool = built("scopes_regions", "bench", "bin")
    if tool is None:
        raise SystemExit(f"no scopes_regions beneath {BUILD}: build it, or set SEXTANT_BUILD")
    return last_json(run([tool, *files]))


__all__ = [name for name in dir() if not name.startswith("_")] + ["statistics", "tempfile"]
