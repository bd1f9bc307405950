#include "workers/backends/sanitizer/sanitizer_backend.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "workers/backends/formats/findings.h"
#include "workers/backends/formats/lines.h"
#include "workers/backends/formats/tool_version.h"
#include "workers/backends/result_file.h"
#include "workers/backends/sanitizer/records.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;

constexpr char kProgram[] = "compute-sanitizer";
constexpr uint64_t kMaxRecordBytes = 1ull << 30;
constexpr uint64_t kMaxLogBytes = 256 << 20;

// The directory of the real program, with its libraries beside it; empty: not there.
fs::path DirectoryOf(const fs::path& named) {
  std::error_code error;
  fs::path real = fs::canonical(named, error);
  if (error) return {};
  if (fs::is_directory(real, error)) real /= kProgram;
  if (access(real.c_str(), X_OK) != 0) return {};
  // The toolkit's bin/compute-sanitizer is a script that starts ../compute-sanitizer/….
  for (const fs::path& directory :
       {real.parent_path(), real.parent_path().parent_path() / kProgram}) {
    if (fs::exists(directory / "libsanitizer-collection.so", error)) return directory;
  }
  return {};
}

absl::StatusOr<fs::path> FindDirectory(const Site& site) {
  const auto named = site.tools.find(kProgram);
  if (named != site.tools.end()) {
    const fs::path found = DirectoryOf(named->second);
    if (!found.empty()) return found;
    return absl::NotFoundError(
        absl::StrCat("the site's tool ", kProgram, "=", named->second,
                     " is no compute-sanitizer with its libraries beside it"));
  }
  std::vector<fs::path> places;
  if (!site.cuda.empty()) places.push_back(site.cuda / kProgram / kProgram);
  const char* path = getenv("PATH");
  for (const absl::string_view part :
       absl::StrSplit(path == nullptr ? "" : path, ':', absl::SkipEmpty())) {
    places.push_back(fs::path(std::string(part)) / kProgram);
  }
  for (const fs::path& place : places) {
    if (const fs::path found = DirectoryOf(place); !found.empty()) return found;
  }
  return absl::NotFoundError(absl::StrCat(kProgram, " is not in the CUDA toolkit (",
                                          site.cuda.empty() ? "none found" : site.cuda.string(),
                                          ") and not in PATH; install it, or tell the worker where "
                                          "it is (--tool compute-sanitizer=PATH)"));
}

}  // namespace

namespace sanitizer {

std::vector<std::string> CommandLine(const Options& options, const v1::Workload& workload) {
  std::vector<std::string> argv = {absl::StrCat(kInside, "/", kProgram),
                                   "--tool",
                                   options.tool,
                                   "--target-processes",
                                   "all",
                                   "--print-limit",
                                   absl::StrCat(options.limit),
                                   "--xml",
                                   "--save",
                                   absl::StrCat("/results/", kRecords),
                                   "--log-file",
                                   absl::StrCat("/results/", kLog)};
  if (options.tool == "racecheck") argv.insert(argv.end(), {"--racecheck-report", "all"});
  if (options.leaks) argv.insert(argv.end(), {"--leak-check", "full"});
  if (options.unused) argv.push_back("--track-unused-memory");
  if (!workload.kernels().empty()) {
    argv.insert(argv.end(), {"--kernel-name", absl::StrCat("regex=", workload.kernels())});
  }
  argv.insert(argv.end(), workload.argv().begin(), workload.argv().end());
  return argv;
}

absl::Status ExplainLogUntrusted(std::string_view log) {
  absl::Status status;
  formats::ForEachLine(log, [&](std::string_view line) {
    const auto has = [&](std::string_view words) {
      return line.find(words) != std::string_view::npos;
    };
    if (!status.ok() || line.substr(0, 9) != "=========") return;
    const std::string said = chunk::CleanName(line.substr(std::min<size_t>(10, line.size())), 400);
    if (has("terminated before first instrumented API call")) {
      status =
          WithRemedy(absl::FailedPreconditionError(absl::StrCat("nothing was checked: ", said)),
                     "check that the program reached its kernels (`sextant logs`)");
    } else if (has("Device not supported") || has("No supported")) {
      status = WithRemedy(
          absl::UnimplementedError(absl::StrCat("compute-sanitizer cannot work here: ", said)),
          "a GPU or driver that is newer than the toolkit needs a newer toolkit");
    } else if (has("Internal Sanitizer Error")) {
      status = absl::UnavailableError(absl::StrCat("compute-sanitizer failed: ", said));
    }
  });
  return status;
}

}  // namespace sanitizer

