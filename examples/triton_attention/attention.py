"""Attention, forward: softmax(Q·Kᵀ · scale) · V in one pass over K and V, in Triton, with scopes.

    python3 attention.py [--batch N] [--heads N] [--length N] [--launches N] [--causal] [--no-scopes]
    sextant run --pass 'proton:buffer=global*20' -- python3 attention.py

Q, K, V are [batch, heads, length, 64] in half precision. Prints the greatest error against PyTorch's
own attention and exits with 1 when it is large."""

import argparse
import sys

import torch
import triton
import triton.language as tl
import triton.profiler.language as pl

pl.enable_semantic("triton")

HEAD = 64


@triton.jit
def attention_kernel(q_ptr, k_ptr, v_ptr, o_ptr, scale, length, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
                     HEAD_DIM: tl.constexpr, CAUSAL: tl.constexpr, SCOPES: tl.constexpr):
    head = tl.program_id(1).to(tl.int64) * length * HEAD_DIM
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    inner = tl.arange(0, HEAD_DIM)
    q = tl.load(q_ptr + head + rows[:, None] * HEAD_DIM + inner[None, :])
    # exp2 is the machine's own: the scale takes the change of base.
    scale = scale * 1.44269504
    greatest = tl.full((BLOCK_M,), float("-inf"), dtype=tl.float32)
    sum_of = tl.zeros((BLOCK_M,), dtype=tl.float32)
    out = tl.zeros((BLOCK_M, HEAD_DIM), dtype=tl.float32)
    end = length
    if CAUSAL:
        end = (tl.program_id(0) + 1) * BLOCK_M
    for begin in range(0, end, BLOCK_N):
        columns = begin + tl.arange(0, BLOCK_N)
        if SCOPES:
            pl.enter_scope("qk")
        k = tl.load(k_ptr + head + columns[None, :] * HEAD_DIM + inner[:, None])
        scores = tl.dot(q, k) * scale
        if CAUSAL:
            scores = tl.where(rows[:, None] >= columns[None, :], scores, float("-inf"))
        if SCOPES:
            pl.exit_scope("qk")
            pl.enter_scope("softmax")
        now = tl.maximum(greatest, tl.max(scores, 1))
        p = tl.math.exp2(scores - now[:, None])
        shrink = tl.math.exp2(greatest - now)
        sum_of = sum_of * shrink + tl.sum(p, 1)
        out = out * shrink[:, None]
        greatest = now
        if SCOPES:
            pl.exit_scope("softmax")
            pl.enter_scope("pv")
        v = tl.load(v_ptr + head + columns[:, None] * HEAD_DIM + inner[None, :])
        out = tl.dot(p.to(tl.float16), v, out)
        if SCOPES:
            pl.exit_scope("pv")
    if SCOPES:
        pl.enter_scope("epilogue")
    tl.store(o_ptr + head + rows[:, None] * HEAD_DIM + inner[None, :], (out / sum_of[:, None]).to(tl.float16))
    if SCOPES:
        pl.exit_scope("epilogue")


def attention(q, k, v, causal=False, scopes=True):
    """Like torch.nn.functional.scaled_dot_product_attention. length: a multiple of 128."""
    batch, heads, length, dim = q.shape
    o = torch.empty_like(q)
    attention_kernel[(length // 128, batch * heads)](q, k, v, o, dim**-0.5, length, BLOCK_M=128, BLOCK_N=64,
                                                     HEAD_DIM=dim, CAUSAL=causal, SCOPES=scopes, num_warps=8,
                                                     num_stages=2)
    return o


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--length", type=int, default=1024, help="a multiple of 128")
    parser.add_argument("--launches", type=int, default=3)
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--no-scopes", dest="scopes", action="store_false")
    options = parser.parse_args()
    if options.length % 128 != 0:
        raise SystemExit("--length must be a multiple of 128")
    torch.manual_seed(0)
    q, k, v = (torch.randn((options.batch, options.heads, options.length, HEAD), device="cuda",
                           dtype=torch.float16) for _ in range(3))
    for _ in range(options.launches):
        o = attention(q, k, v, options.causal, options.scopes)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=options.causal)
    error = (o.float() - expected.float()).abs().max().item()
    print(f"attention {options.batch}×{options.heads}×{options.length}×{HEAD}: greatest error {error:.2e}")
    return 0 if error < 2e-2 else 1


if __name__ == "__main__":
    sys.exit(main())
