// What the worker's command line says of its site, completed from what is found on the machine.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/backends/backend.h"

namespace sextant::agent {

// As given; empty: looked for.
struct SiteFlags {
  std::string lib_dir;                // holds libsextant_inject.so
  std::string cuda;                   // the toolkit
  std::string exec_backends;
  std::vector<std::string> tools;     // NAME=PATH
  std::vector<std::string> exposed;   // directories
  std::vector<std::string> path;      // directories
};

// Without flags: `libraries`, which the installation brings; the toolkit from $CUDA_HOME, else
// /usr/local/cuda. What a Python environment in `path` rests on (the interpreter it was made from)
// is exposed with it. INVALID_ARGUMENT names the flag.
absl::StatusOr<backends::Site> CompleteSite(const SiteFlags& flags,
                                            const std::filesystem::path& libraries);

// The directory that must be visible for the Python environment whose programs lie in `bin`, beside
// the environment itself; empty: none (no environment, or made from the system's Python).
std::filesystem::path PythonBase(const std::filesystem::path& bin);

}  // namespace sextant::agent