SanitizerBackend::SanitizerBackend(const Site& site) : directory_(FindDirectory(site)) {}

std::string SanitizerBackend::Name() const { return "sanitizer"; }

v1::BackendOffer SanitizerBackend::Probe() const {
  v1::BackendOffer offer;
  offer.set_name(Name());
  offer.set_device_kind("gpu");
  if (!directory_.ok()) {
    offer.set_reason(std::string(directory_.status().message()));
    return offer;
  }
  offer.set_available(true);
  offer.set_tool_digest(formats::ToolDigest("sanitizer backend 1", *directory_ / kProgram));
  for (const char* name : {"CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH"}) {
    offer.add_features(absl::StrCat(kExcludesEnvironment, name));
  }
  return offer;
}

absl::StatusOr<LaunchPlan> SanitizerBackend::Prepare(const v1::Assignment& assignment) const {
  RETURN_IF_ERROR(directory_.status());
  if (assignment.workload().argv().empty()) {
    return absl::InvalidArgumentError("workload.argv: is empty; name the program to run");
  }
  ASSIGN_OR_RETURN(const sanitizer::Options options, sanitizer::ParseOptions(assignment.spec()));
  LaunchPlan plan;
  plan.argv = sanitizer::CommandLine(options, assignment.workload());
  plan.mounts.push_back({directory_->string(), sanitizer::kInside, false});
  return plan;
}

absl::StatusOr<Collected> SanitizerBackend::Collect(const RunRecord& run) const {
  ASSIGN_OR_RETURN(const sanitizer::Options options,
                   sanitizer::ParseOptions(run.assignment->spec()));
  Collected collected;
  absl::StatusOr<std::string> log = ReadResultFile(run.results_dir / sanitizer::kLog, kMaxLogBytes);
  if (log.ok()) {
    RETURN_IF_ERROR(sanitizer::ExplainLogUntrusted(*log));
    collected.artifacts.push_back({sanitizer::kLog, "log", run.results_dir / sanitizer::kLog});
  }
  absl::StatusOr<std::string> xml =
      ReadResultFile(run.results_dir / sanitizer::kRecords, kMaxRecordBytes);
  if (!xml.ok()) {
    return absl::UnavailableError(
        absl::StrCat("compute-sanitizer left no records: ", xml.status().message()));
  }
  ASSIGN_OR_RETURN(const sanitizer::Records records,
                   sanitizer::ParseRecordsUntrusted(*xml, options.tool));
  formats::FindingsTable table;
  for (const formats::Finding& finding : records.findings) table.Add(finding);
  v1::Counter found;
  found.set_name(absl::StrCat(options.tool, ".findings"));
  found.set_unit("events");
  found.set_value(static_cast<double>(records.records));
  found.set_instances(records.findings.size());
  collected.counters.push_back(std::move(found));
  if (records.cut_off) {
    collected.notes.push_back(
        "compute-sanitizer's records end in the middle; the last one is missing");
  }
  if (records.records >= options.limit) {
    collected.notes.push_back(absl::StrCat("there may be more than the ", options.limit,
                                           " errors reported; set limit higher"));
  }
  collected.tables.push_back(table.Finish());
  return collected;
}

}  // namespace sextant::backends
