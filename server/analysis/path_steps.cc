#include "server/analysis/path_steps.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace sextant::analysis {
namespace {

constexpr size_t kLongestPeriod = 32;   // steps of one round of a loop

// What makes two pieces the same step.
using Key = std::tuple<uint32_t, uint32_t, int64_t>;   // role, region, barrier or −1

// The period whose repetition from `at` on covers most steps; ties go to the shorter one.
std::pair<size_t, size_t> BestRepetition(absl::Span<const Key> keys, size_t at) {
  size_t best_period = 1, best_times = 1;
  for (size_t period = 1; period <= kLongestPeriod && at + 2 * period <= keys.size(); ++period) {
    size_t same = 0;
    while (at + period + same < keys.size() && keys[at + same] == keys[at + period + same]) ++same;
    const size_t times = 1 + same / period;
    if (times >= 2 && times * period > best_times * best_period) {
      best_period = period;
      best_times = times;
    }
  }
  return {best_period, best_times};
}

}  // namespace

std::vector<v1::PathStep> FoldSteps(absl::Span<const PathPiece> pieces,
                                    absl::Span<const RunWarp> warps,
                                    absl::Span<const WaitEdge> edges, const RunNames& names,
                                    double ns_per_unit, size_t most, uint64_t* left_out) {
  std::vector<Key> keys;
  keys.reserve(pieces.size());
  for (const PathPiece& piece : pieces)
    keys.emplace_back(warps[piece.warp].role, piece.region,
                      piece.entered_by < 0 ? -1 : int64_t{edges[piece.entered_by].barrier});
  std::vector<v1::PathStep> steps;
  *left_out = 0;
  for (size_t at = 0; at < pieces.size();) {
    const auto [period, times] = BestRepetition(keys, at);
    for (size_t i = 0; i < period; ++i) {
      if (steps.size() >= most) {
        ++*left_out;
        continue;
      }
      const PathPiece& first = pieces[at + i];
      v1::PathStep& step = steps.emplace_back();
      step.set_role(names.roles[warps[first.warp].role]);
      step.set_region(names.Region(first.region));
      step.set_ordinal(first.ordinal);
      step.set_start_ns(first.begin * ns_per_unit);
      step.set_repeats(static_cast<uint32_t>(times));
      double took = 0;
      bool one_slot = true;
      for (size_t k = 0; k < times; ++k) {
        const PathPiece& piece = pieces[at + i + k * period];
        took += piece.end - piece.begin;
        one_slot &= first.entered_by < 0 ||
                    edges[piece.entered_by].slot == edges[first.entered_by].slot;
      }
      step.set_duration_ns(took * ns_per_unit);
      if (first.entered_by < 0) continue;
      const WaitEdge& edge = edges[first.entered_by];
      step.set_enters_by(one_slot ? absl::StrCat(names.barriers[edge.barrier], "[", edge.slot, "]")
                                  : names.barriers[edge.barrier]);
    }
    at += period * times;
  }
  return steps;
}

}  // namespace sextant::analysis
