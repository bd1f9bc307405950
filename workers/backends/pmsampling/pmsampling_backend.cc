#include "workers/backends/pmsampling/pmsampling_backend.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "workers/backends/injected/launches.h"
#include "workers/backends/injected/outcome.h"
#include "workers/backends/injected/plan.h"
#include "workers/backends/injected/read_launches.h"
#include "workers/backends/pmsampling/importer.h"
#include "workers/backends/profiling/options.h"

namespace sextant::backends {
namespace {

constexpr char kName[] = "pmsampling";
constexpr uint64_t kDefaultIntervalUs = 20;
constexpr uint64_t kLeastIntervalUs = 2, kMostIntervalUs = 1'000'000;

// The first that the chip can count in one hardware pass is taken. Chips since GA100 keep what is
// sampled over time in groups.
constexpr char kDefaultMetrics[] =
    "TPC.TriageCompute.sm__cycles_active.avg.pct_of_peak_sustained_elapsed+"
    "TPC.TriageCompute.sm__inst_executed_realtime.avg.per_cycle_elapsed+"
    "TPC.TriageCompute.sm__pipe_tensor_cycles_active_realtime.avg.pct_of_peak_sustained_elapsed+"
    "dram__bytes_read.sum+dram__bytes_write.sum|"
    "sm__cycles_active.avg.pct_of_peak_sustained_elapsed+sm__inst_executed.avg.per_cycle_elapsed+"
    "dram__bytes_read.sum+dram__bytes_write.sum|"
    "sm__cycles_active.avg.pct_of_peak_sustained_elapsed+sm__inst_executed.avg.per_cycle_elapsed";

absl::StatusOr<std::map<std::string, std::string>> ParseOptions(const v1::PassSpec& spec) {
  // Launches are all that is wanted of the activity instrument.
  std::map<std::string, std::string> options = {{injected::kLightOption, "1"},
                                                {"pmsampling.metrics", kDefaultMetrics}};
  uint64_t interval_us = kDefaultIntervalUs;
  for (const auto& [name, value] : spec.options()) {
    if (name == "interval_us") {
      ASSIGN_OR_RETURN(interval_us,
                       profiling::ParseNumber(name, value, kLeastIntervalUs, kMostIntervalUs));
    } else if (name == "metrics") {
      ASSIGN_OR_RETURN(const std::vector<std::string> metrics,
                       profiling::ParseMetricNames(name, value));
      options["pmsampling.metrics"] = absl::StrJoin(metrics, "+");
    } else {
      return injected::NoSuchOption(kName, name, "interval_us, metrics");
    }
  }
  options["pmsampling.interval_ns"] = absl::StrCat(interval_us * 1000);
  return options;
}

}  // namespace

std::string PmSamplingBackend::Name() const { return kName; }

v1::BackendOffer PmSamplingBackend::Probe() const {
  return injected::ProbeInjection(site_, kName);
}

absl::StatusOr<LaunchPlan> PmSamplingBackend::Prepare(const v1::Assignment& assignment) const {
  ASSIGN_OR_RETURN(const auto options, ParseOptions(assignment.spec()));
  return injected::PlanInjection(site_, assignment, injected::WithActivity(kName, options), options);
}

absl::StatusOr<Collected> PmSamplingBackend::Collect(const RunRecord& run) const {
  pmsampling::Importer importer(run.started_monotonic_ns);
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
    return injected::NothingRecorded(run, read.processes, "no sample was taken");
  }
  for (std::string& note : injected::NotesOf(run, read.processes)) {
    collected.notes.push_back(std::move(note));
  }

  injected::Launches launches(
      run.assignment != nullptr ? run.assignment->workload().kernels() : "",
      run.started_monotonic_ns);
  RETURN_IF_ERROR(injected::ReadLaunches(run, injected::kActivityInstrument, &launches, &read.notes));
  if (launches.launches().empty()) {
    read.notes.push_back("no launch that matches was recorded beside the samples");
  } else {
    collected.tables.push_back(launches.LaunchTable());
  }
  for (std::string& note : read.notes) collected.notes.push_back(std::move(note));
  return collected;
}

}  // namespace sextant::backends
