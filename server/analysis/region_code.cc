#include "server/analysis/region_code.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/include/sextant/detail/scopes_format.h"
#include "server/analysis/sass_values.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxStack = 64;
constexpr size_t kMaxRegions = 4096;
constexpr size_t kMaxDoubtful = 64;       // at one instruction
constexpr int kMaxBypassDepth = 256;      // blocks between a record and the branch around it
constexpr uint32_t kKindMask = (1u << SEXTANT_SCOPES_KIND_BITS) - 1;
constexpr uint32_t kIdShift = SEXTANT_SCOPES_KIND_BITS + SEXTANT_SCOPES_SLOT_BITS;
constexpr uint32_t kScopesKnown = ~(((1u << SEXTANT_SCOPES_SLOT_BITS) - 1) << SEXTANT_SCOPES_KIND_BITS);
constexpr uint32_t kProtonKnown = 0xfffff800u;   // all but the clock's high bits
constexpr uint32_t kProtonZeros = 0x007ff800u;

bool IsStore64(const SassInstruction& one) {
  const std::string_view name = one.mnemonic();
  return (name == "STG" || name == "ST" || name == "STS") && one.Has("64") && one.operands.size() >= 2;
}

// A record that the store writes, if it is one.
bool RecordOf(const SassFunction& function, const SassFlow& flow, uint32_t at, ClockRecord* out) {
  bool uniform = false;
  uint32_t number = 0;
  if (!AsRegister(function.code[at].operands.back(), &uniform, &number) || uniform || number == kZeroRegister)
    return false;
  const SassValue clock = RegisterBefore(function, flow, at, false, number + 1);
  if (clock.clock < 0) return false;
  const SassValue tag = RegisterBefore(function, flow, at, false, number);
  out->clock = static_cast<uint32_t>(clock.clock);
  out->store = at;
  if ((tag.known & kScopesKnown) == kScopesKnown && (tag.bits & kKindMask) != 0 &&
      (tag.bits & kKindMask) <= SEXTANT_SCOPES_SIGNAL) {
    const uint32_t kind = tag.bits & kKindMask;
    out->format = RecordFormat::kScopes;
    out->id = tag.bits >> kIdShift;
    out->begin = kind == SEXTANT_SCOPES_BEGIN || kind == SEXTANT_SCOPES_WAIT_BEGIN;
    out->wait = kind == SEXTANT_SCOPES_WAIT_BEGIN || kind == SEXTANT_SCOPES_WAIT_END;
    out->signal = kind == SEXTANT_SCOPES_SIGNAL;
    return true;
  }
  if ((tag.known & kProtonKnown) == kProtonKnown && (tag.bits & kProtonZeros) == 0) {
    out->format = RecordFormat::kProton;
    out->id = tag.bits >> 23 & 0xff;
    out->begin = (tag.bits >> 31) == 0;
    return true;
  }
  return false;
}

using Stack = std::vector<int32_t>;   // region indices, outermost first

class Walker {
 public:
  Walker(const SassFunction& function, const SassFlow& flow, std::vector<ClockRecord> records)
      : function_(function), flow_(flow), records_(std::move(records)) {
    for (const ClockRecord& one : records_) at_.emplace(one.clock, &one);
  }

  RegionCode Walk() {
    out_.innermost.assign(function_.code.size(), -1);
    out_.doubtful.resize(function_.code.size());
    out_.recording.assign(function_.code.size(), false);
    if (records_.empty()) return std::move(out_);
    out_.format = records_.front().format;
    for (const ClockRecord& one : records_) MarkRecord(one);
    LeaveOutBypasses();
    Propagate();
    Assign();
    return std::move(out_);
  }

 private:
  // The clock read, the store, and what is done under the record's own guard between them.
  void MarkRecord(const ClockRecord& one) {
    const std::string& guard = function_.code[one.store].guard;
    for (uint32_t i = one.clock; i <= one.store && i < function_.code.size(); ++i) {
      const SassInstruction& here = function_.code[i];
      if (i == one.clock || i == one.store || (!guard.empty() && here.guard == guard))
        out_.recording[i] = true;
    }
  }

