// What a trace comes to when its instances are forgotten: for each (role, region) exact totals, a
// sketch of durations, and one sketch a time bucket. Rollups of passes merge into one of their task.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/chunk/decoder.h"
#include "server/trace/sketch.h"

namespace sextant::trace {

// Bounds of one rollup. Where the trace does not fit, buckets become wider; where that does not
// help it is refused.
inline constexpr uint32_t kMaxBuckets = 1024;
inline constexpr size_t kMaxSeries = 64 * 1024;         // (role, region) pairs
inline constexpr size_t kMaxCells = 4 << 20;            // series × buckets
inline constexpr size_t kMaxBins = 16 << 20;            // 8 bytes each, over all sketches

// Exact, in the trace's unit. The sum stays at its greatest value instead of overflowing.
struct Totals {
  uint64_t count = 0;
  uint64_t sum = 0;
  uint64_t min = UINT64_MAX;
  uint64_t max = 0;

  void Add(uint64_t value) {
    ++count;
    sum = sum + value < sum ? UINT64_MAX : sum + value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  void Merge(const Totals& other);
  friend bool operator==(const Totals&, const Totals&) = default;
};

// One (role, region).
struct Series {
  std::string role;
  std::string region;
  Totals totals;
  Sketch all;                     // empty while chunks are being added: the sum of the cells
  std::vector<uint32_t> cells;    // bucket − first_bucket → 1 + index into the cells; 0: none
};

// Not thread-safe.
class Rollup {
 public:
  Rollup() = default;

  // Counts one chunk in. INVALID_ARGUMENT: another unit than before; RESOURCE_EXHAUSTED: too many
  // (role, region) pairs, or durations spread over too many bins. After an error it is spoilt.
  absl::Status Add(const chunk::Decoded& chunk);

  // Adds what another rollup holds. FAILED_PRECONDITION: its unit differs.
  absl::Status Merge(const Rollup& other);

  // Adds a pass once: false, and nothing changes, when it is in already.
  absl::StatusOr<bool> MergePass(int64_t pass_id, const Rollup& pass);

  // Adds a rollup of several passes, and these to the set. ALREADY_EXISTS, and nothing changes: one
  // of them is in already.
  absl::Status MergePasses(const Rollup& passes);

  // Makes buckets twice as wide.
  void Coarsen();

  bool empty() const { return events_ == 0; }
  v1::TimeUnit unit() const { return unit_; }          // of durations; UNSPECIFIED: nothing added
  double min_ns_per_unit() const { return min_ns_per_unit_; }
  double max_ns_per_unit() const { return max_ns_per_unit_; }
  const std::string& kernel() const { return kernel_; }
  uint64_t events() const { return events_; }
  uint64_t dropped() const { return dropped_; }
  uint64_t bucket_ns() const { return uint64_t{1} << shift_; }
  uint64_t first_bucket() const { return first_bucket_; }   // bucket b begins at b · bucket_ns
  uint32_t buckets() const { return buckets_; }
  const std::vector<int64_t>& passes() const { return passes_; }   // merged here; ascending
  const std::vector<Series>& series() const { return series_; }    // by name once summed up
  // Buckets were made wider than the trace asked for, to take less room: its chunks know more.
  bool coarse() const { return coarse_; }
  // Null: nothing happened there.
  const Sketch* cell(const Series& series, uint32_t bucket) const {
    const uint32_t at = bucket < series.cells.size() ? series.cells[bucket] : 0;
    return at == 0 ? nullptr : &cells_[at - 1];
  }

  // Fills the series' `all` from their cells. Call after the last Add.
  void SumUp();

 private:
  friend class RollupCodec;

  absl::StatusOr<uint32_t> SeriesOf(std::string_view role, std::string_view region);
  // Makes the buckets wide enough to hold times from first to last, both in ns.
  absl::Status Cover(uint64_t first_ns, uint64_t last_ns);
  Sketch& CellOf(Series& series, uint32_t bucket);
  absl::Status KeepWithinMemory();

  v1::TimeUnit unit_ = v1::TIME_UNIT_UNSPECIFIED;
  double min_ns_per_unit_ = 0;
  double max_ns_per_unit_ = 0;
  std::string kernel_;
  uint64_t events_ = 0;
  uint64_t dropped_ = 0;
  int shift_ = 0;
  uint64_t first_bucket_ = 0;
  uint32_t buckets_ = 0;
  bool coarse_ = false;
  std::vector<int64_t> passes_;
  std::vector<Series> series_;
  std::vector<Sketch> cells_;
  size_t bins_ = 0;                 // over cells_ and every `all`
  absl::flat_hash_map<std::pair<std::string, std::string>, uint32_t> index_;
};

}  // namespace sextant::trace
