#include "workers/backends/profiling/opcode.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace sextant::backends::profiling {
namespace {

struct Entry {
  uint16_t code;
  std::string_view name;
};

constexpr Entry kOpcodes[] = {
#include "workers/backends/profiling/opcodes.inc"
};

constexpr uint32_t kLeastArchitecture = 70;
constexpr uint32_t kNewestArchitecture = 90;  // later ones have other tables
constexpr int kForms = 512;                   // the low 9 bits; the rest is the form of the operands

// What all known forms of an operation are called; "" where they differ.
std::array<std::string_view, kForms> ByOperation() {
  std::array<std::string_view, kForms> names;
  std::array<bool, kForms> differ = {};
  for (const Entry& entry : kOpcodes) {
    std::string_view& name = names[entry.code % kForms];
    if (!name.empty() && name != entry.name) differ[entry.code % kForms] = true;
    name = entry.name;
  }
  for (int i = 0; i < kForms; ++i) {
    if (differ[i]) names[i] = "";
  }
  return names;
}

}  // namespace

std::string_view OpcodeOf(const uint8_t (&instruction)[kInstructionBytes], uint32_t architecture) {
  if (architecture < kLeastArchitecture || architecture > kNewestArchitecture) return "";
  const uint16_t code = static_cast<uint16_t>((instruction[0] | instruction[1] << 8) & 0xfff);
  const auto* const found =
      std::lower_bound(std::begin(kOpcodes), std::end(kOpcodes), code,
                       [](const Entry& entry, uint16_t wanted) { return entry.code < wanted; });
  if (found != std::end(kOpcodes) && found->code == code) return found->name;
  static const std::array<std::string_view, kForms> by_operation = ByOperation();
  return by_operation[code % kForms];
}

}  // namespace sextant::backends::profiling
