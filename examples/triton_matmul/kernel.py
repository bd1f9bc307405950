"""The kernel of matmul.py: one CTA for a BLOCK_M × BLOCK_N tile of C."""

import torch
import triton
import triton.language as tl
import triton.profiler.language as pl

pl.enable_semantic("triton")


@triton.jit
def matmul_kernel(a_ptr, b_ptr, c_ptr, M, N, K, stride_am, stride_bk, stride_cm, BLOCK_M: tl.constexpr,
                  BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, SCOPES: tl.constexpr):
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    a_at = a_ptr + rows[:, None] * stride_am + inner[None, :]
    b_at = b_ptr + inner[:, None] * stride_bk + columns[None, :]
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    if SCOPES:
        pl.enter_scope("mainloop")
    for _ in range(0, K, BLOCK_K):
        if SCOPES:
            pl.enter_scope("load")
        a = tl.load(a_at)
        b = tl.load(b_at)
        if SCOPES:
            pl.exit_scope("load")
            pl.enter_scope("dot")
        total = tl.dot(a, b, total)
        if SCOPES:
            pl.exit_scope("dot")
        a_at += BLOCK_K
        b_at += BLOCK_K * stride_bk
    if SCOPES:
        pl.exit_scope("mainloop")
        pl.enter_scope("epilogue")
    tl.store(c_ptr + rows[:, None] * stride_cm + columns[None, :], total.to(tl.float16))
    if SCOPES:
        pl.exit_scope("epilogue")


def matmul(a, b, scopes=True):
    """C[M, N] = A[M, K] · B[K, N], half precision, rows contiguous; M, N multiples of 128, K of 64."""
    m, k = a.shape
    n = b.shape[1]
    c = torch.empty((m, n), device=a.device, dtype=torch.float16)
    matmul_kernel[(m // 128, n // 128)](a, b, c, m, n, k, a.stride(0), b.stride(0), c.stride(0), BLOCK_M=128,
                                        BLOCK_N=128, BLOCK_K=64, SCOPES=scopes, num_warps=8, num_stages=3)
    return c
