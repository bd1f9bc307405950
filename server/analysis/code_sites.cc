#include "server/analysis/code_sites.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/analysis/live_registers.h"

namespace sextant::analysis {
namespace {

constexpr uint32_t kLookBack = 400;   // instructions
constexpr double kAwaitedMatters = 0.001;   // of the samples

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Its result comes when it comes.
bool ComesLate(std::string_view name) {
  return IsOneOf(name, {"LD", "LDG", "LDL", "LDS", "LDSM", "LDC", "ATOM", "ATOMG", "ATOMS", "SHFL", "MUFU", "S2R", "TEX", "TLD", "F2F",
                        "POPC", "QSPC", "REDUX"});
}

bool Stores(std::string_view name) { return IsOneOf(name, {"ST", "STG", "STL", "STS", "STSM"}); }

// "P0" of "!P0"; "" for none, and for the one that is always true.
std::string Predicate(const std::string& guard) {
  const std::string name = guard.substr(!guard.empty() && guard[0] == '!' ? 1 : 0);
  return name == "PT" || name == "UPT" ? "" : name;
}

// Results that are predicates are the first operands.
bool WritesPredicate(const SassInstruction& one, const std::string& predicate) {
  for (size_t i = 0; i < std::min<size_t>(one.operands.size(), 2); ++i)
    if (one.operands[i] == predicate) return true;
  return false;
}

// Of the recorder that is compiled into the kernel.
bool OfRecorder(absl::string_view where) { return absl::StartsWith(where, "scopes_context.cuh:") || absl::StartsWith(where, "scope.cuh:"); }

}  // namespace

uint32_t FindAwaited(const KernelCode& code, uint32_t index) {
  const SassFunction& function = code.function;
  const uint32_t none = static_cast<uint32_t>(function.code.size());
  if (index >= none) return none;
  const SassInstruction& waits = function.code[index];
  const RegisterUse use = RegistersOf(waits);
  const std::string guard = Predicate(waits.guard);
  // A barrier behind copies into shared memory waits for them.
  const bool for_copies = IsOneOf(waits.mnemonic(), {"BAR", "DEPBAR", "LDGDEPBAR"});
  // Backwards, each instruction once; a register's search ends on a way where it is written.
  struct At {
    uint32_t index;
    RegisterSet reads;
    RegisterSet writes;
    bool guard;
  };
  // Whether it is what is waited for; else what it writes is waited for no longer.
  const auto meets = [&](uint32_t i, At* at) {
    const SassInstruction& before = function.code[i];
    const RegisterUse other = RegistersOf(before);
    if (for_copies && before.mnemonic() == "LDGSTS") return true;
    if (at->guard && WritesPredicate(before, guard)) {
      if (ComesLate(before.mnemonic()) || before.mnemonic() == "SYNCS") return true;
      at->guard = false;
      at->reads |= other.reads;   // it decides by them
    }
    if ((other.writes & at->reads).any()) {
      if (ComesLate(before.mnemonic())) return true;
      at->reads &= ~other.writes;
    }
    return (other.reads & at->writes).any() && Stores(before.mnemonic());
  };
  std::vector<At> waiting = {{index, use.reads, use.writes, !guard.empty()}};
  std::set<uint32_t> seen;
  uint32_t steps = 0;
  for (size_t next = 0; next < waiting.size() && steps < kLookBack; ++next) {
    At at = waiting[next];
    const SassBlock& block = code.flow.blocks[code.flow.block_of[at.index]];
    uint32_t i = at.index;
    bool open = true;
    while (open && i > block.begin && steps++ < kLookBack) {
      if (meets(--i, &at)) return i;
      open = at.reads.any() || at.writes.any() || at.guard || for_copies;
    }
    if (!open) continue;
    for (const uint32_t previous : block.previous) {
      const uint32_t end = code.flow.blocks[previous].end;
      if (end == 0 || !seen.insert(previous).second) continue;
      At from = at;
      from.index = end - 1;   // the rest of the block follows when its turn comes
      if (meets(from.index, &from)) return from.index;
      waiting.push_back(std::move(from));
    }
  }
  return none;
}

absl::StatusOr<std::vector<CodeSite>> FindCodeSites(const Evidence& evidence, const v1::Hotspots& by_sass) {
  std::vector<CodeSite> sites;
  v1::Basis unsaid;   // the hotspots said it
  ASSIGN_OR_RETURN(const auto samples, ReadSamples(evidence, "", &unsaid));
  ASSIGN_OR_RETURN(const auto counts, ReadCounts(evidence, "", &unsaid));
  ASSIGN_OR_RETURN(const auto code, ReadKernelCode(evidence, "", &unsaid));
  std::vector<int64_t> ids;
  for (const v1::PassSet& set : by_sass.basis().passes())
    if (set.left_out().empty()) ids.insert(ids.end(), set.pass_ids().begin(), set.pass_ids().end());
  const auto place = [&](uint64_t pc) -> std::string {
    if (const auto found = counts.find(pc); found != counts.end() && found->second.line > 0)
      return ShortPlace(found->second.file, found->second.line);
    if (const auto found = samples.find(pc); found != samples.end() && found->second.line > 0)
      return ShortPlace(found->second.file, found->second.line);
    if (code == nullptr) return "";
    const uint32_t at = code->function.At(pc);
    if (at >= code->function.code.size() || code->function.code[at].line == 0) return "";
    return ShortPlace(code->function.files[code->function.code[at].file], code->function.code[at].line);
  };
  for (const v1::Hotspot& hotspot : by_sass.hotspots()) {
    CodeSite site;
    const size_t space = hotspot.name().find(' ');
    if (space == std::string::npos || !absl::SimpleHexAtoi(hotspot.name().substr(0, space), &site.pc)) continue;
    site.opcode = hotspot.name().substr(space + 1);
    site.where = place(site.pc);
    site.region = hotspot.parent();
    site.recorder = OfRecorder(site.where);
    site.executed = hotspot.executed();
    site.pass_ids = ids;
    if (by_sass.total_samples() > 0) {
      site.samples = hotspot.samples() / by_sass.total_samples();
      for (const v1::NamedShare& stall : hotspot.stalls()) site.stalls[stall.name()] = stall.value() / by_sass.total_samples();
    }
    if (code != nullptr) {
      const uint32_t at = code->function.At(site.pc);
      if (at < code->function.code.size()) {
        site.opcode = code->function.code[at].opcode;
        if (site.samples >= kAwaitedMatters)
          if (const uint32_t awaited = FindAwaited(*code, at); awaited < code->function.code.size()) {
            const SassInstruction& one = code->function.code[awaited];
            CodeSite other;
            other.pc = one.pc;
            other.opcode = one.opcode;
            other.where = place(one.pc);
            site.waits_for = SiteText(other);
            site.awaited = std::string(one.mnemonic());
          }
      }
    }
    sites.push_back(std::move(site));
  }
  return sites;
}

}  // namespace sextant::analysis
