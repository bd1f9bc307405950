// How a rollup rests in the database: two zstd frames of varints, the first with what is the same
// for all times, so that aggregates are read without the buckets.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/trace/rollup.h"

namespace sextant::trace {

class RollupCodec {
 public:
  // What the buckets of a small pass, and of a small task, may take in any case.
  static constexpr size_t kPassBytes = 16 * 1024;
  static constexpr size_t kTaskBytes = 64 * 1024;

  // Widens the buckets of `rollup` until they take no more than half a byte an event, or
  // `free_bytes` where that is more, and writes it. The rollup must be summed up.
  static std::string Encode(Rollup& rollup, size_t free_bytes = kPassBytes);

  // FAILED_PRECONDITION: another version. DATA_LOSS: not what Encode wrote. Without buckets, cells
  // are not read and the rollup can neither be merged nor drawn over time.
  static absl::StatusOr<Rollup> Decode(std::string_view bytes, bool with_buckets = true);

 private:
  static std::string PackCells(const Rollup& rollup);
  static size_t GuessBytes(const Rollup& rollup);
};

}  // namespace sextant::trace
