#include "server/analysis/barrier_edges.h"

#include <algorithm>
#include <tuple>

#include "proto/table/table.h"
#include "server/analysis/barrier_match.h"

namespace sextant::analysis {
namespace {

// A column of ints (or of texts) with an entry for each row, or null.
const v1::DataColumn* Ints(const v1::DataTable& table, const char* name) {
  const v1::DataColumn* column = table::Find(table, name);
  const bool whole = column != nullptr && static_cast<uint64_t>(column->ints_size()) == table.rows();
  return whole ? column : nullptr;
}
const v1::DataColumn* Texts(const v1::DataTable& table, const char* name) {
  const v1::DataColumn* column = table::Find(table, name);
  const bool whole = column != nullptr && static_cast<uint64_t>(column->texts_size()) == table.rows();
  return whole ? column : nullptr;
}

struct Row {
  int64_t launch, cta, warp, at;
  uint64_t row;

  auto order() const { return std::tie(launch, cta, warp, at, row); }
};

}  // namespace

std::vector<BarrierEdge> BarrierEdges(const v1::DataTable& barriers) {
  const v1::DataColumn *launch = Ints(barriers, "launch"), *cta = Ints(barriers, "cta"),
                       *warp = Ints(barriers, "warp"), *barrier = Texts(barriers, "barrier"),
                       *slot = Ints(barriers, "slot"), *kind = Texts(barriers, "kind"),
                       *at = Ints(barriers, "at_cycles"), *duration = Ints(barriers, "duration_cycles"),
                       *lost = Ints(barriers, "head_lost");
  for (const v1::DataColumn* column : {launch, cta, warp, barrier, slot, kind, at, duration, lost})
    if (column == nullptr) return {};
  std::vector<Row> rows;
  rows.reserve(barriers.rows());
  for (uint64_t i = 0; i < barriers.rows(); ++i) {
    const int n = static_cast<int>(i);
    rows.push_back({launch->ints(n), cta->ints(n), warp->ints(n), at->ints(n), i});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.order() < b.order(); });
  std::vector<BarrierEdge> edges;
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    std::vector<RunWarp> warps;
    std::vector<std::vector<uint64_t>> row_of;   // by warp and mark
    for (; end < rows.size() && rows[end].launch == rows[begin].launch && rows[end].cta == rows[begin].cta;
         ++end) {
      if (warps.empty() || rows[end].warp != rows[end - 1].warp) {
        warps.push_back({.warp = static_cast<uint32_t>(rows[end].warp)});
        row_of.emplace_back();
      }
      const int n = static_cast<int>(rows[end].row);
      const auto start = static_cast<uint64_t>(rows[end].at);
      warps.back().head_lost |= lost->ints(n) != 0;
      warps.back().marks.push_back({.barrier = barrier->texts(n),
                                    .slot = static_cast<uint32_t>(slot->ints(n)),
                                    .wait = table::TextAt(*kind, rows[end].row) == "wait",
                                    .begin = start,
                                    .end = start + static_cast<uint64_t>(duration->ints(n))});
      row_of.back().push_back(rows[end].row);
    }
    for (const MatchedWait& one : MatchBarriers(warps).matched)
      edges.push_back({row_of[one.signal_warp][one.signal_mark], row_of[one.wait_warp][one.wait_mark]});
  }
  return edges;
}

}  // namespace sextant::analysis
