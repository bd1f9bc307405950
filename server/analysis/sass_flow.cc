#include "server/analysis/sass_flow.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace sextant::analysis {
namespace {

constexpr uint32_t kNowhere = UINT32_MAX;
constexpr int kMaxBssysLookedAt = 64;
constexpr uint64_t kMaxDominatorSteps = 50'000'000;   // for code that nobody compiled

using Bssys = absl::flat_hash_map<std::string, std::vector<uint32_t>>;   // by barrier, in order

bool Always(const SassInstruction& one) { return one.guard.empty() || one.guard == "PT" || one.guard == "UPT"; }

// The labels in an operand's text: "`(.L_x_3)", or a list "BRANCH_TARGETS .L_1,.L_2".
void LabelsIn(absl::string_view text, const SassFunction& function, std::vector<uint32_t>* to) {
  if (const size_t open = text.find("`("); open != absl::string_view::npos) {
    const size_t close = text.find(')', open);
    if (close == absl::string_view::npos) return;
    const auto found = function.labels.find(std::string(text.substr(open + 2, close - open - 2)));
    if (found != function.labels.end()) to->push_back(found->second);
    return;
  }
  if (const size_t list = text.find("BRANCH_TARGETS"); list != absl::string_view::npos) {
    for (size_t at = text.find(".L", list); at != absl::string_view::npos;) {
      const size_t end = std::min(text.find_first_of(",\"* ", at), text.size());
      const auto found = function.labels.find(std::string(text.substr(at, end - at)));
      if (found != function.labels.end()) to->push_back(found->second);
      at = text.find(".L", end);
    }
  }
}

// Where a branch, call or BSSY says to go; by label, else by address.
std::vector<uint32_t> TargetsOf(const SassInstruction& one, const SassFunction& function) {
  std::vector<uint32_t> targets;
  for (const std::string& operand : one.operands) LabelsIn(operand, function, &targets);
  if (targets.empty() && !one.operands.empty()) {
    uint64_t pc = 0;
    if (absl::SimpleHexAtoi(one.operands.back(), &pc))
      if (const uint32_t at = function.At(pc); at < function.code.size()) targets.push_back(at);
  }
  std::erase_if(targets, [&](uint32_t at) { return at >= function.code.size(); });
  return targets;
}

struct Step {
  std::vector<uint32_t> to;      // instructions
  std::vector<uint32_t> calls;
  bool ends = false;             // a block ends here
  bool unresolved = false;
};

// The BSSY that a BSYNC of the barrier waits for: of the last few before it the closest whose range holds it, else the
// last.
uint32_t BssyOf(const SassFunction& function, uint32_t at, const Bssys& bssys) {
  if (function.code[at].operands.empty()) return kNowhere;
  const auto of_barrier = bssys.find(function.code[at].operands[0]);
  if (of_barrier == bssys.end()) return kNowhere;
  const auto after = std::lower_bound(of_barrier->second.begin(), of_barrier->second.end(), at);
  uint32_t last = kNowhere;
  int looked = 0;
  for (auto one = after; one != of_barrier->second.begin() && looked < kMaxBssysLookedAt; ++looked) {
    --one;
    if (last == kNowhere) last = *one;
    const auto targets = TargetsOf(function.code[*one], function);
    if (!targets.empty() && targets[0] >= at) return *one;
  }
  return last;
}

Step StepOf(const SassFunction& function, uint32_t at, const Bssys& bssys) {
  const SassInstruction& one = function.code[at];
  const absl::string_view name(one.mnemonic().data(), one.mnemonic().size());
  Step step;
  bool goes_on = true;
  if (name == "EXIT" || name == "RET" || name == "KILL" || name == "RTT") {
    step.ends = true;
    goes_on = !Always(one);
  } else if (name == "BRA" || name == "BRX" || name == "BRXU" || name == "JMP" || name == "JMX" || name == "JMXU") {
    step.ends = true;
    step.to = TargetsOf(one, function);
    step.unresolved = step.to.empty();
    goes_on = !Always(one) || absl::StrContains(one.opcode, ".DIV") || absl::StrContains(one.opcode, ".CONV") ||
              absl::StrContains(one.opcode, ".ANY") ||
              (name == "BRA" && one.operands.size() > 1);   // a predicate operand: "BRA P0, `(…)", "BRA.U UP0, …"
  } else if (name == "CALL") {
    step.ends = true;
    step.calls = TargetsOf(one, function);
  } else if (name == "BSYNC") {
    step.ends = true;
    if (const uint32_t bssy = BssyOf(function, at, bssys); bssy != kNowhere) {
      step.to = TargetsOf(function.code[bssy], function);
      goes_on = step.to.empty() || !Always(one);
    }
  }
  if (goes_on && at + 1 < function.code.size()) step.to.push_back(at + 1);
  return step;
}

// Immediate dominators of the nodes that `root` reaches; −1 for it and the others, and for all where it takes too long.
std::vector<int32_t> Immediate(size_t count, uint32_t root, const std::vector<std::vector<uint32_t>>& next,
                               const std::vector<std::vector<uint32_t>>& previous) {
  std::vector<int32_t> order(count, -1), tree(count, -1);
  std::vector<uint32_t> postorder;
  std::vector<std::pair<uint32_t, size_t>> path = {{root, 0}};
  std::vector<bool> seen(count, false);
  seen[root] = true;
  while (!path.empty()) {
    auto& [node, way] = path.back();
    if (way < next[node].size()) {
      const uint32_t to = next[node][way++];
      if (seen[to]) continue;
      seen[to] = true;
      path.emplace_back(to, 0);
      continue;
    }
    order[node] = static_cast<int32_t>(postorder.size());
    postorder.push_back(node);
    path.pop_back();
  }
  tree[root] = static_cast<int32_t>(root);
  uint64_t steps = 0;
  for (bool changed = true; changed;) {
    if (steps > kMaxDominatorSteps) return std::vector<int32_t>(count, -1);
    changed = false;
    for (size_t i = postorder.size(); i-- > 0;) {
      const uint32_t node = postorder[i];
      if (node == root) continue;
      int32_t best = -1;
      if (steps > kMaxDominatorSteps) break;
      for (const uint32_t from : previous[node]) {
        ++steps;
        if (tree[from] < 0) continue;
        if (best < 0) {
          best = static_cast<int32_t>(from);
          continue;
        }
        int32_t a = static_cast<int32_t>(from), b = best;
        while (a != b) {
          for (; order[a] < order[b]; ++steps) a = tree[a];
          for (; order[b] < order[a]; ++steps) b = tree[b];
        }
        best = a;
      }
      if (best >= 0 && tree[node] != best) {
        tree[node] = best;
        changed = true;
      }
    }
  }
  tree[root] = -1;
  return tree;
}

}  // namespace

