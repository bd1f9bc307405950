#include "server/analysis/event_graph.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "server/analysis/barrier_match.h"
#include "server/analysis/quantile.h"

namespace sextant::analysis {
namespace {

constexpr double kMostCost = 64;

}  // namespace

EventGraph::EventGraph(absl::Span<const RunWarp> warps) {
  FindBegin(warps);
  for (uint32_t i = 0; i < warps.size(); ++i) AddWarp(i, warps[i]);
  end_ = begin_;
  for (const Node& node : nodes_) end_ = std::max(end_, node.at);
  Connect(warps);
  SetCosts();
  Sort();
}

void EventGraph::FindBegin(absl::Span<const RunWarp> warps) {
  for (const RunWarp& warp : warps) {
    if (!warp.head_lost) continue;
    head_lost_ = true;
    uint64_t first = UINT64_MAX;
    for (const RunRegion& region : warp.regions) first = std::min(first, region.begin);
    for (const RunMark& mark : warp.marks) first = std::min(first, mark.begin);
    if (first != UINT64_MAX) begin_ = std::max(begin_, static_cast<double>(first));
  }
}

// Walks the warp's regions as they nest; a region that would outlast the one around it ends with it.
void EventGraph::AddWarp(uint32_t index, const RunWarp& warp) {
  roles_.push_back(warp.role);
  std::vector<uint32_t>& mark_nodes = mark_nodes_.emplace_back(warp.marks.size(), kNone);

  struct Span {
    uint32_t region;
    uint64_t ordinal;
    double begin, end;
    uint32_t mark;   // of a wait
  };
  std::vector<Span> spans;
  std::map<std::pair<uint64_t, uint64_t>, std::vector<uint32_t>> waits;   // marks by begin and end
  std::vector<uint32_t> signals;
  for (uint32_t m = 0; m < warp.marks.size(); ++m) {
    if (warp.marks[m].wait)
      waits[{warp.marks[m].begin, warp.marks[m].end}].push_back(m);
    else if (static_cast<double>(warp.marks[m].begin) >= begin_)
      signals.push_back(m);
  }
  for (const RunRegion& region : warp.regions) {
    uint32_t mark = kNone;
    if (const auto found = waits.find({region.begin, region.end});
        found != waits.end() && !found->second.empty()) {
      mark = found->second.front();
      found->second.erase(found->second.begin());
    }
    spans.push_back({region.region, region.ordinal, static_cast<double>(region.begin),
                     static_cast<double>(region.end), mark});
  }
  for (const auto& [times, marks] : waits)   // whose regions were not recorded
    for (uint32_t m : marks)
      spans.push_back({PathPiece::kOutside, m, static_cast<double>(times.first),
                       static_cast<double>(times.second), m});
  std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  std::stable_sort(signals.begin(), signals.end(), [&](uint32_t a, uint32_t b) {
    return warp.marks[a].begin < warp.marks[b].begin;
  });

  std::vector<std::pair<uint32_t, uint32_t>> open;   // instances and their marks, outermost first
  uint32_t previous = kNone;
  const auto emit = [&](double at) -> Node& {
    Node node;
    node.at = at;
    node.warp = index;
    node.previous = previous;
    node.within = open.empty() ? kNone : open.back().first;
    node.took = previous == kNone ? 0 : at - nodes_[previous].at;
    previous = static_cast<uint32_t>(nodes_.size());
    return nodes_.emplace_back(node);
  };
  size_t next_signal = 0;
  const auto emit_signals = [&](double until) {
    for (; next_signal < signals.size() &&
           static_cast<double>(warp.marks[signals[next_signal]].begin) <= until;
         ++next_signal) {
      const uint32_t mark = signals[next_signal];
      emit(static_cast<double>(warp.marks[mark].begin));
      mark_nodes[mark] = previous;
    }
  };
  const auto close_until = [&](double until) {
    while (!open.empty() && instances_[open.back().first].end <= until) {
      const auto [instance, mark] = open.back();
      emit_signals(instances_[instance].end);
      emit(instances_[instance].end).ends = instance;
      if (mark != kNone) mark_nodes[mark] = previous;
      open.pop_back();
    }
  };
  for (const Span& span : spans) {
    if (span.end < begin_ || (span.end == begin_ && begin_ > 0)) continue;
    InstanceOf instance;
    instance.begin = std::max(span.begin, begin_);
    close_until(instance.begin);
    emit_signals(instance.begin);
    instance.warp = index;
    instance.region = span.region;
    instance.ordinal = span.ordinal;
    instance.parent = open.empty() ? kNone : open.back().first;
    instance.wait = span.mark != kNone;
    instance.clipped = span.begin < begin_;
    instance.end = open.empty() ? span.end : std::min(span.end, instances_[open.back().first].end);
    emit(instance.begin);
    open.push_back({static_cast<uint32_t>(instances_.size()), span.mark});
    instances_.push_back(instance);
  }
  while (!open.empty()) close_until(instances_[open.back().first].end);
  if (!signals.empty()) emit_signals(static_cast<double>(warp.marks[signals.back()].begin));
}

void EventGraph::Connect(absl::Span<const RunWarp> warps) {
  BarrierMatch match = MatchBarriers(warps);
  unmatched_ = std::move(match.left);
  for (const MatchedWait& one : match.matched) {
    const uint32_t end = mark_nodes_[one.wait_warp][one.wait_mark];
    const uint32_t signal = mark_nodes_[one.signal_warp][one.signal_mark];
    if (end == kNone || signal == kNone) continue;   // before the graph begins
    const RunMark& wait = warps[one.wait_warp].marks[one.wait_mark];
    const RunMark& by = warps[one.signal_warp].marks[one.signal_mark];
    nodes_[end].signal = signal;
    nodes_[end].edge = static_cast<uint32_t>(edges_.size());
    edges_.push_back({.barrier = wait.barrier,
                      .slot = wait.slot,
                      .from_warp = one.signal_warp,
                      .to_warp = one.wait_warp,
                      .signalled = by.begin,
                      .wait_begin = wait.begin,
                      .wait_end = wait.end});
  }
}

void EventGraph::SetCosts() {
  cost_ = kMostCost;
  for (const InstanceOf& instance : instances_)
    if (instance.wait && !instance.clipped) cost_ = std::min(cost_, instance.end - instance.begin);
  std::map<uint32_t, std::vector<double>> lags;   // of late waits, by barrier
  for (Node& node : nodes_) {
    if (node.signal == kNone) continue;
    WaitEdge& edge = edges_[node.edge];
    node.late = edge.signalled > edge.wait_begin ||
                FarLonger(static_cast<double>(edge.wait_end - edge.wait_begin));
    edge.late = node.late;
    node.lag = node.at - nodes_[node.signal].at;
    if (node.late) lags[edge.barrier].push_back(node.lag);
  }
  std::map<uint32_t, double> typical;
  for (auto& [barrier, values] : lags) typical[barrier] = Quantiles(&values, {0.5}).front();
  for (Node& node : nodes_) {
    if (node.signal == kNone) continue;
    WaitEdge& edge = edges_[node.edge];
    const auto found = typical.find(edge.barrier);
    if (!node.late && found != typical.end() && node.took > cost_ && node.lag <= found->second)
      edge.late = node.late = true;
    if (node.late) {
      node.took = std::min(node.took, cost_);
    } else {
      node.lag = std::min(node.lag, found == typical.end() ? cost_ : found->second);
    }
  }
}

// Each warp goes on as far as the signals it waits for have been passed. Clocks read in a contradicting
// order could make warps wait in a circle: then the earliest of the waits loses its edge.
void EventGraph::Sort() {
  std::vector<std::vector<uint32_t>> waiting(nodes_.size());   // by signal: the waits it ends
  std::vector<uint32_t> next(nodes_.size(), kNone);            // on the warp
  std::vector<uint8_t> missing(nodes_.size(), 0);
  std::vector<uint32_t> ready;
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    if (nodes_[n].previous != kNone) {
      next[nodes_[n].previous] = n;
      ++missing[n];
    }
    if (nodes_[n].signal != kNone) {
      waiting[nodes_[n].signal].push_back(n);
      ++missing[n];
    }
    if (missing[n] == 0) ready.push_back(n);
  }
  order_.reserve(nodes_.size());
  std::vector<bool> passed(nodes_.size(), false);
  const auto pass = [&](uint32_t n) {
    if (--missing[n] == 0) ready.push_back(n);
  };
  for (;;) {
    while (!ready.empty()) {
      const uint32_t n = ready.back();
      ready.pop_back();
      passed[n] = true;
      order_.push_back(n);
      if (next[n] != kNone) pass(next[n]);
      for (uint32_t wait : waiting[n])
        if (nodes_[wait].signal == n) pass(wait);
    }
    if (order_.size() == nodes_.size()) return;
    uint32_t earliest = kNone;
    for (uint32_t n = 0; n < nodes_.size(); ++n) {
      const Node& node = nodes_[n];
      if (passed[n] || node.signal == kNone) continue;
      if (node.previous != kNone && !passed[node.previous]) continue;
      if (earliest == kNone || node.at < nodes_[earliest].at) earliest = n;
    }
    Node& node = nodes_[earliest];   // something waits, or all would have passed
    node.signal = kNone;
    node.late = false;
    node.took = node.previous == kNone ? 0 : node.at - nodes_[node.previous].at;
    edges_[node.edge].late = false;
    pass(earliest);
  }
}

