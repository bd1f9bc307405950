// What there is for GPU passes beside the GPUs: for `sextant doctor`.
#pragma once

#include <string>
#include <vector>

#include "workers/backends/backend.h"
#include "workers/gpu/pool.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::agent {

struct GpuFact {
  std::string name;    // "driver", "counters", "CUDA toolkit", "ncu", "python"
  bool works = false;
  std::string reason;  // what was found, or what is missing
  std::string remedy;  // when it does not work
};

// Driver and its libraries, whether counters are open to ordinary users, the toolkit, its tools, and
// the Python inside the container with the packages that backends use. Runs tiny programs.
std::vector<GpuFact> GpuFacts(const backends::Site& site, const gpu::Pool& gpus,
                              sandbox::Sandbox& sandbox);

}  // namespace sextant::agent
