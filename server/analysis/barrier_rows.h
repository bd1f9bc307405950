// The table `barriers` of a pass (docs/tables.md), by run: what the warps of one CTA waited for and
// signalled.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "server/analysis/event_graph.h"
#include "sextant/v1/table.pb.h"

namespace sextant::analysis {

// One CTA of one launch.
struct RunKey {
  uint32_t launch = 0;
  uint32_t cta = 0;

  friend auto operator<=>(const RunKey&, const RunKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const RunKey& key) {
    return H::combine(std::move(h), key.launch, key.cta);
  }
};

// Borrows the table. Rows of a run may stand anywhere in it.
class BarrierRows {
 public:
  // INVALID_ARGUMENT: a column is missing, names it.
  static absl::StatusOr<BarrierRows> Make(const v1::DataTable& table);

  // Whether the run has a wait.
  bool Waits(const RunKey& run) const {
    const auto found = runs_.find(run);
    return found != runs_.end() && found->second.waits > 0;
  }
  uint64_t waits() const { return waits_; }
  uint64_t signals() const { return signals_; }

  // Hands over what each warp did, in order of time. `barrier` numbers names.
  void ForRun(const RunKey& run, absl::FunctionRef<uint32_t(std::string_view)> barrier,
              absl::FunctionRef<void(uint32_t warp, const RunMark& mark)> use) const;

 private:
  struct Range {
    uint64_t begin = 0;   // within order_, or rows themselves where they are sorted
    uint64_t end = 0;
    uint64_t waits = 0;
  };
  struct Columns {
    const v1::DataColumn* launch = nullptr;
    const v1::DataColumn* cta = nullptr;
    const v1::DataColumn* warp = nullptr;
    const v1::DataColumn* slot = nullptr;
    const v1::DataColumn* at = nullptr;
    const v1::DataColumn* duration = nullptr;
    const v1::DataColumn* barrier = nullptr;
    const v1::DataColumn* kind = nullptr;
  };
  bool IsWait(uint64_t row) const;

  Columns columns_;
  uint32_t wait_word_ = UINT32_MAX;
  uint64_t waits_ = 0;
  uint64_t signals_ = 0;
  std::vector<uint32_t> order_;   // rows by run; empty: they are sorted
  absl::flat_hash_map<RunKey, Range> runs_;
};

}  // namespace sextant::analysis
