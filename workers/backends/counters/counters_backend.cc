#include "workers/backends/counters/counters_backend.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/status/status.h"
#include "workers/backends/counters/importer.h"
#include "workers/backends/counters/metric_sets.h"
#include "workers/backends/injected/outcome.h"
#include "workers/backends/injected/plan.h"
#include "workers/backends/profiling/options.h"

namespace sextant::backends {
namespace {

constexpr char kName[] = "counters";
constexpr char kKnown[] = "set, metrics, replay, part, skip, launches";
constexpr uint64_t kMaxLaunches = 1'000'000;
constexpr uint64_t kMaxPart = 1000;

absl::StatusOr<std::vector<std::string>> ParseSets(const std::string& value) {
  std::vector<std::string> metrics;
  for (const std::string& name :
       std::vector<std::string>(absl::StrSplit(value, '+', absl::SkipEmpty()))) {
    RETURN_IF_ERROR(profiling::CheckChoice("set", name, counters::MetricSetNames()));
    for (std::string& metric : counters::MetricSet(name)) {
      if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end()) {
        metrics.push_back(std::move(metric));
      }
    }
  }
  if (metrics.empty()) return profiling::CheckChoice("set", value, counters::MetricSetNames());
  return metrics;
}

absl::StatusOr<std::map<std::string, std::string>> ParseOptions(const v1::PassSpec& spec) {
  std::map<std::string, std::string> options;
  for (const auto& [name, value] : spec.options()) {
    if (name == "set") {
      ASSIGN_OR_RETURN(const std::vector<std::string> metrics, ParseSets(value));
      options["counters.wanted"] = absl::StrJoin(metrics, "+");
    } else if (name == "metrics") {
      ASSIGN_OR_RETURN(const std::vector<std::string> metrics,
                       profiling::ParseMetricNames(name, value));
      options["counters.metrics"] = absl::StrJoin(metrics, "+");
    } else if (name == "replay") {
      RETURN_IF_ERROR(profiling::CheckChoice(name, value, {"kernel", "application"}));
      options["counters.replay"] = value;
    } else if (name == "part") {
      ASSIGN_OR_RETURN(const uint64_t part, profiling::ParseNumber(name, value, 1, kMaxPart));
      options["counters.part"] = absl::StrCat(part);
    } else if (name == "skip" || name == "launches") {
      ASSIGN_OR_RETURN(
          const uint64_t number,
          profiling::ParseNumber(name, value, name == "skip" ? 0 : 1, kMaxLaunches));
      options[absl::StrCat("counters.", name)] = absl::StrCat(number);
    } else {
      return injected::NoSuchOption(kName, name, kKnown);
    }
  }
  if (options.contains("counters.part") && options["counters.replay"] != "application") {
    return absl::InvalidArgumentError(
        "options[\"part\"]: only replay=application has parts; add it, or leave part out");
  }
  if (!options.contains("counters.wanted") && !options.contains("counters.metrics")) {
    options["counters.wanted"] = absl::StrJoin(counters::MetricSet("ipc"), "+");
  }
  return options;
}

}  // namespace

std::string CountersBackend::Name() const { return kName; }

v1::BackendOffer CountersBackend::Probe() const { return injected::ProbeInjection(site_, kName); }

absl::StatusOr<LaunchPlan> CountersBackend::Prepare(const v1::Assignment& assignment) const {
  ASSIGN_OR_RETURN(const auto options, ParseOptions(assignment.spec()));
  return injected::PlanInjection(site_, assignment, kName, options);
}

absl::StatusOr<Collected> CountersBackend::Collect(const RunRecord& run) const {
  counters::Importer importer(
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
    return injected::NothingRecorded(run, read.processes,
                                     "no launch was counted: none matched, or skip is larger than "
                                     "their number");
  }
  for (std::string& note : injected::NotesOf(run, read.processes)) {
    collected.notes.push_back(std::move(note));
  }
  for (std::string& note : read.notes) collected.notes.push_back(std::move(note));
  return collected;
}

}  // namespace sextant::backends
