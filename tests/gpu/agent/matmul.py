"""A matmul in Triton whose configuration is one line, for an agent to change.

    python3 matmul.py [--time]     checks itself against PyTorch; --time prints a launch's time by CUDA events"""

import sys

import torch
import triton
import triton.language as tl
import triton.profiler.language as pl

CONFIG = {"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 32, "num_warps": 4, "num_stages": 1}
SIZE, LAUNCHES = 2048, 5

pl.enable_semantic("triton")


@triton.jit
def mm_kernel(a_ptr, b_ptr, c_ptr, M, N, K, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    a_at = a_ptr + rows[:, None] * K + inner[None, :]
    b_at = b_ptr + inner[:, None] * N + columns[None, :]
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    pl.enter_scope("mainloop")
    for _ in range(0, K, BLOCK_K):
        a = tl.load(a_at)
        b = tl.load(b_at)
        total = tl.dot(a, b, total)
        a_at += BLOCK_K
        b_at += BLOCK_K * N
    pl.exit_scope("mainloop")
    pl.enter_scope("epilogue")
    tl.store(c_ptr + rows[:, None] * N + columns[None, :], total.to(tl.float16))
    pl.exit_scope("epilogue")


def mm(a, b):
    """C[M, N] = A[M, K] · B[K, N], half precision, rows contiguous; M, N and K multiples of 256."""
    m, k = a.shape
    n = b.shape[1]
    c = torch.empty((m, n), device=a.device, dtype=torch.float16)
    grid = (m // CONFIG["BLOCK_M"], n // CONFIG["BLOCK_N"])
    mm_kernel[grid](a, b, c, m, n, k, **CONFIG)
    return c


def main():
    torch.manual_seed(0)
    a = torch.randn((SIZE, SIZE), device="cuda", dtype=torch.float16)
    b = torch.randn((SIZE, SIZE), device="cuda", dtype=torch.float16)
    for _ in range(LAUNCHES):
        c = mm(a, b)
    expected = a @ b
    error = ((c - expected).abs().max() / expected.abs().max()).item()
    print(f"mm {SIZE}³ {CONFIG}: greatest error {error:.1e}")
    if "--time" in sys.argv:
        times = []
        for _ in range(50):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            for _ in range(10):
                mm(a, b)
            end.record()
            torch.cuda.synchronize()
            times.append(begin.elapsed_time(end) * 100)
        print(f"us {sorted(times)[len(times) // 2]:.2f}")
    return 0 if error < 1e-2 else 1


if __name__ == "__main__":
    sys.exit(main())
