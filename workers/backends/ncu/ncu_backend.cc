#include "workers/backends/ncu/ncu_backend.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"

#include "workers/backends/formats/tool_version.h"
#include "workers/backends/ncu/log.h"
#include "workers/backends/ncu/options.h"
#include "workers/backends/ncu/tables.h"
#include "workers/backends/result_file.h"

namespace sextant::backends {
namespace {

constexpr uint64_t kMaxPageBytes = 1ull << 30;
constexpr uint64_t kMaxLogBytes = 16 << 20;
constexpr size_t kMaxMissingNamed = 20;
constexpr size_t kMaxFilesLeft = 10'000;

// A file that may be absent: an empty text.
std::string ReadOptional(const std::filesystem::path& results, const char* name, uint64_t max_bytes,
                         std::vector<std::string>* notes) {
  absl::StatusOr<std::string> text = ReadResultFile(results / name, max_bytes);
  if (text.ok()) return *std::move(text);
  if (!absl::IsNotFound(text.status())) notes->push_back(std::string(text.status().message()));
  return "";
}

// Metrics asked for that no launch has. ncu says nothing about them.
std::vector<std::string> Missing(const std::vector<std::string>& wanted, const ncu::RawPage& page) {
  std::vector<std::string> missing;
  for (const std::string& name : wanted) {
    const bool there =
        std::any_of(page.metrics.begin(), page.metrics.end(), [&](const ncu::Metric& m) {
          return m.name == name || m.name.compare(0, name.size() + 1, name + ".") == 0;
        });
    if (!there) missing.push_back(name);
  }
  return missing;
}

}  // namespace

NcuBackend::NcuBackend(const Site& site) : installation_(ncu::FindInstallation(site)) {}

std::string NcuBackend::Name() const { return "ncu"; }

v1::BackendOffer NcuBackend::Probe() const {
  v1::BackendOffer offer;
  offer.set_name(Name());
  offer.set_device_kind("gpu");
  if (!installation_.ok()) {
    offer.set_reason(std::string(installation_.status().message()));
    return offer;
  }
  offer.set_available(true);
  offer.set_tool_digest(formats::ToolDigest("ncu backend 1", installation_->directory / "ncu"));
  for (const char* name : {"CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH"}) {
    offer.add_features(absl::StrCat(kExcludesEnvironment, name));
  }
  return offer;
}

absl::StatusOr<LaunchPlan> NcuBackend::Prepare(const v1::Assignment& assignment) const {
  RETURN_IF_ERROR(installation_.status());
  if (assignment.workload().argv().empty()) {
    return absl::InvalidArgumentError("workload.argv: is empty; name the program to run");
  }
  ASSIGN_OR_RETURN(const ncu::Options options, ncu::ParseOptions(assignment.spec()));
  LaunchPlan plan;
  plan.argv = ncu::CommandLine(options, assignment.workload());
  plan.mounts.push_back({installation_->directory.string(), ncu::kInside, false});
  return plan;
}

absl::StatusOr<Collected> NcuBackend::Collect(const RunRecord& run) const {
  ASSIGN_OR_RETURN(const ncu::Options options, ncu::ParseOptions(run.assignment->spec()));
  Collected collected;
  const ncu::Log log = ncu::ParseLogUntrusted(
      ReadOptional(run.results_dir, ncu::kLog, kMaxLogBytes, &collected.notes));
  absl::StatusOr<std::string> text = ReadResultFile(run.results_dir / ncu::kRawPage, kMaxPageBytes);
  if (absl::IsNotFound(text.status())) {
    return ncu::WhyNothing(log, run.assignment->workload().kernels());
  }
  RETURN_IF_ERROR(text.status());
  ASSIGN_OR_RETURN(const ncu::RawPage page, ncu::ParseRawPageUntrusted(*text));
  if (page.launches.empty()) return ncu::WhyNothing(log, run.assignment->workload().kernels());

  std::vector<std::string> missing = Missing(options.metrics, page);
  if (!missing.empty() && missing.size() == options.metrics.size() && options.set.empty() &&
      options.sections.empty()) {
    return WithRemedy(
        absl::UnimplementedError(absl::StrCat("options[\"metrics\"]: this GPU has none of ",
                                              absl::StrJoin(missing, ", "))),
        "`ncu --query-metrics` on the worker lists the names of its GPU's metrics");
  }
  if (missing.size() > kMaxMissingNamed) missing.resize(kMaxMissingNamed);
  if (!missing.empty()) {
    collected.notes.push_back(
        absl::StrCat("metrics that this GPU or ncu does not have: ", absl::StrJoin(missing, ", ")));
  }
  for (const std::string& error : log.errors)
    collected.notes.push_back(absl::StrCat("ncu: ", error));
  for (const std::string& warning : log.warnings) {
    collected.notes.push_back(absl::StrCat("ncu: ", warning));
  }

  ncu::DetailsPage details;
  absl::StatusOr<ncu::DetailsPage> parsed = ncu::ParseDetailsPageUntrusted(
      ReadOptional(run.results_dir, ncu::kDetailsPage, kMaxPageBytes, &collected.notes));
  if (parsed.ok()) {
    details = *std::move(parsed);
  } else {
    collected.notes.push_back(std::string(parsed.status().message()));
  }
  const std::vector<int64_t> numbers = ncu::NumberLaunches(page, options.launch_skip);
  collected.tables.push_back(ncu::LaunchesTable(page, numbers));
  collected.tables.push_back(ncu::NcuTable(page, numbers, details, &collected.notes));
  if (!details.advice.empty()) collected.tables.push_back(ncu::AdviceTable(page, numbers, details));
  collected.counters = ncu::KernelCounters(page, options.metrics);
  // Pages that were imported may come without.
  const std::vector<std::string> left = ListResultFiles(run.results_dir, kMaxFilesLeft);
  for (const auto& [name, kind] : {std::pair(ncu::kReport, "trace-raw"), {ncu::kLog, "log"}}) {
    if (std::find(left.begin(), left.end(), name) != left.end()) {
      collected.artifacts.push_back({name, kind, run.results_dir / name});
    }
  }
  return collected;
}

}  // namespace sextant::backends
