#include "server/analysis/live_registers.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/analysis/sass_values.h"

namespace sextant::analysis {
namespace {

constexpr uint64_t kMaxReturnSteps = 4'000'000;   // for code that nobody compiled

bool StartsWithAny(std::string_view name, std::initializer_list<std::string_view> starts) {
  return std::any_of(starts.begin(), starts.end(), [&](std::string_view start) { return name.rfind(start, 0) == 0; });
}

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// No register is their result: stores, branches, comparisons (their results are predicates), barriers.
bool WritesNothing(std::string_view name) {
  if (name == "STG" || name == "STS" || name == "STL" || name == "ST" || name == "STSM" || name == "SUST") return true;
  if (StartsWithAny(name, {"RED", "UTMA", "UBLK", "BAR", "MEMBAR", "DEPBAR", "WARP", "CCTL", "ERRBAR", "LDGSTS", "LDGDEPBAR"}))
    return name != "REDUX";
  return IsOneOf(name, {"BRA", "BRX", "JMP", "JMX", "CALL", "RET", "EXIT", "KILL", "BSSY", "BSYNC", "BREAK", "YIELD", "NOP",
                        "NANOSLEEP", "R2P", "R2B", "ISETP", "FSETP", "DSETP", "HSETP2", "HSET2P", "FCHK", "PLOP3", "QSPC",
                        "PREFETCH", "ACQBULK", "SYNCS", "FENCE", "BPT", "PMTRIG", "ELECT", "ENDCOLLECTIVE"});
}

// Modifiers in order, without the mnemonic.
std::vector<absl::string_view> Modifiers(const SassInstruction& one) {
  std::vector<absl::string_view> parts = absl::StrSplit(one.opcode, '.');
  parts.erase(parts.begin());
  return parts;
}

uint32_t MemoryWidth(const SassInstruction& one) { return one.Has("128") ? 4 : one.Has("64") ? 2 : one.Has("256") ? 8 : 1; }

// Registers of a thread in the parts of a matrix instruction: result (and addend), A, B.
struct MatrixWidths {
  uint32_t result = 4, a = 4, b = 2;
};

MatrixWidths Matrix(const SassInstruction& one) {
  const std::string_view name = one.mnemonic();
  const std::vector<absl::string_view> parts = Modifiers(one);
  const absl::string_view shape = parts.empty() ? absl::string_view() : parts[0];
  const bool half = parts.size() > 1 && parts[1] == "F16";
  if (absl::EndsWith(absl::string_view(name.data(), name.size()), "GMMA")) {
    // 64xNxK over the 128 threads of a warpgroup.
    uint32_t n = 8;
    const std::vector<absl::string_view> sides = absl::StrSplit(shape, 'x');
    if (sides.size() == 3) (void)absl::SimpleAtoi(sides[1], &n);
    return {std::min(half ? n / 4 : n / 2, 128u), 4, 0};
  }
  if (name == "DMMA") return shape == "8x8x4" || shape == "884" ? MatrixWidths{4, 2, 2} : MatrixWidths{8, 4, 2};
  if (name == "IMMA") return shape == "8816" || shape == "8832" ? MatrixWidths{2, 1, 1}
                             : shape == "16816"                 ? MatrixWidths{4, 2, 1}
                                                                : MatrixWidths{4, 4, 2};
  MatrixWidths widths;
  widths.result = half ? 2 : 4;
  if (shape == "1688") {
    const bool tf32 = one.Has("TF32");
    widths.a = tf32 ? 4 : 2;
    widths.b = tf32 ? 2 : 1;
  } else if (shape == "1684") {
    widths.a = 2;
    widths.b = 1;
  }
  return widths;
}

bool IsMatrix(std::string_view name) {
  return name.size() >= 4 && name.substr(name.size() - 3) == "MMA" && name != "HFMA2";
}

// Registers of the result.
uint32_t ResultWidth(const SassInstruction& one) {
  const std::string_view name = one.mnemonic();
  if (name == "CS2R") return one.Has("32") ? 1 : 2;
  if (StartsWithAny(name, {"LD", "ATOM", "SULD", "SUATOM"})) {
    if (name == "LDSM") return one.Has("4") ? 4 : one.Has("2") ? 2 : 1;
    return MemoryWidth(one);
  }
  if (IsMatrix(name)) return Matrix(one).result;
  if (StartsWithAny(name, {"DADD", "DMUL", "DFMA"})) return 2;
  if (one.Has("WIDE") || one.Has("64")) return 2;
  // The first type of a conversion is the result's.
  if (IsOneOf(name, {"F2F", "I2F", "F2I", "FRND", "I2I"})) {
    for (const absl::string_view part : Modifiers(one)) {
      if (part == "F64" || part == "S64" || part == "U64") return 2;
      if (part == "F32" || part == "F16" || part == "S32" || part == "U32") return 1;
    }
  }
  return 1;
}

// Registers of a plain operand that is read, the `index`-th of those after the result.
uint32_t SourceWidth(const SassInstruction& one, size_t index) {
  const std::string_view name = one.mnemonic();
  if (IsMatrix(name)) {
    const MatrixWidths widths = Matrix(one);
    // GMMA: A is a register or a descriptor, B always a descriptor, then the accumulator.
    if (widths.b == 0) return index == 0 && one.operands.size() > 1 && one.operands[1][0] == 'R' ? widths.a : widths.result;
    return index == 0 ? widths.a : index == 1 ? widths.b : widths.result;
  }
  if (name == "STSM") return one.Has("4") ? 4 : one.Has("2") ? 2 : 1;
  if (StartsWithAny(name, {"ST", "RED", "ATOM", "SUST"})) return name == "REDUX" ? 1 : MemoryWidth(one);
  if (StartsWithAny(name, {"DADD", "DMUL", "DFMA", "DSETP"})) return 2;
  if (one.Has("WIDE")) return index == 2 ? 2 : 1;   // the addend
  if (name == "RET" || name == "BRX" || name == "JMX") return 2;
  if (IsOneOf(name, {"F2F", "I2F", "F2I", "FRND"})) {
    // The last type is the source's; a conversion that names one converts from 32 bits, or to them.
    absl::string_view last;
    int types = 0;
    for (const absl::string_view part : Modifiers(one))
      if (part == "F64" || part == "S64" || part == "U64" || part == "F32" || part == "F16" || part == "S32" || part == "U32") {
        last = part;
        ++types;
      }
    if (types > 1 && (last == "F64" || last == "S64" || last == "U64")) return 2;
    if (types == 1 && name == "F2I" && last == "F64") return 2;
    return 1;
  }
  return 1;
}

// Every register in an address: "[R4.64+UR4+0x8]", "desc[UR8][R6.64]", "c[0x0][R3]".
void AddressRegisters(absl::string_view text, RegisterSet* reads) {
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] != 'R' || (i > 0 && (absl::ascii_isalnum(static_cast<unsigned char>(text[i - 1])) || text[i - 1] == '_')))
      continue;
    size_t end = i + 1;
    while (end < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[end]))) ++end;
    uint32_t number = 0;
    if (end == i + 1 || !absl::SimpleAtoi(text.substr(i + 1, end - i - 1), &number) || number >= kZeroRegister) continue;
    reads->set(number);
    if (absl::StartsWith(text.substr(end), ".64") && number + 1 < kZeroRegister) reads->set(number + 1);
    i = end - 1;
  }
}

