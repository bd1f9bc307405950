// Where Nsight Compute is, and how it is started.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "workers/backends/backend.h"
#include "workers/backends/ncu/options.h"

namespace sextant::backends::ncu {

// An installation: its directory holds ncu, sections/ and its target programs.
struct Installation {
  std::filesystem::path directory;
  std::string version;  // "2025.3.1.0"
};

// Where the installation is seen inside the sandbox.
inline constexpr char kInside[] = "/sextant/nsight-compute";

// What a run leaves in its results directory.
inline constexpr char kReport[] = "ncu.ncu-rep";
inline constexpr char kLog[] = "ncu.log";                  // of the run
inline constexpr char kRawPage[] = "ncu.raw.csv";          // every metric of every launch
inline constexpr char kDetailsPage[] = "ncu.details.csv";  // sections and what ncu's rules say
inline constexpr char kExportLog[] = "ncu.export.log";

// Site.tools["ncu"] (ncu or its directory), else beside the toolkit, in PATH, or in
// /opt/nvidia/nsight-compute, the newest. NOT_FOUND says where was looked.
absl::StatusOr<Installation> FindInstallation(const Site& site);

// "ncu --version"'s text → "2025.3.1.0"; "" when it says none.
std::string ParseVersion(absl::string_view text);

// The whole command line: runs the program under ncu, then writes the two pages from its report,
// and exits as ncu did. A pure function: its text is what is tested.
std::vector<std::string> CommandLine(const Options& options, const v1::Workload& workload);

}  // namespace sextant::backends::ncu
