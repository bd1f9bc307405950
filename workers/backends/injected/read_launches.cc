#include "workers/backends/injected/read_launches.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/backends/injected/reader.h"

namespace sextant::backends::injected {

std::string WithActivity(const std::string& instrument,
                         const std::map<std::string, std::string>& options) {
  if (!options.contains(kLightOption)) return instrument;
  return absl::StrCat(instrument, ",", kActivityInstrument);
}

absl::Status ReadLaunches(const RunRecord& run, Launches* launches,
                          std::vector<std::string>* notes) {
  bool truncated = false;
  ASSIGN_OR_RETURN(const std::vector<std::string> files,
                   ListFiles(run.results_dir, kActivityInstrument, &truncated));
  if (truncated) notes->push_back("launches of the first processes alone were read");
  for (const std::string& file : files) {
    const absl::StatusOr<Process> process =
        ReadFile(run.results_dir / file,
                 [&](const Process& from, uint32_t type, std::string_view payload) {
                   launches->Take(from, type, payload);
                 });
    if (process.ok()) {
      launches->EndProcess(*process);
    } else {
      notes->push_back(
          absl::StrCat("results file ", file, " was left out: ", process.status().message()));
    }
  }
  launches->Finish();
  return absl::OkStatus();
}

absl::Status AddLaunches(const RunRecord& run, Collected* collected) {
  Launches launches(run.assignment != nullptr ? run.assignment->workload().kernels() : "",
                    run.started_monotonic_ns);
  RETURN_IF_ERROR(ReadLaunches(run, &launches, &collected->notes));
  if (launches.launches().empty()) return absl::OkStatus();
  collected->tables.push_back(launches.LaunchTable());
  return absl::OkStatus();
}

}  // namespace sextant::backends::injected
