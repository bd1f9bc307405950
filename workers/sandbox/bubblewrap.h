// What the sandbox, the probe and the interactive shell share about bubblewrap itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/sandbox/cgroup.h"
#include "workers/sandbox/disk.h"
#include "workers/sandbox/files.h"
#include "workers/sandbox/policy.h"
#include "workers/sandbox/run.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::sandbox {

struct BwrapProgram {
  std::string path;
  std::string version;  // "0.8.0"
};

// FAILED_PRECONDITION with the remedy when there is none, or it is older than 0.8.
absl::StatusOr<BwrapProgram> FindBwrap(const std::string& path);

// What every start needs and none changes. Thread-safe once made.
class BwrapLauncher {
 public:
  static absl::StatusOr<BwrapLauncher> Make(const SandboxOptions& options);

  // Everything but the standard streams and the cgroup. With `interactive` the terminal's session
  // is kept.
  absl::Status Prepare(const RunSpec& spec, bool interactive, Launch& launch) const;

  const BwrapProgram& program() const { return program_; }
  const std::optional<Owner>& user() const { return user_; }

 private:
  BwrapProgram program_;
  std::optional<Owner> user_;
  HostFacts host_;
  Fd init_, passwd_, group_, hosts_, filter_, filter_with_perf_;
};

// What to do when bubblewrap could not make its namespaces; `said` is what it printed.
std::string NamespaceRemedy(const std::string& said);

}  // namespace sextant::sandbox
