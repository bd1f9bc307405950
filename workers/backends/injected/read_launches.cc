#include "workers/backends/injected/read_launches.h"

#include <algorithm>
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

absl::Status ReadLaunches(const RunRecord& run, const std::string& instrument, Launches* launches,
                          std::vector<std::string>* notes) {
  bool truncated = false;
  ASSIGN_OR_RETURN(const std::vector<std::string> files,
                   ListFiles(run.results_dir, instrument, &truncated));
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

absl::Status AddLaunches(const RunRecord& run, Collected* collected,
                         const std::string& instrument) {
  Launches launches(run.assignment != nullptr ? run.assignment->workload().kernels() : "",
                    run.started_monotonic_ns);
  RETURN_IF_ERROR(ReadLaunches(run, instrument, &launches, &collected->notes));
  const std::vector<Launch>& all = launches.launches();
  if (std::none_of(all.begin(), all.end(), [](const Launch& one) { return one.ended; })) {
    return absl::OkStatus();
  }
  collected->tables.push_back(launches.LaunchTable());
  return absl::OkStatus();
}

}  // namespace sextant::backends::injected
