// Traces at rest: chunks, the list of chunks a trace is made of, rollups. Bytes go in and out as
// they are; what they mean is the business of server/trace.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "server/store/database.h"

namespace sextant::store {

struct ChunkRow {
  std::string digest;               // SHA-256 of data, raw
  uint32_t sequence = 0;
  uint32_t events = 0;
  uint64_t first_ns = 0;
  uint64_t last_ns = 0;
  std::vector<uint32_t> regions;    // that occur
  std::string data;
};

struct TraceRow {
  std::string trace_digest;
  std::string day;                          // "2025-09-03"
  std::vector<std::string> chunk_digests;   // in order
  uint64_t events = 0;
  uint64_t dropped = 0;
  uint64_t bytes = 0;
  uint64_t first_ns = 0;
  uint64_t last_ns = 0;
  int unit = 0;                             // v1::TimeUnit
  std::string kernel;
  std::vector<std::string> regions;
  std::vector<std::string> roles;
  std::string rollup;
};

// Which chunks of a trace are wanted.
struct ChunkFilter {
  std::vector<uint32_t> regions = {};   // empty: all
  uint64_t from_ns = 0;
  uint64_t to_ns = UINT64_MAX;          // chunks that overlap [from_ns, to_ns]
};

// Thread-safe. All writes may be repeated: they say the same again.
class TraceStore {
 public:
  explicit TraceStore(Database* database) : database_(database) {}

  // The day (UTC, by the database's clock) into which an upload that begins now puts its chunks.
  absl::StatusOr<std::string> Today();

  // One durable transaction. Returns how many of them were not there yet. The day's table is made
  // when it is missing. INVALID_ARGUMENT: `day` is not YYYY-MM-DD.
  absl::StatusOr<uint64_t> PutChunks(const std::string& day, absl::Span<const ChunkRow> chunks);

  // Makes a trace readable. All its chunks are in `day` already. Known already: OK, and from now on
  // the later of both days is read.
  absl::Status PutTrace(const TraceRow& trace);

  // NOT_FOUND: never completed, or removed by retention. `rollup` is empty when not asked for.
  absl::StatusOr<TraceRow> GetTrace(std::string_view trace_digest, bool with_rollup);
  absl::StatusOr<bool> HasTrace(std::string_view trace_digest);

  // Hands the wanted chunks over in order, a few in memory at a time; a status other than OK ends
  // the reading and is returned. DATA_LOSS: chunks are missing.
  using ChunkSink = absl::FunctionRef<absl::Status(ChunkRow)>;
  absl::Status ReadChunks(const TraceRow& trace, const ChunkFilter& filter, ChunkSink sink);

  struct TaskRollup {
    std::vector<int64_t> passes;
    std::string rollup;             // empty: nothing merged yet
  };
  absl::StatusOr<TaskRollup> GetTaskRollup(int64_t task_id, std::string_view series);
  // The passes alone, for knowing which are missing.
  absl::StatusOr<std::vector<int64_t>> GetTaskRollupPasses(int64_t task_id, std::string_view series);
  // Changes it under the row's lock; `change` may run several times.
  absl::Status UpdateTaskRollup(int64_t task_id, std::string_view series,
                                absl::FunctionRef<absl::Status(TaskRollup&)> change);

  // What traces and rollups take on the database's disk, indexes and all.
  absl::StatusOr<uint64_t> StoredBytes();

  // Retention: drops the tables of days before `day`, forgets the traces in them and the task
  // rollups that were last changed before. Returns how many days were dropped. UNAVAILABLE: a day's
  // table is in use; try again later.
  absl::StatusOr<int> DropDaysBefore(const std::string& day);

 private:
  absl::Status MakeDay(const std::string& day);

  Database* const database_;
  absl::Mutex mutex_;
  absl::flat_hash_set<std::string> days_ ABSL_GUARDED_BY(mutex_);  // known to have a table
};

}  // namespace sextant::store
