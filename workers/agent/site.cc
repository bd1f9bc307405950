#include "workers/agent/site.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/status/status.h"

namespace sextant::agent {
namespace fs = std::filesystem;
namespace {

bool Below(const fs::path& path, const fs::path& directory) {
  return path == directory || absl::StartsWith(path.string(), directory.string() + "/");
}

// Every container shows these already.
bool OfTheSystem(const fs::path& path) {
  return Below(path, "/usr") || Below(path, "/bin") || Below(path, "/sbin") ||
         absl::StartsWith(path.string(), "/lib");
}

absl::StatusOr<fs::path> Directory(const char* flag, const std::string& given) {
  const fs::path path = fs::absolute(given).lexically_normal();
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return path.has_filename() ? path : path.parent_path();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " ", given, ": there is no such directory on this machine"));
}

fs::path FindCuda() {
  std::vector<fs::path> places;
  if (const char* home = getenv("CUDA_HOME"); home != nullptr && *home != '\0') {
    places.push_back(home);
  }
  places.push_back("/usr/local/cuda");
  std::error_code error;
  for (const fs::path& place : places) {
    if (fs::is_directory(place, error)) return place;
  }
  return {};
}

void Expose(const fs::path& directory, std::vector<fs::path>& exposed) {
  if (OfTheSystem(directory)) return;
  const bool seen = std::any_of(exposed.begin(), exposed.end(),
                                [&](const fs::path& one) { return Below(directory, one); });
  if (!seen) exposed.push_back(directory);
}

}  // namespace

fs::path PythonBase(const fs::path& bin) {
  std::ifstream file(bin.parent_path() / "pyvenv.cfg");
  for (std::string line; std::getline(file, line);) {
    const std::pair<std::string, std::string> entry = absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (absl::StripAsciiWhitespace(entry.first) != "home") continue;
    std::error_code error;
    // The directory of the interpreter itself: links may lead on from the one that is named.
    const fs::path home(std::string(absl::StripAsciiWhitespace(entry.second)));
    const fs::path real = fs::canonical(bin / "python3", error);
    const fs::path base = (error ? home : real.parent_path()).parent_path();
    return OfTheSystem(base) ? fs::path() : base;
  }
  return {};
}

absl::StatusOr<backends::Site> CompleteSite(const SiteFlags& flags, const fs::path& libraries) {
  backends::Site site;
  std::error_code error;
  site.libraries = libraries;
  if (!flags.lib_dir.empty()) {
    ASSIGN_OR_RETURN(site.libraries, Directory("--lib-dir", flags.lib_dir));
  }
  if (!flags.cuda.empty()) {
    ASSIGN_OR_RETURN(site.cuda, Directory("--cuda", flags.cuda));
  } else {
    site.cuda = FindCuda();
  }
  if (!flags.exec_backends.empty()) {
    ASSIGN_OR_RETURN(site.exec_backends, Directory("--exec-backends", flags.exec_backends));
  }
  for (const std::string& tool : flags.tools) {
    const std::pair<std::string, std::string> entry = absl::StrSplit(tool, absl::MaxSplits('=', 1));
    if (entry.first.empty() || entry.second.empty() || !fs::exists(entry.second, error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--tool ", tool, ": give NAME=PATH of a file on this machine"));
    }
    site.tools[entry.first] = fs::absolute(entry.second).lexically_normal().string();
  }
  for (const std::string& given : flags.exposed) {
    ASSIGN_OR_RETURN(const fs::path directory, Directory("--expose", given));
    for (const char* own : {"/", "/dev", "/proc", "/sys", "/tmp", "/etc", "/work", "/results"}) {
      if (directory != own) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("--expose ", given, ": the container has its own; expose what is needed of it"));
    }
    Expose(directory, site.exposed);
  }
  for (const std::string& given : flags.path) {
    ASSIGN_OR_RETURN(const fs::path directory, Directory("--path-prefix", given));
    site.path.push_back(directory);
    Expose(directory.filename() == "bin" ? directory.parent_path() : directory, site.exposed);
    if (const fs::path base = PythonBase(directory); !base.empty()) Expose(base, site.exposed);
  }
  // The toolkit's tools run inside too.
  if (!site.cuda.empty()) Expose(fs::canonical(site.cuda, error), site.exposed);
  return site;
}

}  // namespace sextant::agent