std::vector<int32_t> Dominators(const SassFlow& flow) {
  std::vector<std::vector<uint32_t>> next, previous;
  for (const SassBlock& block : flow.blocks) {
    next.push_back(block.next);
    previous.push_back(block.previous);
  }
  return flow.blocks.empty() ? std::vector<int32_t>() : Immediate(flow.blocks.size(), 0, next, previous);
}

std::vector<int32_t> PostDominators(const SassFlow& flow) {
  const uint32_t count = static_cast<uint32_t>(flow.blocks.size()), end = count;
  std::vector<std::vector<uint32_t>> next(count + 1), previous(count + 1);   // the other way round
  for (uint32_t block = 0; block < count; ++block) {
    next[block] = flow.blocks[block].previous;
    previous[block] = flow.blocks[block].next;
    if (!flow.blocks[block].next.empty()) continue;
    next[end].push_back(block);
    previous[block].push_back(end);
  }
  std::vector<int32_t> tree = Immediate(count + 1, end, next, previous);
  tree.pop_back();
  for (int32_t& one : tree)
    if (one == static_cast<int32_t>(end)) one = -1;
  return tree;
}

DominatorTree::DominatorTree(std::vector<int32_t> above) : above_(std::move(above)), enter_(above_.size()), leave_(above_.size()) {
  std::vector<std::vector<uint32_t>> below(above_.size());
  for (uint32_t block = 0; block < above_.size(); ++block)
    if (above_[block] >= 0) below[above_[block]].push_back(block);
  uint32_t clock = 0;
  for (uint32_t root = 0; root < above_.size(); ++root) {
    if (above_[root] >= 0) continue;
    std::vector<std::pair<uint32_t, size_t>> path = {{root, 0}};
    enter_[root] = clock++;
    while (!path.empty()) {
      auto& [block, next] = path.back();
      if (next < below[block].size()) {
        const uint32_t to = below[block][next++];
        enter_[to] = clock++;
        path.emplace_back(to, 0);
        continue;
      }
      leave_[block] = clock;
      path.pop_back();
    }
  }
}

SassFlow FlowOf(const SassFunction& function) {
  const uint32_t count = static_cast<uint32_t>(function.code.size());
  Bssys bssys;
  for (uint32_t at = 0; at < count; ++at)
    if (function.code[at].mnemonic() == "BSSY" && !function.code[at].operands.empty())
      bssys[function.code[at].operands[0]].push_back(at);
  std::vector<Step> steps(count);
  std::vector<bool> begins(count, false);
  SassFlow flow;
  if (count > 0) begins[0] = true;
  for (uint32_t at = 0; at < count; ++at) {
    steps[at] = StepOf(function, at, bssys);
    if (!steps[at].ends) continue;
    flow.unresolved += steps[at].unresolved;
    if (at + 1 < count) begins[at + 1] = true;
    for (const uint32_t to : steps[at].to) begins[to] = true;
    for (const uint32_t to : steps[at].calls) begins[to] = true;
  }
  flow.block_of.resize(count);
  for (uint32_t at = 0; at < count; ++at) {
    if (begins[at]) flow.blocks.push_back({at, at, {}, {}, {}});
    flow.blocks.back().end = at + 1;
    flow.block_of[at] = static_cast<uint32_t>(flow.blocks.size() - 1);
  }
  for (uint32_t block = 0; block < flow.blocks.size(); ++block) {
    const Step& last = steps[flow.blocks[block].end - 1];
    for (const uint32_t to : last.to) {
      const uint32_t next = flow.block_of[to];
      auto& all = flow.blocks[block].next;
      if (std::find(all.begin(), all.end(), next) == all.end()) all.push_back(next);
    }
    for (const uint32_t to : last.calls) flow.blocks[block].calls.push_back(flow.block_of[to]);
  }
  for (uint32_t block = 0; block < flow.blocks.size(); ++block)
    for (const uint32_t next : flow.blocks[block].next) flow.blocks[next].previous.push_back(block);
  return flow;
}

}  // namespace sextant::analysis
