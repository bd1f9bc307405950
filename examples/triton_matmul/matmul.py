"""A blocked half-precision matmul in Triton, with scopes for Proton.

    python3 matmul.py [--size N] [--launches N] [--scopes language|ttgir|none]
    sextant run --pass 'proton:buffer=global*20' -- python3 matmul.py

Scopes of the Triton language go through the compiler like any operation, and its pipeliner may move or
copy them. `--scopes ttgir` puts them in after pipelining: the program compiles the kernel once, writes
proton.record into the GPU dialect it was lowered to, and lets Triton compile that instead. C[M, N] =
A[M, K] · B[K, N]; prints the greatest error against PyTorch's product, exits with 1 when it is large."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

LOOP, ENDS = "scf.for", "}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="M, N and K; a multiple of 128")
    parser.add_argument("--launches", type=int, default=3)
    parser.add_argument("--scopes", choices=("language", "ttgir", "none"), default="language")
    return parser.parse_args()


def with_records(ttgir):
    """The text with scopes around the main loop and, in it, around the tensor core's work and the waits
    for what was copied ahead. Operations keep their lines, so the loop is found by its indentation."""
    around = {"ttng.warp_group_dot ": "dot", "ttng.warp_group_dot_wait": "dot_wait", "ttg.async_wait": "load_wait",
              "ttng.wait_barrier": "load_wait", "tt.dot ": "dot"}
    out, closing = [], None
    for line in ttgir.splitlines():
        indent = line[:len(line) - len(line.lstrip())]
        if closing is None and LOOP in line:
            closing = indent + ENDS
            out.append(f'{indent}proton.record start "mainloop"')
        name = next((scope for operation, scope in around.items() if operation in line), None)
        if closing is not None and name is not None:
            out += [f'{indent}proton.record start "{name}"', line, f'{indent}proton.record end "{name}"']
            continue
        out.append(line)
        if closing is not None and line.startswith(closing):
            out.append(f'{indent}proton.record end "mainloop"')
            closing = None
    return "\n".join(out) + "\n"


def override(options):
    """Has the kernel compiled by another process and sets Triton's variables to use the edited text."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ttgir-"))
    environment = dict(os.environ, TRITON_KERNEL_DUMP="1", TRITON_DUMP_DIR=str(directory),
                       TRITON_ALWAYS_COMPILE="1", TRITON_CACHE_DIR=str(directory / "cache"))
    subprocess.run([sys.executable, os.path.abspath(__file__), "--size", str(options.size), "--launches", "1",
                    "--scopes", "none"], env=environment, check=True, stdout=subprocess.DEVNULL)
    kept = 0
    for path in directory.glob("*/matmul_kernel.*"):
        if path.suffix == ".ttgir":
            path.write_text(with_records(path.read_text(encoding="utf-8")), encoding="utf-8")
            kept += 1
        else:
            path.unlink()  # a later level would be taken instead
    if kept == 0:
        raise SystemExit("Triton dumped no TTGIR; is this a Triton that knows TRITON_KERNEL_DUMP?")
    os.environ.update(TRITON_KERNEL_OVERRIDE="1", TRITON_OVERRIDE_DIR=str(directory), TRITON_ALWAYS_COMPILE="1")


def main():
    options = arguments()
    if options.size % 128 != 0:
        raise SystemExit("--size must be a multiple of 128")
    if options.scopes == "ttgir":
        override(options)

    import torch
    from kernel import matmul

    torch.manual_seed(0)
    a = torch.randn((options.size, options.size), device="cuda", dtype=torch.float16)
    b = torch.randn((options.size, options.size), device="cuda", dtype=torch.float16)
    for _ in range(options.launches):
        c = matmul(a, b, scopes=options.scopes == "language")
    expected = a.float() @ b.float()
    error = ((c.float() - expected).abs().max() / expected.abs().max()).item()
    print(f"matmul {options.size}³: greatest error {error:.2e}")
    return 0 if error < 5e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