bool IsPredicate(absl::string_view operand) {
  while (!operand.empty() && operand[0] == '!') operand.remove_prefix(1);
  if (absl::StartsWith(operand, "UP")) operand.remove_prefix(1);
  return operand.size() >= 2 && operand[0] == 'P' && (absl::ascii_isdigit(static_cast<unsigned char>(operand[1])) || operand[1] == 'T' || operand[1] == 'R');
}

void Mark(uint32_t number, uint32_t width, RegisterSet* set) {
  for (uint32_t i = number; i < std::min(number + width, kZeroRegister); ++i) set->set(i);
}

// Blocks that end in a RET and that the function at `entry` comes to. Takes from `steps`.
std::vector<uint32_t> ReturnsOf(const SassFunction& function, const SassFlow& flow, uint32_t entry, uint64_t* steps) {
  std::vector<uint32_t> found, work = {entry};
  std::set<uint32_t> seen = {entry};
  while (!work.empty() && *steps > 0) {
    --*steps;
    const uint32_t at = work.back();
    work.pop_back();
    if (function.code[flow.blocks[at].end - 1].mnemonic() == "RET") found.push_back(at);
    for (const uint32_t next : flow.blocks[at].next)
      if (seen.insert(next).second) work.push_back(next);
  }
  return found;
}

}  // namespace

RegisterUse RegistersOf(const SassInstruction& one) {
  RegisterUse use;
  const std::string_view name = one.mnemonic();
  bool result_is_next = !WritesNothing(name);
  size_t source = 0;
  for (const std::string& operand : one.operands) {
    if (IsPredicate(operand)) continue;
    if (absl::StrContains(operand, "[")) {
      AddressRegisters(operand, &use.reads);
      result_is_next = false;
      continue;
    }
    bool uniform = false;
    uint32_t number = 0;
    const bool is_register = AsRegister(operand, &uniform, &number);
    if (result_is_next) {
      result_is_next = false;
      if (is_register && !uniform && number != kZeroRegister) Mark(number, ResultWidth(one), &use.writes);
      continue;
    }
    if (is_register && !uniform && number != kZeroRegister) Mark(number, SourceWidth(one, source), &use.reads);
    ++source;
  }
  // The accumulator of a GMMA is read and written where it stands.
  if (IsMatrix(name) && Matrix(one).b == 0) use.reads |= use.writes;
  return use;
}

