"""A kernel whose scopes stand in blocks, in pairs, in a loop and in a function that is inlined twice. Beside it what
Triton 3.6 makes of it for sm_90: scoped.source with instrumentation, scoped.ttgir and scoped.sass without."""

import triton
import triton.language as tl
import triton.profiler.language as pl

pl.enable_semantic("triton")


@triton.jit
def helper(x):
    pl.enter_scope("inner")
    y = tl.exp(x) + 1.0  # exit_scope("inner") stands in a comment here
    pl.exit_scope("inner")
    return y


@triton.jit
def scoped(a, b, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    with pl.scope("load"):
        x = tl.load(a + i, mask=i < n)
        y = tl.load(b + i,
                    mask=i < n)
    pl.enter_scope("work")
    for k in range(n):
        with pl.scope("step"):
            x = helper(x) * y
            x += tl.sum(x, 0)
        y = y - x
    s = tl.max(x, 0)
    pl.exit_scope("work")
    z = helper(x)
    with pl.scope("store"):
        tl.store(a + i, z + s, mask=i < n)
