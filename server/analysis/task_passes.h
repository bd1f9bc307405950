// The passes of a job's profile task, as the store has them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"
#include "server/store/job_reads.h"

namespace sextant::analysis {

// The profile task of that path, or the only one. INVALID_ARGUMENT: it is of another kind, or several are
// and none is named. FAILED_PRECONDITION: there is none.
absl::StatusOr<v1::TaskInfo> FindProfileTask(store::JobReads* reads, const v1::ServiceLimits& limits,
                                             int64_t job_id, const std::string& path);
// Of a task, or of the job when `path` is empty; by task and ordinal.
absl::StatusOr<std::vector<v1::PassInfo>> ReadPasses(store::JobReads* reads,
                                                     const v1::ServiceLimits& limits, int64_t job_id,
                                                     const std::string& path);
// Of the passes that ended well and left `launches`; borrows `passes`.
absl::StatusOr<std::vector<PassLaunches>> ReadLaunches(
    const decltype(EvidenceSources::table)& table, const std::vector<v1::PassInfo>& passes);

}  // namespace sextant::analysis