std::vector<uint32_t> LiveRegisterCounts(const SassFunction& function, const SassFlow& flow) {
  const size_t blocks = flow.blocks.size();
  std::vector<RegisterUse> uses;
  uses.reserve(function.code.size());
  for (const SassInstruction& one : function.code) uses.push_back(RegistersOf(one));
  const auto conditional = [&](uint32_t i) { return !function.code[i].guard.empty(); };

  // A block's needs: reads before writes, and what it surely overwrites.
  std::vector<RegisterUse> of_block(blocks);
  for (size_t block = 0; block < blocks; ++block)
    for (uint32_t i = flow.blocks[block].end; i-- > flow.blocks[block].begin;) {
      if (!conditional(i)) {
        of_block[block].reads &= ~uses[i].writes;
        of_block[block].writes |= uses[i].writes;
      }
      of_block[block].reads |= uses[i].reads;
    }

  // What follows a block: its ways, the functions it calls, and for a function's RET where its callers go on.
  std::vector<std::vector<uint32_t>> after(blocks);
  std::map<uint32_t, std::vector<uint32_t>> returns;   // by entry
  uint64_t steps = kMaxReturnSteps;
  for (uint32_t block = 0; block < blocks; ++block) {
    const SassBlock& from = flow.blocks[block];
    after[block].insert(after[block].end(), from.next.begin(), from.next.end());
    for (const uint32_t entry : from.calls) {
      after[block].push_back(entry);
      const auto [known, added] = returns.try_emplace(entry);
      if (added) known->second = ReturnsOf(function, flow, entry, &steps);
      for (const uint32_t at : known->second) {
        if (steps == 0) break;
        steps -= std::min<uint64_t>(steps, from.next.size());
        after[at].insert(after[at].end(), from.next.begin(), from.next.end());
      }
    }
  }
  std::vector<std::vector<uint32_t>> before(blocks);
  for (uint32_t block = 0; block < blocks; ++block)
    for (const uint32_t next : after[block]) before[next].push_back(block);

  std::vector<RegisterSet> in(blocks), out(blocks);
  std::vector<uint32_t> work;
  std::vector<bool> queued(blocks, true);
  for (uint32_t block = 0; block < blocks; ++block) work.push_back(block);
  while (!work.empty()) {
    const uint32_t block = work.back();
    work.pop_back();
    queued[block] = false;
    for (const uint32_t next : after[block]) out[block] |= in[next];
    const RegisterSet needed = of_block[block].reads | (out[block] & ~of_block[block].writes);
    if (needed == in[block]) continue;
    in[block] = needed;
    for (const uint32_t previous : before[block]) {
      if (queued[previous]) continue;
      queued[previous] = true;
      work.push_back(previous);
    }
  }

  // A register that nothing can have written yet holds no value: an accumulator that the first of its instructions
  // does not read, though the text has it.
  std::vector<RegisterSet> written_before(blocks), written_in(blocks);
  for (uint32_t block = 0; block < blocks; ++block) {
    for (uint32_t i = flow.blocks[block].begin; i < flow.blocks[block].end; ++i) written_in[block] |= uses[i].writes;
    work.push_back(block);
    queued[block] = true;
  }
  while (!work.empty()) {
    const uint32_t block = work.back();
    work.pop_back();
    queued[block] = false;
    const RegisterSet here = written_before[block] | written_in[block];
    for (const uint32_t next : after[block]) {
      const RegisterSet merged = written_before[next] | here;
      if (merged == written_before[next]) continue;
      written_before[next] = merged;
      if (!queued[next]) work.push_back(next);
      queued[next] = true;
    }
  }

  std::vector<uint32_t> counts(function.code.size());
  std::vector<RegisterSet> needed(function.code.size()), behind(function.code.size());
  for (size_t block = 0; block < blocks; ++block) {
    RegisterSet live = out[block];
    for (uint32_t i = flow.blocks[block].end; i-- > flow.blocks[block].begin;) {
      // A result that nobody needs takes a register all the same.
      behind[i] = live | uses[i].writes;
      if (!conditional(i)) live &= ~uses[i].writes;
      live |= uses[i].reads;
      needed[i] = live;
    }
    RegisterSet written = written_before[block];
    for (uint32_t i = flow.blocks[block].begin; i < flow.blocks[block].end; ++i) {
      const size_t ahead = (needed[i] & written).count();
      written |= uses[i].writes;
      counts[i] = static_cast<uint32_t>(std::max((behind[i] & written).count(), ahead));
    }
  }
  return counts;
}

}  // namespace sextant::analysis
