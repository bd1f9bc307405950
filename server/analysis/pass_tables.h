// The tables that passes left (docs/tables.md), read back from their artifacts.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "sextant/v1/table.pb.h"
#include "sextant/v1/types.pb.h"
#include "server/store/blobs.h"

namespace sextant::analysis {

// Shared, because whoever reads a table may still do so when the cache gives it up.
using Table = std::shared_ptr<const v1::DataTable>;

// Thread-safe; borrows the store. Decoded tables are kept, by digest, the latest used ones up to
// `max_cached_bytes` of memory: they are content-addressed, so they never change.
class PassTables {
 public:
  static constexpr uint64_t kMaxCachedBytes = 96u << 20;

  explicit PassTables(store::BlobStore* blobs, uint64_t max_cached_bytes = kMaxCachedBytes)
      : blobs_(blobs), max_cached_bytes_(max_cached_bytes) {}

  // Names of the tables of a pass, in the order in which it left them.
  static std::vector<std::string> Names(const v1::PassInfo& pass);

  static bool HasTable(const v1::PassInfo& pass, absl::string_view table);

  // NOT_FOUND: the pass left no such table; the message names those it left.
  absl::StatusOr<Table> Read(const v1::PassInfo& pass, absl::string_view table) const;

  uint64_t cached_bytes() const;

 private:
  struct Cached {
    std::string digest;
    Table table;
    uint64_t bytes = 0;
  };
  Table Find(const std::string& digest) const;
  void Keep(const std::string& digest, Table table) const;

  store::BlobStore* const blobs_;
  const uint64_t max_cached_bytes_;
  mutable absl::Mutex mutex_;
  mutable std::list<Cached> cached_ ABSL_GUARDED_BY(mutex_);   // the latest used first
  mutable absl::flat_hash_map<std::string, std::list<Cached>::iterator> by_digest_
      ABSL_GUARDED_BY(mutex_);
  mutable uint64_t cached_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Rows [first, first + count) of a table, of the columns named (all when none is). NOT_FOUND names a
// column that is not there.
absl::StatusOr<v1::DataTable> SliceTable(const v1::DataTable& table, uint64_t first, uint64_t count,
                                         const std::vector<std::string>& columns);

}  // namespace sextant::analysis
