"""A warp-specialised matmul in Gluon (Hopper): a producer warp copies tiles with TMA through a ring of
buffers, four consumer warps multiply them with wgmma. Full and empty barriers tell the one from the other,
and scopes show who waits for whom.

    python3 matmul_ws.py [--size N] [--stages N] [--launches N] [--no-scopes]
    sextant run --pass 'proton:buffer=global*20' -- python3 matmul_ws.py

C[M, N] = A[M, K] · B[K, N] in half precision. Gluon is not rewritten by the compiler, so scopes stay where
they are. Prints the greatest error against PyTorch's product, exits with 1 when it is large."""

import argparse
import sys

import torch
import triton.profiler.language as pl
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (fence_async_shared, mbarrier, tma, warpgroup_mma,
                                                              warpgroup_mma_wait)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

BLOCK_M, BLOCK_N, BLOCK_K = 128, 128, 64


@gluon.jit
def producer(a_desc, b_desc, a_ring, b_ring, full, empty, steps, STAGES: gl.constexpr, SCOPES: gl.constexpr):
    row = gl.program_id(0) * a_desc.block_type.shape[0]
    column = gl.program_id(1) * b_desc.block_type.shape[1]
    for step in range(steps):
        slot = step % STAGES
        round_of = step // STAGES
        if SCOPES:
            pl.enter_scope("wait_empty")
        # The first round finds all slots empty.
        mbarrier.wait(empty.index(slot), (round_of & 1) ^ 1)
        if SCOPES:
            pl.exit_scope("wait_empty")
            pl.enter_scope("issue_loads")
        mbarrier.expect(full.index(slot), a_desc.block_type.nbytes + b_desc.block_type.nbytes)
        inner = step * a_desc.block_type.shape[1]
        tma.async_copy_global_to_shared(a_desc, [row, inner], full.index(slot), a_ring.index(slot))
        tma.async_copy_global_to_shared(b_desc, [inner, column], full.index(slot), b_ring.index(slot))
        if SCOPES:
            pl.exit_scope("issue_loads")


@gluon.jit
def consumer(c_desc, a_ring, b_ring, c_tile, full, empty, steps, STAGES: gl.constexpr, SCOPES: gl.constexpr):
    rows: gl.constexpr = c_desc.block_type.shape[0]
    columns: gl.constexpr = c_desc.block_type.shape[1]
    layout: gl.constexpr = gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1],
                                                     instr_shape=[16, columns, 16])
    total = gl.zeros([rows, columns], gl.float32, layout)
    for step in range(steps):
        slot = step % STAGES
        round_of = step // STAGES
        if SCOPES:
            pl.enter_scope("wait_full")
        mbarrier.wait(full.index(slot), round_of & 1)
        if SCOPES:
            pl.exit_scope("wait_full")
            pl.enter_scope("mma")
        total = warpgroup_mma(a_ring.index(slot), b_ring.index(slot), total, is_async=True)
        total = warpgroup_mma_wait(num_outstanding=0, deps=(total, ))
        if SCOPES:
            pl.exit_scope("mma")
        mbarrier.arrive(empty.index(slot), count=1)
    if SCOPES:
        pl.enter_scope("epilogue")
    c_tile.store(total.to(gl.float16))
    fence_async_shared()
    tma.async_copy_shared_to_global(c_desc, [gl.program_id(0) * rows, gl.program_id(1) * columns], c_tile)
    tma.store_wait(pendings=0)
    if SCOPES:
        pl.exit_scope("epilogue")


@gluon.jit
def matmul_ws_kernel(a_desc, b_desc, c_desc, steps, STAGES: gl.constexpr, SCOPES: gl.constexpr):
    a_ring = gl.allocate_shared_memory(gl.float16, [STAGES] + a_desc.block_type.shape, a_desc.layout)
    b_ring = gl.allocate_shared_memory(gl.float16, [STAGES] + b_desc.block_type.shape, b_desc.layout)
    c_tile = gl.allocate_shared_memory(gl.float16, c_desc.block_type.shape, c_desc.layout)
    full = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    empty = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    for slot in gl.static_range(STAGES):
        mbarrier.init(full.index(slot), count=1)
        mbarrier.init(empty.index(slot), count=1)
    gl.warp_specialize([(consumer, (c_desc, a_ring, b_ring, c_tile, full, empty, steps, STAGES, SCOPES)),
                        (producer, (a_desc, b_desc, a_ring, b_ring, full, empty, steps, STAGES, SCOPES))], [1], [40])


def matmul_ws(a, b, stages=4, scopes=True):
    """M and N multiples of 128, K of 64; rows contiguous."""
    m, k = a.shape
    n = b.shape[1]
    c = torch.empty((m, n), device=a.device, dtype=torch.float16)
    descriptors = []
    for tensor, block in ((a, [BLOCK_M, BLOCK_K]), (b, [BLOCK_K, BLOCK_N]), (c, [BLOCK_M, BLOCK_N])):
        layout = gl.NVMMASharedLayout.get_default_for(block, gl.float16)
        descriptors.append(TensorDescriptor.from_tensor(tensor, block, layout))
    matmul_ws_kernel[(m // BLOCK_M, n // BLOCK_N)](*descriptors, k // BLOCK_K, STAGES=stages, SCOPES=scopes,
                                                   num_warps=4)
    return c


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="M, N and K; a multiple of 128")
    parser.add_argument("--stages", type=int, default=4, help="slots of the ring")
    parser.add_argument("--launches", type=int, default=3)
    parser.add_argument("--no-scopes", dest="scopes", action="store_false")
    options = parser.parse_args()
    if options.size % 128 != 0:
        raise SystemExit("--size must be a multiple of 128")
    if torch.cuda.get_device_capability()[0] != 9:
        raise SystemExit("wgmma is Hopper's: this example needs a GPU of compute capability 9.0")
    torch.manual_seed(0)
    a, b = (torch.randn((options.size, options.size), device="cuda", dtype=torch.float16) for _ in range(2))
    for _ in range(options.launches):
        c = matmul_ws(a, b, options.stages, options.scopes)
    expected = a.float() @ b.float()
    error = ((c.float() - expected).abs().max() / expected.abs().max()).item()
    print(f"matmul {options.size}³, {options.stages} stages: greatest error {error:.2e}")
    return 0 if error < 5e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
