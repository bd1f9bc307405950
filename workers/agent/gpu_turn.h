// A pass's turn on a GPU: the lock, the look at it before, what the program gets of it, and what is
// written down of it afterwards.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "sextant/v1/types.pb.h"
#include "workers/agent/pass.h"
#include "workers/gpu/pool.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::agent {

// Used by the pass's own thread. The lock is held until it is destroyed.
class GpuTurn {
 public:
  GpuTurn(gpu::Pool& pool, const gpu::Gpu& gpu) : pool_(pool), gpu_(gpu) {}

  // Waits for the GPU's lock and looks whether it is well. CANCELLED: the pass was stopped while it
  // waited. UNAVAILABLE: it is not well, with the evidence; the pool remembers. Else the lock's own
  // error.
  absl::Status Begin(Pass& pass, v1::PassResult& result);

  // Its device nodes, its number in CUDA_VISIBLE_DEVICES and the driver's libraries. A value that
  // LD_LIBRARY_PATH has already goes first.
  void AddTo(sandbox::RunSpec& spec) const;

  // Right after the program ended: clocks, power, temperature, throttling and errors into
  // provenance.extra, and notes about what disturbed the pass. Returns why the GPU is no longer
  // well; empty: it is.
  std::string End(v1::PassResult& result);

 private:
  gpu::Pool& pool_;
  const gpu::Gpu& gpu_;
  gpu::GpuLock lock_;
  gpu::Snapshot before_;
};

}  // namespace sextant::agent
