// What a worker on this machine could do, for `sextant-worker --probe` and `sextant doctor`.
#pragma once

#include <string>

#include "workers/agent/options.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::agent {

// JSON text: {"worker": WorkerInfo, "no_gpu": "why", "gpu_site": [{"name", "works", "reason",
// "remedy"}], "sandbox": {"bwrap_version", …, "facts": [{"name", "works",
// "reason", "remedy"}]}, "sandbox_error": "…"}; the last only where there is no sandbox. Runs tiny
// programs; touches neither the state directory nor the network.
std::string ProbeJson(const AgentOptions& options, const sandbox::SandboxOptions& sandbox);

}  // namespace sextant::agent
