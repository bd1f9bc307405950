#include "server/analysis/sass_values.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace sextant::analysis {
namespace {

constexpr int kMaxDepth = 10;
constexpr int kMaxSteps = 512;   // instructions looked at for one definition

SassValue Constant(uint32_t bits) { return {UINT32_MAX, bits, -1, -1}; }

// a OP b bit by bit with a lookup table, as LOP3 has it: bit (a·4 + b·2 + c) of `table`.
SassValue Lop3(const SassValue& a, const SassValue& b, const SassValue& c, uint32_t table) {
  SassValue out;
  for (uint32_t bit = 0; bit < 32; ++bit) {
    int seen = -1;
    bool same = true;
    for (uint32_t at = 0; at < 8; ++at) {
      const auto possible = [bit](const SassValue& v, uint32_t value) {
        return (v.known >> bit & 1) == 0 || (v.bits >> bit & 1) == value;
      };
      if (!possible(a, at >> 2 & 1) || !possible(b, at >> 1 & 1) || !possible(c, at & 1)) continue;
      const int value = static_cast<int>(table >> at & 1);
      if (seen >= 0 && seen != value) same = false;
      seen = value;
    }
    if (same && seen >= 0) {
      out.known |= 1u << bit;
      out.bits |= static_cast<uint32_t>(seen) << bit;
    }
  }
  return out;
}

SassValue Add(const SassValue& a, const SassValue& b) {
  SassValue out;
  int carry = 0;   // −1: not known
  for (uint32_t bit = 0; bit < 32; ++bit) {
    const int x = (a.known >> bit & 1) != 0 ? static_cast<int>(a.bits >> bit & 1) : -1;
    const int y = (b.known >> bit & 1) != 0 ? static_cast<int>(b.bits >> bit & 1) : -1;
    if (x >= 0 && y >= 0 && carry >= 0) {
      out.known |= 1u << bit;
      out.bits |= static_cast<uint32_t>((x + y + carry) & 1) << bit;
      carry = (x + y + carry) >> 1;
      continue;
    }
    // The carry is known where two of the three agree.
    const int zeros = (x == 0) + (y == 0) + (carry == 0), ones = (x == 1) + (y == 1) + (carry == 1);
    carry = zeros >= 2 ? 0 : ones >= 2 ? 1 : -1;
  }
  return out;
}

SassValue ShiftLeft(const SassValue& a, uint32_t by) {
  if (by >= 32) return Constant(0);
  return {a.known << by | ((1u << by) - 1), a.bits << by, -1, -1};
}

// The bits of a decimal as IEEE binary16; false where it is none.
bool AsHalf(std::string_view text, uint32_t* half) {
  double value = 0;
  if (!absl::SimpleAtod(absl::string_view(text.data(), text.size()), &value) || !std::isfinite(value)) return false;
  const uint32_t sign = std::signbit(value) ? 0x8000 : 0;
  value = std::fabs(value);
  if (value == 0) {
    *half = sign;
    return true;
  }
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);   // in [0.5, 1)
  if (exponent > 16) return false;
  if (exponent - 1 < -14) {
    *half = sign | static_cast<uint32_t>(std::lround(std::ldexp(value, 24)));
    return true;
  }
  *half = sign | ((static_cast<uint32_t>(exponent - 1 + 15) << 10) +
                  static_cast<uint32_t>(std::lround(std::ldexp(fraction, 11)) - 1024));
  return true;
}

bool AsImmediate(std::string_view operand, uint32_t* value) {
  absl::string_view text(operand.data(), operand.size());
  const bool negative = absl::ConsumePrefix(&text, "-");
  uint64_t bits = 0;
  if (!absl::StartsWith(text, "0x") || !absl::SimpleHexAtoi(text, &bits) || bits > UINT32_MAX) return false;
  *value = negative ? 0u - static_cast<uint32_t>(bits) : static_cast<uint32_t>(bits);
  return true;
}

