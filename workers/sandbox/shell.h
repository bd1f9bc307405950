// A person inside the container of a kept pass.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::sandbox {

// Replaces the spec's program with `argv` (empty: bash, or sh where there is none), attached to
// this process's own standard streams, with the same view and the same system call filter. Returns
// the exit code, 128 + N after signal N. wall_s, hang_s and output_bytes do not hold. As root,
// programs still run as the unprivileged user.
absl::StatusOr<int> ShellInto(const RunSpec& spec, std::vector<std::string> argv,
                              const SandboxOptions& options = {});

}  // namespace sextant::sandbox
