#include "server/analysis/barrier_match.h"

#include <algorithm>
#include <map>

#include "absl/container/flat_hash_map.h"

namespace sextant::analysis {
namespace {

constexpr uint64_t kSignalReadLate = 64;
constexpr double kFits = 0.9;

struct Place {
  uint32_t warp;
  uint32_t mark;
};

// What one warp did to one slot, in order.
struct Line {
  uint32_t warp = 0;
  std::vector<uint32_t> marks;
};

struct Slot {
  std::vector<Line> signals;
  std::vector<Line> waits;
};

struct Barrier {
  bool from_tail = false;
  uint64_t waits = 0;
  std::map<uint32_t, Slot> slots;
};

std::map<uint32_t, Barrier> Gather(absl::Span<const RunWarp> warps) {
  std::map<uint32_t, Barrier> barriers;
  for (uint32_t w = 0; w < warps.size(); ++w) {
    for (uint32_t m = 0; m < warps[w].marks.size(); ++m) {
      const RunMark& mark = warps[w].marks[m];
      Barrier& barrier = barriers[mark.barrier];
      barrier.from_tail |= warps[w].head_lost;
      barrier.waits += mark.wait ? 1 : 0;
      Slot& slot = barrier.slots[mark.slot];
      std::vector<Line>& lines = mark.wait ? slot.waits : slot.signals;
      if (lines.empty() || lines.back().warp != w) lines.push_back({.warp = w});
      lines.back().marks.push_back(m);
    }
  }
  return barriers;
}

// The rank-th mark, from the end where the barrier's ranks do.
const uint32_t* MarkAt(const Line& line, uint64_t rank, bool from_tail) {
  if (rank >= line.marks.size()) return nullptr;
  return &line.marks[from_tail ? line.marks.size() - 1 - rank : rank];
}

// By rank: the last of all warps' signals of that rank.
std::vector<Place> Completions(absl::Span<const RunWarp> warps, const Slot& slot, bool from_tail) {
  std::vector<Place> completions;
  for (const Line& line : slot.signals) {
    for (uint64_t rank = 0; rank < line.marks.size(); ++rank) {
      const uint32_t mark = *MarkAt(line, rank, from_tail);
      if (rank == completions.size()) {
        completions.push_back({line.warp, mark});
        continue;
      }
      Place& last = completions[rank];
      if (warps[line.warp].marks[mark].begin > warps[last.warp].marks[last.mark].begin)
        last = {line.warp, mark};
    }
  }
  return completions;
}

struct Trial {
  std::vector<MatchedWait> matched;
  uint64_t against = 0;   // waits that ended before their signal
};

Trial TryShift(absl::Span<const RunWarp> warps, const Barrier& barrier,
               const std::map<uint32_t, std::vector<Place>>& completions, uint64_t shift) {
  Trial trial;
  for (const auto& [number, slot] : barrier.slots) {
    const std::vector<Place>& made = completions.at(number);
    for (const Line& line : slot.waits) {
      for (uint64_t rank = 0; rank < line.marks.size(); ++rank) {
        if (!barrier.from_tail && rank < shift) continue;
        const uint64_t completion = barrier.from_tail ? rank + shift : rank - shift;
        if (completion >= made.size()) continue;
        const uint32_t mark = *MarkAt(line, rank, barrier.from_tail);
        const Place& signal = made[completion];
        if (warps[line.warp].marks[mark].end + kSignalReadLate <
            warps[signal.warp].marks[signal.mark].begin) {
          ++trial.against;
          continue;
        }
        trial.matched.push_back({line.warp, mark, signal.warp, signal.mark});
      }
    }
  }
  return trial;
}

}  // namespace

BarrierMatch MatchBarriers(absl::Span<const RunWarp> warps) {
  BarrierMatch match;
  for (const auto& [number, barrier] : Gather(warps)) {
    if (barrier.waits == 0) continue;
    std::map<uint32_t, std::vector<Place>> completions;
    bool signalled = false;
    for (const auto& [slot_number, slot] : barrier.slots) {
      signalled |= !slot.signals.empty();
      completions[slot_number] = Completions(warps, slot, barrier.from_tail);
    }
    if (!signalled) {
      match.left.push_back({number, barrier.waits, "it has no signals"});
      continue;
    }
    Trial best;
    bool fits = false;
    for (uint64_t shift = 0; shift <= (barrier.from_tail ? 2 : 1) && !fits; ++shift) {
      best = TryShift(warps, barrier, completions, shift);
      const double judged = static_cast<double>(best.matched.size() + best.against);
      fits = !best.matched.empty() && static_cast<double>(best.matched.size()) >= kFits * judged;
    }
    if (!fits) {
      match.left.push_back({number, barrier.waits, "its waits end before its signals"});
      continue;
    }
    if (best.against > 0)
      match.left.push_back({number, best.against, "they end before their signals"});
    match.matched.insert(match.matched.end(), best.matched.begin(), best.matched.end());
  }
  return match;
}

}  // namespace sextant::analysis