  // Lanes that do not record go around a record by a branch, where the compiler made no guard of it: A → C, and
  // A → … → C through the record. The warp's record is made on the latter, so A → C says nothing of regions.
  void LeaveOutBypasses() {
    std::set<int32_t> with_record;
    for (const ClockRecord& one : records_)
      if (!one.signal) with_record.insert(static_cast<int32_t>(flow_.block_of[one.clock]));
    const DominatorTree before(Dominators(flow_)), after(PostDominators(flow_));
    for (const int32_t record : with_record) {
      int looked = 0;
      for (int32_t parts = before.Above(record); parts >= 0 && looked < kMaxBypassDepth; parts = before.Above(parts), ++looked) {
        const auto& ways = flow_.blocks[parts].next;
        if (ways.size() < 2) continue;
        const int32_t meets = after.Above(parts);
        for (const uint32_t way : ways) {
          if (static_cast<int32_t>(way) == meets) continue;
          // Every other way must come by the record.
          if (after.Dominates(record, static_cast<int32_t>(way)) && !after.Dominates(record, parts) && meets >= 0 &&
              std::find(ways.begin(), ways.end(), static_cast<uint32_t>(meets)) != ways.end())
            bypasses_.insert({static_cast<uint32_t>(parts), static_cast<uint32_t>(meets)});
        }
        if (!after.Dominates(record, parts)) break;   // further up the record is one way among others
      }
    }
  }

  int32_t Open(const ClockRecord& record, int32_t parent) {
    const auto [at, added] = index_.try_emplace({parent, record.id, record.wait}, static_cast<int32_t>(out_.regions.size()));
    if (added) {
      CodeRegion& region = out_.regions.emplace_back();
      region.id = record.id;
      region.wait = record.wait;
      region.parent = parent;
    }
    return at->second;
  }

  // False: the end of a region that is not open.
  bool Apply(const ClockRecord& record, uint32_t instruction, Stack* stack) {
    if (record.begin) {
      if (stack->size() >= kMaxStack || out_.regions.size() >= kMaxRegions) return true;
      const int32_t region = Open(record, stack->empty() ? -1 : stack->back());
      stack->push_back(region);
      Note(&out_.regions[region].begins, instruction);
      return true;
    }
    for (size_t i = stack->size(); i-- > 0;) {
      const CodeRegion& region = out_.regions[(*stack)[i]];
      if (region.id != record.id || region.wait != record.wait) continue;
      if (i + 1 < stack->size()) crossing_ = true;
      Note(&out_.regions[(*stack)[i]].ends, instruction);
      stack->resize(i);
      return true;
    }
    return false;
  }

  static void Note(std::vector<uint32_t>* to, uint32_t instruction) {
    if (std::find(to->begin(), to->end(), instruction) == to->end()) to->push_back(instruction);
  }

  static size_t Common(const Stack& a, const Stack& b) {
    size_t n = 0;
    while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
    return n;
  }

  // Into each block goes the part of the stacks that all ways in agree on; the rest is doubtful there, and after.
  struct State {
    bool seen = false;
    Stack stack;
    std::set<int32_t> doubtful;
    friend bool operator==(const State&, const State&) = default;
  };

  void Propagate() {
    in_.assign(flow_.blocks.size(), {});
    std::deque<uint32_t> work = {0};
    in_[0].seen = true;
    // Stacks only shrink and doubts only grow, so this ends; the bound is for code that nobody compiled.
    for (size_t steps = 0; !work.empty() && steps < 64 * flow_.blocks.size() + 1024; ++steps) {
      const uint32_t block = work.front();
      work.pop_front();
      State state = in_[block];
      for (uint32_t i = flow_.blocks[block].begin; i < flow_.blocks[block].end; ++i) Pass(i, &state);
      for (const auto* ways : {&flow_.blocks[block].next, &flow_.blocks[block].calls})
        for (const uint32_t next : *ways) {
          if (bypasses_.contains({block, next})) continue;
          if (Merge(state, &in_[next])) work.push_back(next);
        }
    }
  }

  void Pass(uint32_t instruction, State* state) {
    const auto found = at_.find(instruction);
    if (found == at_.end() || found->second->signal) return;
    const ClockRecord& record = *found->second;
    if (Apply(record, instruction, &state->stack)) return;
    // Perhaps the end of what was doubtful.
    const size_t ended = std::erase_if(state->doubtful, [&](int32_t region) {
      const bool ends = out_.regions[region].id == record.id && out_.regions[region].wait == record.wait;
      if (ends) Note(&out_.regions[region].ends, instruction);
      return ends;
    });
    if (ended == 0) unmatched_.insert(instruction);
  }

  bool Merge(const State& from, State* to) {
    if (!to->seen) {
      *to = from;
      return true;
    }
    const size_t common = Common(from.stack, to->stack);
    State merged = *to;
    merged.doubtful.insert(from.doubtful.begin(), from.doubtful.end());
    for (const Stack* stack : {&from.stack, static_cast<const Stack*>(&to->stack)})
      merged.doubtful.insert(stack->begin() + common, stack->end());
    while (merged.doubtful.size() > kMaxDoubtful) merged.doubtful.erase(std::prev(merged.doubtful.end()));
    merged.stack.resize(common);
    if (merged == *to) return false;
    *to = std::move(merged);
    return true;
  }

