#include "workers/backends/sassmetrics/sassmetrics_backend.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/backends/injected/outcome.h"
#include "workers/backends/injected/plan.h"
#include "workers/backends/injected/read_launches.h"
#include "workers/backends/sassmetrics/importer.h"
#include "workers/backends/profiling/options.h"

namespace sextant::backends {
namespace {

constexpr char kName[] = "sassmetrics";
constexpr uint64_t kMaxLaunches = 1'000'000;

absl::StatusOr<std::map<std::string, std::string>> ParseOptions(const v1::PassSpec& spec) {
  std::map<std::string, std::string> options;
  for (const auto& [name, value] : spec.options()) {
    if (name == "per") {
      RETURN_IF_ERROR(profiling::CheckChoice(name, value, {"kernel", "launch"}));
      options["sassmetrics.per"] = value;
    } else if (name == "skip" || name == "launches") {
      ASSIGN_OR_RETURN(
          const uint64_t number,
          profiling::ParseNumber(name, value, name == "skip" ? 0 : 1, kMaxLaunches));
      options[absl::StrCat("sassmetrics.", name)] = absl::StrCat(number);
    } else {
      return injected::NoSuchOption(kName, name, "per, skip, launches");
    }
  }
  if ((options.contains("sassmetrics.skip") || options.contains("sassmetrics.launches")) &&
      options["sassmetrics.per"] != "launch") {
    return absl::InvalidArgumentError(
        "options: skip and launches choose among launches, so they need per=launch");
  }
  return options;
}

}  // namespace

std::string SassMetricsBackend::Name() const { return kName; }

v1::BackendOffer SassMetricsBackend::Probe() const { return injected::ProbeInjection(site_, kName); }

absl::StatusOr<LaunchPlan> SassMetricsBackend::Prepare(const v1::Assignment& assignment) const {
  ASSIGN_OR_RETURN(const auto options, ParseOptions(assignment.spec()));
  return injected::PlanInjection(site_, assignment, kName, options);
}

absl::StatusOr<Collected> SassMetricsBackend::Collect(const RunRecord& run) const {
  sassmetrics::Importer importer(
      run.assignment != nullptr ? run.assignment->workload().kernels() : "");
  ASSIGN_OR_RETURN(
      profiling::ReadFiles read,
      profiling::ReadAll(run, kName,
                         [&](const injected::Process& from, uint32_t index, uint32_t type,
                             std::string_view payload) {
                           importer.Take(from, index, type, payload);
                         }));
  Collected collected;
  if (!importer.Finish(&collected)) {
    RETURN_IF_ERROR(importer.ProblemStatus());
    return injected::NothingRecorded(run, read.processes, "no kernel that matches was counted");
  }
  RETURN_IF_ERROR(injected::AddLaunches(run, &collected, kName));
  for (std::string& note : injected::NotesOf(run, read.processes)) {
    collected.notes.push_back(std::move(note));
  }
  for (std::string& note : read.notes) collected.notes.push_back(std::move(note));
  return collected;
}

}  // namespace sextant::backends
