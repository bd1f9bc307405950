#include "workers/installation.h"

#include <unistd.h>

#include <system_error>

namespace sextant {
namespace fs = std::filesystem;

Installation FindInstallation(const fs::path& program) {
  Installation found;
  const fs::path beside = program.parent_path();
  if (access((beside / "bwrap").c_str(), X_OK) == 0) found.bwrap = beside / "bwrap";
  std::error_code error;
  const fs::path libraries = beside.parent_path() / "lib/sextant";
  if (fs::is_directory(libraries, error)) found.libraries = libraries;
  return found;
}

}  // namespace sextant
