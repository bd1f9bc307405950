#include "server/trace/task_rollup.h"

#include <algorithm>
#include <vector>

#include "proto/status/status.h"
#include "server/trace/reader.h"
#include "server/trace/rollup_codec.h"

namespace sextant::trace {
namespace {

using store::TraceStore;

// Passes are merged in groups, and only a group's sum into the stored row.
constexpr size_t kGroup = 64;

// The rollup of one pass with buckets as narrow as its trace allows: the stored one may have been
// widened to take little room, and then its chunks are counted again.
absl::StatusOr<Rollup> FineRollup(TraceStore* store, const std::string& trace_digest) {
  Reader reader(store);
  ASSIGN_OR_RETURN(Rollup stored, reader.ReadRollup(trace_digest));
  if (!stored.coarse()) return stored;
  Rollup fine;
  RETURN_IF_ERROR(reader.Read(trace_digest, {},
                              [&](const chunk::Decoded& chunk) { return fine.Add(chunk); }));
  fine.SumUp();
  return fine;
}

// ABORTED: another coordinator merged some of them meanwhile.
absl::Status MergeGroup(TraceStore* store, int64_t task_id, std::string_view series,
                        absl::Span<const PassTrace> passes, int* gone) {
  Rollup group;
  for (const PassTrace& pass : passes) {
    auto rollup = FineRollup(store, pass.trace_digest);
    if (absl::IsNotFound(rollup.status())) {
      ++*gone;
      continue;
    }
    RETURN_IF_ERROR(rollup.status(), "rollup of pass ", pass.pass_id);
    RETURN_IF_ERROR(group.MergePass(pass.pass_id, *rollup).status(), "pass ", pass.pass_id);
  }
  if (group.passes().empty()) return absl::OkStatus();
  return store->UpdateTaskRollup(
      task_id, series, [&](TraceStore::TaskRollup& row) -> absl::Status {
        Rollup merged;
        if (!row.rollup.empty()) {
          ASSIGN_OR_RETURN(merged, RollupCodec::Decode(row.rollup));
        }
        const absl::Status status = merged.MergePasses(group);
        if (absl::IsAlreadyExists(status)) return absl::AbortedError(status.message());
        RETURN_IF_ERROR(status);
        row.rollup = RollupCodec::Encode(merged, RollupCodec::kTaskBytes);
        row.passes = merged.passes();
        return absl::OkStatus();
      });
}

absl::StatusOr<std::vector<PassTrace>> Missing(TraceStore* store, int64_t task_id,
                                               std::string_view series,
                                               absl::Span<const PassTrace> passes) {
  ASSIGN_OR_RETURN(std::vector<int64_t> merged, store->GetTaskRollupPasses(task_id, series));
  std::sort(merged.begin(), merged.end());
  std::vector<PassTrace> missing;
  for (const PassTrace& pass : passes) {
    if (!std::binary_search(merged.begin(), merged.end(), pass.pass_id)) missing.push_back(pass);
  }
  return missing;
}

}  // namespace

absl::StatusOr<Rollup> MergeTaskRollup(TraceStore* store, int64_t task_id, std::string_view series,
                                       absl::Span<const PassTrace> passes, bool with_buckets,
                                       int* skipped) {
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<PassTrace> missing, Missing(store, task_id, series, passes));
    absl::Status status;
    int gone = 0;
    for (size_t at = 0; at < missing.size() && status.ok(); at += kGroup) {
      status = MergeGroup(store, task_id, series, absl::MakeConstSpan(missing).subspan(at, kGroup),
                          &gone);
    }
    if (absl::IsAborted(status)) continue;  // fewer are missing now: somebody got further
    RETURN_IF_ERROR(status, "merging rollups of task ", task_id);
    if (skipped != nullptr) *skipped = gone;
    break;
  }
  ASSIGN_OR_RETURN(const TraceStore::TaskRollup row, store->GetTaskRollup(task_id, series));
  if (row.rollup.empty()) return Rollup();
  return RollupCodec::Decode(row.rollup, with_buckets);
}

}  // namespace sextant::trace