  void Assign() {
    // What was noted on the way to the fixed point may not hold there.
    unmatched_.clear();
    crossing_ = false;
    for (CodeRegion& region : out_.regions) {
      region.begins.clear();
      region.ends.clear();
    }
    for (uint32_t block = 0; block < flow_.blocks.size(); ++block) {
      if (!in_[block].seen) continue;
      State state = in_[block];
      for (uint32_t i = flow_.blocks[block].begin; i < flow_.blocks[block].end; ++i) {
        // The clock read itself still stands before the begin, and within until the end.
        out_.innermost[i] = state.stack.empty() ? -1 : state.stack.back();
        out_.doubtful[i].assign(state.doubtful.begin(), state.doubtful.end());
        Pass(i, &state);
      }
    }
    if (!unmatched_.empty())
      out_.notes.push_back(absl::StrCat(unmatched_.size(), " ends of regions in the code have no begin on every way to them"));
    if (crossing_) out_.notes.push_back("regions cross in the code: they are not properly nested");
    if (flow_.unresolved > 0)
      out_.notes.push_back(absl::StrCat(flow_.unresolved, " branches go where the code does not tell"));
  }

  const SassFunction& function_;
  const SassFlow& flow_;
  const std::vector<ClockRecord> records_;
  std::map<uint32_t, const ClockRecord*> at_;
  std::map<std::tuple<int32_t, uint32_t, bool>, int32_t> index_;
  std::set<std::pair<uint32_t, uint32_t>> bypasses_;
  std::vector<State> in_;
  std::set<uint32_t> unmatched_;
  bool crossing_ = false;
  RegionCode out_;
};

}  // namespace

std::vector<ClockRecord> FindRecords(const SassFunction& function, const SassFlow& flow) {
  std::vector<ClockRecord> records;
  for (uint32_t at = 0; at < function.code.size(); ++at) {
    ClockRecord one;
    if (IsStore64(function.code[at]) && RecordOf(function, flow, at, &one)) records.push_back(one);
  }
  // Code that has both would be someone's own clock reads that look like the other's records.
  const bool scopes = std::any_of(records.begin(), records.end(),
                                  [](const ClockRecord& one) { return one.format == RecordFormat::kScopes; });
  std::erase_if(records, [&](const ClockRecord& one) { return scopes && one.format != RecordFormat::kScopes; });
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.clock < b.clock; });
  return records;
}

RegionCode FindRegionCode(const SassFunction& function, const SassFlow& flow) {
  return Walker(function, flow, FindRecords(function, flow)).Walk();
}

bool RegionCode::IsWithin(int32_t inner, int32_t outer) const {
  for (; inner >= 0; inner = regions[inner].parent)
    if (inner == outer) return true;
  return false;
}

std::vector<std::vector<std::string>> RegionCode::Ranges(const SassFunction& function, size_t most) const {
  std::vector<std::vector<std::string>> ranges(regions.size());
  std::vector<uint32_t> began(regions.size(), UINT32_MAX);
  const auto end = [&](int32_t region, uint32_t last) {
    auto& of = ranges[region];
    if (of.size() < most) of.push_back(absl::StrFormat("0x%x-0x%x", function.code[began[region]].pc, function.code[last].pc));
    else if (of.size() == most) of.push_back("…");
    began[region] = UINT32_MAX;
  };
  const uint32_t count = static_cast<uint32_t>(function.code.size());
  for (uint32_t i = 0; i <= count; ++i) {
    const int32_t here = i < count ? innermost[i] : -1, before = i > 0 ? innermost[i - 1] : -1;
    if (here == before) continue;
    for (int32_t region = before; region >= 0; region = regions[region].parent)
      if (!IsWithin(here, region)) end(region, i - 1);
    for (int32_t region = here; region >= 0 && began[region] == UINT32_MAX; region = regions[region].parent) began[region] = i;
  }
  return ranges;
}

std::string NameOfScopeId(uint32_t id, bool wait, absl::Span<const std::string> names) {
  for (const std::string& name : names) {
    absl::string_view scope = name;
    if (wait && !absl::ConsumePrefix(&scope, "wait ")) continue;
    if (sextant_scopes_id(std::string(scope).c_str()) == id) return name;
  }
  return "";
}

}  // namespace sextant::analysis
