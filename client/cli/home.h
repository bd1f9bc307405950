// Where things are: the embedded default's directory, its socket, logs and pid files, and the
// programs that belong together.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace sextant::cli {

// Reads an environment variable; absent when it is unset or empty.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// The embedded default lives in one directory:
//   run/sextantd.sock, run/sextantd.pid, run/worker.pid, log/sextantd.log, log/worker.log,
//   worker/ (the worker's state), and what sextantd keeps (its database).
struct Home {
  std::string directory;

  std::string Run(const std::string& name) const { return directory + "/run/" + name; }
  std::string Log(const std::string& name) const { return directory + "/log/" + name; }
  std::string SocketPath() const { return Run("sextantd.sock"); }
  std::string SocketAddress() const { return "unix://" + SocketPath(); }
};

// $SEXTANT_HOME; else /var/lib/sextant for root, $XDG_DATA_HOME/sextant or ~/.local/share/sextant.
Home FindHome(const Environment& environment, bool root);

// The path of `program` ("sextantd", "sextant-worker"): beside the running executable, in the build
// tree it belongs to, or in PATH. FAILED_PRECONDITION names where it was looked for.
absl::StatusOr<std::string> FindProgram(const std::string& program,
                                        const std::string& own_executable,
                                        const Environment& environment);

// The first executable file called `name` in PATH.
std::optional<std::string> FindInPath(const std::string& name, const Environment& environment);

}  // namespace sextant::cli