std::vector<PathPiece> EventGraph::LongestPath() const {
  std::vector<PathPiece> pieces;
  if (nodes_.empty()) return pieces;
  uint32_t at = 0;
  for (uint32_t n : order_)
    if (nodes_[n].at > nodes_[at].at) at = n;
  double now = end_;
  const auto add = [&](const Node& node, double from, int32_t entered_by, bool unexplained) {
    const double begin = std::max(std::min(from, now), begin_);
    PathPiece piece;
    piece.warp = node.warp;
    if (node.within != kNone) {
      piece.region = instances_[node.within].region;
      piece.ordinal = instances_[node.within].ordinal;
    }
    piece.begin = begin;
    piece.end = now;
    piece.entered_by = entered_by;
    piece.unexplained = unexplained;
    now = begin;
    if (piece.begin == piece.end && entered_by < 0) return;
    if (!pieces.empty() && pieces.back().entered_by < 0 && entered_by < 0 &&
        pieces.back().warp == piece.warp && pieces.back().region == piece.region &&
        pieces.back().ordinal == piece.ordinal) {
      pieces.back().begin = piece.begin;
      pieces.back().unexplained |= unexplained;
      return;
    }
    pieces.push_back(piece);
  };
  for (;;) {
    const Node& node = nodes_[at];
    if (node.late && node.signal != kNone) {
      add(node, nodes_[node.signal].at, static_cast<int32_t>(node.edge), false);
      at = node.signal;
      continue;
    }
    if (node.previous == kNone) {
      Node before = node;
      before.within = kNone;
      add(before, begin_, -1, false);
      break;
    }
    const double took = node.at - nodes_[node.previous].at;
    add(node, nodes_[node.previous].at, -1,
        IsWaitEnd(node) && node.signal == kNone && FarLonger(took));
    at = node.previous;
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<EventGraph::InstanceSlack> EventGraph::Slacks() const {
  std::vector<double> latest(nodes_.size(), end_);
  std::vector<double> slack(instances_.size(), end_ - begin_);
  for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
    const Node& node = nodes_[*it];
    const double begun = node.previous == kNone ? node.at : nodes_[node.previous].at + node.took;
    if (node.within != kNone)
      slack[node.within] =
          std::min(slack[node.within], latest[*it] - (IsWaitEnd(node) ? node.at : begun));
    if (node.previous != kNone)
      latest[node.previous] = std::min(latest[node.previous], latest[*it] - node.took);
    if (node.signal != kNone)
      latest[node.signal] = std::min(latest[node.signal], latest[*it] - node.lag);
  }
  for (uint32_t i = static_cast<uint32_t>(instances_.size()); i-- > 0;) {
    const InstanceOf& instance = instances_[i];
    if (instance.parent != kNone && !instance.wait)
      slack[instance.parent] = std::min(slack[instance.parent], slack[i]);
  }
  std::vector<InstanceSlack> slacks;
  slacks.reserve(instances_.size());
  for (uint32_t i = 0; i < instances_.size(); ++i)
    slacks.push_back({instances_[i].warp, instances_[i].region, instances_[i].ordinal,
                      std::max(slack[i], 0.0)});
  return slacks;
}

void EventGraph::FactorsOf(absl::Span<const Scale> scales, std::vector<double>* inside,
                           std::vector<double>* waiting) const {
  inside->assign(instances_.size(), 1);
  waiting->assign(instances_.size(), 1);
  for (uint32_t i = 0; i < instances_.size(); ++i) {
    const InstanceOf& instance = instances_[i];
    if (instance.parent != kNone) (*inside)[i] = (*inside)[instance.parent];
    for (const Scale& scale : scales) {
      if (scale.region != instance.region ||
          (scale.role != Scale::kAnyRole && scale.role != roles_[instance.warp]))
        continue;
      (instance.wait ? *waiting : *inside)[i] *= scale.factor;
    }
  }
}

double EventGraph::Replay(absl::Span<const Scale> scales) const {
  std::vector<double> inside, waiting;
  FactorsOf(scales, &inside, &waiting);
  std::vector<double> at(nodes_.size());
  double end = begin_;
  for (uint32_t n : order_) {
    const Node& node = nodes_[n];
    if (node.previous == kNone) {
      at[n] = node.at;
    } else {
      const double factor = IsWaitEnd(node)        ? waiting[node.ends]
                            : node.within == kNone ? 1
                                                   : inside[node.within];
      at[n] = at[node.previous] + node.took * factor;
      if (node.signal != kNone) {
        const double lag = node.lag > 0 ? node.lag * waiting[node.ends] : node.lag;
        at[n] = std::max(at[n], at[node.signal] + lag);
      }
    }
    end = std::max(end, at[n]);
  }
  return end;
}

}  // namespace sextant::analysis
