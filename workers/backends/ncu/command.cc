#include "workers/backends/ncu/command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace sextant::backends::ncu {
namespace {
namespace fs = std::filesystem;

constexpr char kPackages[] = "/opt/nvidia/nsight-compute";

// "2025.3.1" before "2025.10": by number, part by part.
std::vector<uint32_t> VersionOf(const std::string& name) {
  std::vector<uint32_t> parts;
  for (const absl::string_view part : absl::StrSplit(name, absl::ByAnyChar(".-"))) {
    uint32_t number = 0;
    if (absl::SimpleAtoi(part, &number)) parts.push_back(number);
  }
  return parts;
}

// An installation is a directory that holds ncu and its sections.
bool IsInstallation(const fs::path& directory) {
  std::error_code error;
  return access((directory / "ncu").c_str(), X_OK) == 0 &&
         fs::is_directory(directory / "sections", error);
}

// The newest installation among the directories in `parent` whose names begin with `begin`.
fs::path NewestIn(const fs::path& parent, const std::string& begin) {
  fs::path newest;
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.compare(0, begin.size(), begin) != 0 || !IsInstallation(entry->path())) continue;
    if (newest.empty() || VersionOf(newest.filename().string()) < VersionOf(name)) {
      newest = entry->path();
    }
  }
  return newest;
}

// Of a directory or a program in one, through links.
fs::path InstallationOf(const fs::path& named) {
  std::error_code error;
  fs::path real = fs::canonical(named, error);
  if (error) return {};
  if (!fs::is_directory(real, error)) real = real.parent_path();
  // …/target/linux-desktop-glibc_2_11_3-x64/ncu
  for (fs::path at = real; at.has_relative_path(); at = at.parent_path()) {
    if (IsInstallation(at)) return at;
  }
  return {};
}

fs::path InPath() {
  const char* path = getenv("PATH");
  for (const absl::string_view directory :
       absl::StrSplit(path == nullptr ? "" : path, ':', absl::SkipEmpty())) {
    const fs::path found = InstallationOf(fs::path(std::string(directory)) / "ncu");
    if (!found.empty()) return found;
  }
  return {};
}

std::string Quoted(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string Result(const char* name) { return absl::StrCat("/results/", name); }

std::string Export(const char* page, const char* to) {
  return absl::StrCat("\"$ncu\" --import ", Result(kReport), " --csv --page ", page,
                      " --print-units base --print-kernel-base mangled > ", Result(to), " 2>> ",
                      Result(kExportLog));
}

}  // namespace

std::string ParseVersion(absl::string_view text) {
  const size_t word = text.find("Version ");
  if (word == absl::string_view::npos) return "";
  text = text.substr(word + 8);
  const size_t end = text.find_first_not_of("0123456789.");
  const absl::string_view version = text.substr(0, end);
  return version.size() > 32 ? "" : std::string(version);
}

absl::StatusOr<Installation> FindInstallation(const Site& site) {
  const auto named = site.tools.find("ncu");
  Installation found;
  if (named != site.tools.end()) {
    found.directory = InstallationOf(named->second);
    if (found.directory.empty()) {
      return absl::NotFoundError(absl::StrCat(
          "the site's tool ncu=", named->second,
          " is no installation of Nsight Compute: it must be ncu, or the directory that holds ncu "
          "and sections/"));
    }
  }
  if (found.directory.empty() && !site.cuda.empty())
    found.directory = NewestIn(site.cuda, "nsight-compute");
  if (found.directory.empty()) found.directory = InPath();
  if (found.directory.empty()) found.directory = NewestIn(kPackages, "");
  if (found.directory.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "Nsight Compute is not in the CUDA toolkit (",
        site.cuda.empty() ? "none found" : site.cuda.string(), "), not in PATH and not in ",
        kPackages, "; install it, or tell the worker where it is (--tool ncu=PATH)"));
  }
  return found;
}

std::vector<std::string> CommandLine(const Options& options, const v1::Workload& workload) {
  std::vector<std::string> ncu = {"\"$ncu\"",
                                  "--clock-control none",
                                  "--target-processes all",
                                  "--graph-profiling node",
                                  "--replay-mode",
                                  options.replay,
                                  "--cache-control",
                                  options.flush_caches ? "all" : "none"};
  if (!options.set.empty()) ncu.push_back(absl::StrCat("--set ", options.set));
  if (!options.metrics.empty()) {
    // What says how long a launch took goes with every list of metrics.
    ncu.push_back(
        absl::StrCat("--metrics gpu__time_duration.sum,", absl::StrJoin(options.metrics, ",")));
  }
  for (const std::string& section : options.sections)
    ncu.push_back(absl::StrCat("--section ", section));
  if (!workload.kernels().empty()) {
    ncu.push_back("--kernel-name-base demangled");
    ncu.push_back(
        absl::StrCat("--kernel-name ", Quoted(absl::StrCat("regex:", workload.kernels()))));
  }
  if (options.launch_skip > 0) ncu.push_back(absl::StrCat("--launch-skip ", options.launch_skip));
  if (options.launch_count > 0)
    ncu.push_back(absl::StrCat("--launch-count ", options.launch_count));
  ncu.push_back(
      absl::StrCat("--log-file ", Result(kLog), " --force-overwrite --export ", Result(kReport)));
  ncu.push_back("\"$@\"");
  const std::string script = absl::StrCat(
      "ncu=", kInside, "/ncu\nPATH=/work:$PATH\n", absl::StrJoin(ncu, " "), "\ncode=$?\n", "[ -f ",
      Result(kReport), " ] || exit $code\n", Export("raw", kRawPage), "\n",
      Export("details", kDetailsPage), "\nexit $code\n");
  std::vector<std::string> argv = {"/bin/sh", "-c", script, "ncu"};
  argv.insert(argv.end(), workload.argv().begin(), workload.argv().end());
  return argv;
}

}  // namespace sextant::backends::ncu