// Registers that an instruction's first operand is: one, or more for wide results.
uint32_t Width(const SassInstruction& one) {
  const std::string_view name = one.mnemonic();
  if (name == "CS2R") return one.Has("32") ? 1 : 2;
  if (one.Has("128")) return 4;
  if (one.Has("64") || one.Has("WIDE") || name == "DADD" || name == "DMUL" || name == "DFMA") return 2;
  if (name == "LDSM" || name == "HMMA" || name == "IMMA" || name == "HGMMA" || name == "QGMMA" || name == "IGMMA")
    return 255;   // it clobbers more; nothing is traced through it
  return 1;
}

class Tracer {
 public:
  Tracer(const SassFunction& function, const SassFlow& flow) : function_(function), flow_(flow) {}

  SassValue Before(uint32_t at, bool uniform, uint32_t number, int depth) {
    if (number == kZeroRegister) return Constant(0);
    if (depth > kMaxDepth) return {};
    uint32_t block = flow_.block_of[at];
    for (uint32_t i = at;;) {
      if (i == flow_.blocks[block].begin) {
        const auto& previous = flow_.blocks[block].previous;
        if (previous.size() != 1 || previous[0] == block) return {};
        block = previous[0];
        i = flow_.blocks[block].end;
      }
      if (++steps_ > kMaxSteps) return {};
      --i;
      const SassInstruction& one = function_.code[i];
      for (size_t operand = 0; operand < std::min<size_t>(one.operands.size(), 2); ++operand) {
        bool is_uniform = false;
        uint32_t first = 0;
        if (!Writes(one, operand) || !AsRegister(one.operands[operand], &is_uniform, &first) || first == kZeroRegister)
          continue;
        if (is_uniform != uniform || number < first || number - first >= Width(one)) continue;
        // A write under a condition counts for what happens under the same.
        if (!one.guard.empty() && one.guard != function_.code[at].guard) return {};
        return Result(i, number - first, depth + 1);
      }
    }
  }

 private:
  // Whether the operand is a result. Loads, moves and arithmetic write the first; what has a predicate first
  // (ATOMG PT, R10; LOP3 P0, R1) the second.
  static bool Writes(const SassInstruction& one, size_t operand) {
    const std::string_view name = one.mnemonic();
    if (name == "ST" || name == "STG" || name == "STS" || name == "STL" || name == "RED" || name == "REDG") return false;
    if (operand == 0) return true;
    return !one.operands[0].empty() && (one.operands[0][0] == 'P' || one.operands[0].rfind("UP", 0) == 0);
  }

  SassValue Operand(const SassInstruction& one, uint32_t at, size_t index, int depth) {
    if (index >= one.operands.size()) return {};
    const std::string& text = one.operands[index];
    uint32_t immediate = 0, number = 0;
    bool uniform = false;
    if (AsImmediate(text, &immediate)) return Constant(immediate);
    if (!AsRegister(text, &uniform, &number)) return {};
    SassValue value = Before(at, uniform, number, depth);
    if (text[0] == '-') return number == kZeroRegister ? value : SassValue{};
    if (text[0] == '~') return {value.known, ~value.bits & value.known, -1, -1};
    return value;
  }

