#include "workers/backends/activity/activity_backend.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/chunk/encoder.h"
#include "proto/status/status.h"
#include "workers/backends/activity/importer.h"
#include "workers/backends/injected/outcome.h"
#include "workers/backends/injected/plan.h"
#include "workers/backends/injected/reader.h"

namespace sextant::backends {
namespace {

constexpr char kName[] = "activity";

absl::StatusOr<std::map<std::string, std::string>> ParseOptions(const v1::PassSpec& spec) {
  std::map<std::string, std::string> options;
  for (const auto& [name, value] : spec.options()) {
    if (name != "api" && name != "nvtx" && name != "light") {
      return injected::NoSuchOption(kName, name, "api, nvtx, light");
    }
    ASSIGN_OR_RETURN(const bool on, injected::ParseSwitch(name, value));
    options[absl::StrCat(kName, ".", name)] = absl::StrCat(on ? 1 : 0);
  }
  return options;
}

}  // namespace

std::string ActivityBackend::Name() const { return kName; }

v1::BackendOffer ActivityBackend::Probe() const { return injected::ProbeInjection(site_, kName); }

absl::StatusOr<LaunchPlan> ActivityBackend::Prepare(const v1::Assignment& assignment) const {
  ASSIGN_OR_RETURN(const auto options, ParseOptions(assignment.spec()));
  return injected::PlanInjection(site_, assignment, kName, options);
}

absl::StatusOr<Collected> ActivityBackend::Collect(const RunRecord& run) const {
  bool truncated = false;
  ASSIGN_OR_RETURN(const std::vector<std::string> files,
                   injected::ListFiles(run.results_dir, kName, &truncated));
  activity::Importer importer(run.assignment != nullptr ? run.assignment->workload().kernels() : "",
                              run.started_monotonic_ns);
  std::vector<injected::Process> processes;
  std::vector<std::string> notes;
  for (const std::string& file : files) {
    absl::StatusOr<injected::Process> process =
        injected::ReadFile(run.results_dir / file,
                           [&](const injected::Process& from, uint32_t type,
                               std::string_view payload) { importer.Take(from, type, payload); });
    if (!process.ok()) {
      notes.push_back(
          absl::StrCat("results file ", file, " was left out: ", process.status().message()));
      continue;
    }
    importer.EndProcess(*process);
    // Only what is said of it is needed from here on.
    process->texts.clear();
    process->modules.clear();
    process->functions.clear();
    processes.push_back(*std::move(process));
  }
  if (truncated) notes.push_back("there were too many processes; not all were read");
  activity::Imported imported = importer.Finish();
  if (!imported.nothing.empty()) {
    return injected::NothingRecorded(run, processes, imported.nothing);
  }
  Collected collected;
  collected.events = imported.instances.size();
  collected.dropped = imported.dropped;
  collected.counters = std::move(imported.counters);
  collected.tables = std::move(imported.tables);
  collected.notes = injected::NotesOf(run, processes);
  for (auto* more : {&imported.notes, &notes}) {
    collected.notes.insert(collected.notes.end(), more->begin(), more->end());
  }
  RETURN_IF_ERROR(chunk::EncodeTrace(std::move(imported.trace), std::move(imported.instances),
                                     [&collected](chunk::EncodedChunk encoded) {
                                       collected.chunks.push_back(std::move(encoded.bytes));
                                       return absl::OkStatus();
                                     }),
                  "encoding the trace");
  return collected;
}

}  // namespace sextant::backends
