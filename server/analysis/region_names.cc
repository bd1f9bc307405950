#include "server/analysis/region_names.h"

#include <set>

#include "proto/status/status.h"
#include "server/analysis/selection.h"

namespace sextant::analysis {

absl::StatusOr<std::vector<std::string>> ReadRegionNames(const Evidence& evidence) {
  std::set<std::string> names;
  for (const v1::PassInfo& pass : evidence.passes()) {
    const std::string& backend = MeasuredAs(pass).backend();
    if (!EndedWell(pass) || pass.result().trace_digest().empty() || (backend != "scopes" && backend != "proton")) continue;
    // A trace's chunks name all its regions, each of them.
    const absl::Status status = evidence.ReadTrace(pass, {}, [&](const chunk::Decoded& chunk) {
      names.insert(chunk.header.regions().begin(), chunk.header.regions().end());
      return absl::CancelledError("that is all");
    });
    if (!status.ok() && !absl::IsCancelled(status) && !absl::IsNotFound(status)) return status;
    if (!names.empty()) break;
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace sextant::analysis
