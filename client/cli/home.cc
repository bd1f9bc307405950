#include "client/cli/home.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

bool Executable(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

}  // namespace

Home FindHome(const Environment& environment, bool root) {
  if (auto home = environment("SEXTANT_HOME")) return {fs::absolute(*home).lexically_normal()};
  if (root) return {"/var/lib/sextant"};
  if (auto data = environment("XDG_DATA_HOME")) return {*data + "/sextant"};
  return {environment("HOME").value_or("/tmp") + "/.local/share/sextant"};
}

std::optional<std::string> FindInPath(const std::string& name, const Environment& environment) {
  const std::string path = environment("PATH").value_or("/usr/local/bin:/usr/bin:/bin");
  for (absl::string_view directory : absl::StrSplit(path, ':', absl::SkipEmpty())) {
    std::string candidate = absl::StrCat(directory, "/", name);
    if (Executable(candidate)) return candidate;
  }
  return std::nullopt;
}

absl::StatusOr<std::string> FindProgram(const std::string& program,
                                        const std::string& own_executable,
                                        const Environment& environment) {
  const fs::path beside = fs::path(own_executable).parent_path();
  // In a build tree this program is BUILD/client/cli/sextant.
  const fs::path build = beside.parent_path().parent_path();
  std::vector<std::string> tried;
  for (const fs::path& candidate :
       {beside / program, build / "bin" / program, build / "server" / program, build / "workers" / program}) {
    if (Executable(candidate)) return candidate.string();
    tried.push_back(candidate.string());
  }
  if (auto found = FindInPath(program, environment)) return *found;
  return absl::FailedPreconditionError(absl::StrCat(program, " was found neither at ",
                                          absl::StrJoin(tried, " nor at "),
                                          " nor in PATH; build or install it beside sextant"));
}

}  // namespace sextant::cli
