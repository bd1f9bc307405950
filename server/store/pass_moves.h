// Moves of passes, and what they mean for their tasks, inside a transaction that holds the locks of
// their jobs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/store/job_change.h"

namespace sextant::store {

// A pass of a job that has just ended; its own row is already written.
struct PassEnd {
  int64_t task_id = 0;
  bool done = true;           // else failed
  bool shared = false;        // cached or merged
  bool optional = false;      // its failure does not fail the task
  v1::Failure failure;
  int64_t hung_pass_id = 0;   // of one that failed because it hung
};

// The jobs of the queued passes of a bigint[] literal.
std::vector<int64_t> JobsOfPasses(pqxx::transaction_base& tx, const std::string& pass_ids);

// Counts the ends in their tasks. A task whose passes have all ended, one of them well, is done;
// with the first failed pass it fails, and its other passes are cancelled: what is deterministic would
// fail again.
void CountPassEnds(JobChange& change, const std::vector<PassEnd>& ends);

// Running passes whose worker is lost: back to ready, or failed when attempts are used up.
void GiveBack(JobChange& change, const std::vector<int64_t>& pass_ids, const std::string& why);

// Merged passes whose source has ended: they take its result; or, when it was cancelled, the first
// of each sample becomes the one that runs.
void SettleFollowers(JobChange& change, const std::vector<int64_t>& pass_ids);

}  // namespace sextant::store