  SassValue Result(uint32_t at, uint32_t part, int depth) {
    const SassInstruction& one = function_.code[at];
    const std::string_view name = one.mnemonic();
    const auto is = [&](std::string_view wanted) { return name == wanted; };
    const auto operand = [&](size_t index) { return Operand(one, at, index, depth); };
    SassValue out;
    if (is("CS2R") || is("S2R") || is("S2UR")) {
      if (one.operands.size() < 2) return {};
      if (one.operands[1] == "SR_CLOCKLO") (part == 0 ? out.clock : out.clock_high) = at;
      if (one.operands[1] == "SR_CLOCKHI") out.clock_high = at;
      if (one.operands[1] == "SRZ") return Constant(0);
      return out;
    }
    if (part != 0) return {};
    if (is("MOV") || is("UMOV") || is("R2UR") || is("MOV32I")) return operand(1);
    if (is("LOP3") || is("ULOP3")) {
      const size_t first = one.operands.empty() || one.operands[0][0] == 'P' || one.operands[0].rfind("UP", 0) == 0 ? 2 : 1;
      uint32_t table = 0;
      if (first + 3 >= one.operands.size() || !AsImmediate(one.operands[first + 3], &table)) return {};
      return Lop3(operand(first), operand(first + 1), operand(first + 2), table);
    }
    if (is("HFMA2")) {   // a constant: −0 × 0 + (a, b)
      uint32_t high = 0, low = 0;
      const size_t n = one.operands.size();
      if (n == 5 && absl::EndsWith(one.operands[1], "RZ") && absl::EndsWith(one.operands[2], "RZ") &&
          AsHalf(one.operands[n - 2], &high) && AsHalf(one.operands[n - 1], &low))
        return Constant(high << 16 | low);
      return {};
    }
    if (is("IMAD") || is("UIMAD")) {
      if (one.Has("WIDE") || one.Has("HI") || one.Has("X") || one.operands.size() < 4) return {};
      const SassValue a = operand(1), b = operand(2), c = operand(3);
      const bool a_zero = a.known == UINT32_MAX && a.bits == 0, b_zero = b.known == UINT32_MAX && b.bits == 0;
      if (a_zero || b_zero) return c;   // moves keep what they move
      const SassValue& factor = b.known == UINT32_MAX ? b : a;
      const SassValue& other = b.known == UINT32_MAX ? a : b;
      if (factor.known != UINT32_MAX || (factor.bits & (factor.bits - 1)) != 0) return {};
      uint32_t by = 0;
      while ((factor.bits >> by) != 1) ++by;
      return Add(ShiftLeft(other, by), c);
    }
    if (is("IADD3") || is("UIADD3")) {
      if (one.operands.size() != 4 || one.Has("X")) return {};
      return Add(Add(operand(1), operand(2)), operand(3));
    }
    if (is("VIADD") || is("IADD")) return Add(operand(1), operand(2));
    if (is("LEA") || is("ULEA")) {
      uint32_t by = 0;
      if (one.operands.size() != 4 || one.Has("HI") || one.Has("X") || !AsImmediate(one.operands[3], &by)) return {};
      return Add(ShiftLeft(operand(1), by), operand(2));
    }
    if ((is("SHF") || is("USHF")) && one.Has("L") && one.Has("U32")) {
      uint32_t by = 0;
      if (one.operands.size() != 4 || !AsImmediate(one.operands[2], &by)) return {};
      return ShiftLeft(operand(1), by);
    }
    if (is("SEL") || is("USEL")) {
      const SassValue a = operand(1), b = operand(2);
      out.known = a.known & b.known & ~(a.bits ^ b.bits);
      out.bits = a.bits & out.known;
      return out;
    }
    return {};
  }

  const SassFunction& function_;
  const SassFlow& flow_;
  int steps_ = 0;
};

}  // namespace

bool AsRegister(std::string_view operand, bool* uniform, uint32_t* number) {
  absl::string_view text(operand.data(), operand.size());
  while (!text.empty() && (text[0] == '-' || text[0] == '~' || text[0] == '|' || text[0] == '!')) text.remove_prefix(1);
  *uniform = absl::ConsumePrefix(&text, "U");
  if (!absl::ConsumePrefix(&text, "R")) return false;
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  if (end == 0) {
    *number = kZeroRegister;
    return absl::StartsWith(text, "Z");
  }
  if (end < text.size() && text[end] != '.' && text[end] != '|' && text[end] != ' ') return false;
  return absl::SimpleAtoi(text.substr(0, end), number) && *number < kZeroRegister;
}

SassValue RegisterBefore(const SassFunction& function, const SassFlow& flow, uint32_t at, bool uniform,
                         uint32_t number) {
  return Tracer(function, flow).Before(at, uniform, number, 0);
}

}  // namespace sextant::analysis
