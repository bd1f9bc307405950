#include "workers/backends/pcsampling/pcsampling_backend.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/backends/injected/outcome.h"
#include "workers/backends/injected/plan.h"
#include "workers/backends/injected/read_launches.h"
#include "workers/backends/pcsampling/importer.h"
#include "workers/backends/profiling/options.h"

namespace sextant::backends {
namespace {

constexpr char kName[] = "pcsampling";
constexpr uint64_t kLeastPeriod = 5, kMostPeriod = 31;  // CUPTI's

absl::StatusOr<std::map<std::string, std::string>> ParseOptions(const v1::PassSpec& spec) {
  std::map<std::string, std::string> options = {{injected::kLightOption, "1"}};
  for (const auto& [name, value] : spec.options()) {
    if (name == "mode") {
      RETURN_IF_ERROR(profiling::CheckChoice(name, value, {"continuous", "serialized"}));
      options["pcsampling.mode"] = value;
    } else if (name == "period") {
      ASSIGN_OR_RETURN(const uint64_t period,
                       profiling::ParseNumber(name, value, kLeastPeriod, kMostPeriod));
      options["pcsampling.period"] = absl::StrCat(period);
    } else if (name == "activity") {
      ASSIGN_OR_RETURN(const bool wanted, injected::ParseSwitch(name, value));
      if (!wanted) options.erase(injected::kLightOption);
    } else {
      return injected::NoSuchOption(kName, name, "mode, period, activity");
    }
  }
  return options;
}

}  // namespace

std::string PcSamplingBackend::Name() const { return kName; }

v1::BackendOffer PcSamplingBackend::Probe() const { return injected::ProbeInjection(site_, kName); }

absl::StatusOr<LaunchPlan> PcSamplingBackend::Prepare(const v1::Assignment& assignment) const {
  ASSIGN_OR_RETURN(const auto options, ParseOptions(assignment.spec()));
  return injected::PlanInjection(site_, assignment, injected::WithActivity(kName, options), options);
}

absl::StatusOr<Collected> PcSamplingBackend::Collect(const RunRecord& run) const {
  pcsampling::Importer importer(
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
        importer.unmatched() > 0
            ? absl::StrCat("all ", importer.unmatched(),
                           " samples are of kernels that do not match workload.kernels")
            : "no kernel ran long enough to be sampled; use a smaller period, or longer kernels");
  }
  for (std::string& note : injected::NotesOf(run, read.processes)) {
    collected.notes.push_back(std::move(note));
  }
  for (std::string& note : read.notes) collected.notes.push_back(std::move(note));
  RETURN_IF_ERROR(injected::AddLaunches(run, &collected));
  return collected;
}

}  // namespace sextant::backends
