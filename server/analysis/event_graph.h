// What happened in one run of a CTA as a graph of events, so that its longest path, the slack of what is
// off it, and the span after a change can be read from it.
//
// Events are begins and ends of regions and signals, in order on each warp. An event happens as long
// after the one before it on its warp as was observed. The end of a wait is different: it happens at
//     max(its begin + cost, the completing signal + lag),
// where `cost` is what a wait takes that need not wait, and `lag` the time from signal to the end of the
// wait: the way through the barrier, and where a copy engine completes the barrier the copy itself.
//   * A wait had to wait ("late") when its signal came after it began, when it took more than
//     2 · cost + 32 units, or when it took more than cost and ended no later after its signal than the
//     median of those. Then lag is the observed one, so that the observed times are met exactly.
//   * One that had not took its own time, whatever it was; its lag is that median, or what was observed
//     where that is less.
//   * cost is the shortest wait of the run, at most 64 units.
// What is assumed of a change: other segments, lags (so copies) and costs stay as they are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace sextant::analysis {

// One CTA (or launch, of host threads), times in the trace's unit since the CTA began.
struct RunRegion {
  uint32_t region = 0;      // index into names that the caller keeps
  uint64_t ordinal = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};
struct RunMark {
  uint32_t barrier = 0;     // index into names that the caller keeps
  uint32_t slot = 0;
  bool wait = false;
  uint64_t begin = 0;
  uint64_t end = 0;         // of a signal: begin
};
struct RunWarp {
  uint32_t warp = 0;
  uint32_t role = 0;                // index into names that the caller keeps
  bool head_lost = false;
  std::vector<RunRegion> regions;   // nested or apart, in any order
  std::vector<RunMark> marks;       // in order of begin. A wait is also one of `regions`
};

// Waits for a barrier that no signal is known to have ended.
struct UnmatchedWaits {
  uint32_t barrier = 0;
  uint64_t waits = 0;
  const char* why = "";     // as a clause: "it has no signals"
};

// A change to a role's region. Scales what its instances take themselves, regions within them
// included, waits within them not; of a region that is a wait, its lags and costs.
struct Scale {
  static constexpr uint32_t kAnyRole = UINT32_MAX;
  uint32_t role = kAnyRole;
  uint32_t region = 0;
  double factor = 1;
};

// A piece of the longest path.
struct PathPiece {
  static constexpr uint32_t kOutside = UINT32_MAX;
  uint32_t warp = 0;                // index into the run's warps
  uint32_t region = kOutside;       // innermost; kOutside: between regions
  uint64_t ordinal = 0;
  double begin = 0;
  double end = 0;
  int32_t entered_by = -1;          // index of an edge: the wait whose signal leads here; −1: same warp
  bool unexplained = false;         // a wait that took long and has no signal
};

// A wait and the signal that ended it.
struct WaitEdge {
  uint32_t barrier = 0;
  uint32_t slot = 0;
  uint32_t from_warp = 0;           // indices into the run's warps
  uint32_t to_warp = 0;
  uint64_t signalled = 0;
  uint64_t wait_begin = 0;
  uint64_t wait_end = 0;
  bool late = false;                // it had to wait
};

// Owns its copy of the run. One thread. Memory: about 150 B an event.
class EventGraph {
 public:
  // Copies what it needs of `warps`. Where a warp lost its head, the run begins where all warps have
  // records. Waits without a signal keep what they took.
  explicit EventGraph(absl::Span<const RunWarp> warps);

  // Where the graph begins and ends. begin() is 0 when no head was lost.
  double begin() const { return begin_; }
  double end() const { return end_; }
  bool head_lost() const { return head_lost_; }

  absl::Span<const WaitEdge> edges() const { return edges_; }
  // Waits that have no edge, and why.
  absl::Span<const UnmatchedWaits> unmatched() const { return unmatched_; }

  // The chain of pieces from begin() to end(), each beginning where the one before it ended. Empty
  // when nothing was recorded.
  std::vector<PathPiece> LongestPath() const;

  // How much longer each instance could have taken without the run ending later: the least total float
  // of what it takes itself, regions within it included, waits within it not.
  struct InstanceSlack {
    uint32_t warp = 0;
    uint32_t region = 0;
    uint64_t ordinal = 0;
    double slack = 0;
  };
  std::vector<InstanceSlack> Slacks() const;

  // When the run would end after `scales`. Without any: end().
  double Replay(absl::Span<const Scale> scales) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    double at = 0;
    uint32_t warp = 0;
    uint32_t previous = kNone;   // on the warp
    uint32_t signal = kNone;     // of the end of a wait: the completing signal
    uint32_t within = kNone;     // the innermost instance from `previous` to here
    uint32_t ends = kNone;       // the instance that ends here
    uint32_t edge = kNone;
    double took = 0;             // from `previous`; of the end of a wait: its cost
    double lag = 0;
    bool late = false;
  };
  struct InstanceOf {
    uint32_t warp = 0;
    uint32_t region = 0;
    uint64_t ordinal = 0;
    uint32_t parent = kNone;
    bool wait = false;
    bool clipped = false;        // it began before the graph does
    double begin = 0;
    double end = 0;
  };

  void FindBegin(absl::Span<const RunWarp> warps);
  void AddWarp(uint32_t index, const RunWarp& warp);
  void Connect(absl::Span<const RunWarp> warps);
  void SetCosts();
  void Sort();
  bool IsWaitEnd(const Node& node) const {
    return node.ends != kNone && instances_[node.ends].wait;
  }
  bool FarLonger(double duration) const { return duration > 2 * cost_ + 32; }
  // By instance: what the scales make of the time spent in it, and of its own lag and cost.
  void FactorsOf(absl::Span<const Scale> scales, std::vector<double>* inside,
                 std::vector<double>* waiting) const;

  double begin_ = 0;
  double end_ = 0;
  bool head_lost_ = false;
  double cost_ = 0;                 // of a wait that need not wait
  std::vector<Node> nodes_;         // by warp, in order
  std::vector<InstanceOf> instances_;
  std::vector<uint32_t> roles_;     // by warp
  std::vector<std::vector<uint32_t>> mark_nodes_;   // by warp and mark: the signal, or the wait's end
  std::vector<WaitEdge> edges_;
  std::vector<UnmatchedWaits> unmatched_;
  std::vector<uint32_t> order_;     // nodes, each after those it depends on
};

}  // namespace sextant::analysis
