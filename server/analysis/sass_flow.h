// Where control may go in a kernel's code.
#pragma once

#include <cstdint>
#include <vector>

#include "server/analysis/sass.h"

namespace sextant::analysis {

// Instructions [begin, end) that run one after the other.
struct SassBlock {
  uint32_t begin = 0;
  uint32_t end = 0;
  std::vector<uint32_t> next;       // blocks
  std::vector<uint32_t> previous;
  std::vector<uint32_t> calls;      // blocks of functions that its last instruction calls
};

struct SassFlow {
  std::vector<SassBlock> blocks;    // by address; the first is the entry
  std::vector<uint32_t> block_of;   // [instructions]
  uint32_t unresolved = 0;          // branches whose targets the text does not tell

  // Blocks no path from the entry reaches have no predecessor.
};

// Branches (BRA, BRX with its listed targets, JMP), the convergence barriers (BSYNC goes on where its BSSY says), calls
// (a call goes on after itself; what it calls is in `calls`), ends (EXIT, RET, KILL). A guard makes them conditional.
SassFlow FlowOf(const SassFunction& function);

// [blocks]: the closest block that every way from the entry to this one passes (its immediate dominator); −1 for the
// entry and for what is never reached. Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm, 2001.
std::vector<int32_t> Dominators(const SassFlow& flow);
// [blocks]: the closest block that every way from this one to an end passes; −1: there is none.
std::vector<int32_t> PostDominators(const SassFlow& flow);

// Answers for a tree of either kind.
class DominatorTree {
 public:
  explicit DominatorTree(std::vector<int32_t> above);
  int32_t Above(int32_t block) const { return above_[block]; }
  // Whether `above` is `block`, or one of those above it.
  bool Dominates(int32_t above, int32_t block) const {
    return enter_[above] <= enter_[block] && enter_[block] < leave_[above];
  }

 private:
  std::vector<int32_t> above_;
  std::vector<uint32_t> enter_, leave_;   // of a walk through the tree: what is below lies between
};

}  // namespace sextant::analysis
