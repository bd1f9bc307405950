// What is known of a register's value before the program runs: constants, and bits that constants fix.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/analysis/sass.h"
#include "server/analysis/sass_flow.h"

namespace sextant::analysis {

struct SassValue {
  uint32_t known = 0;          // bits that are known …
  uint32_t bits = 0;           // … and what they are
  int64_t clock = -1;          // instruction that read the SM's clock (its low word) into it; −1: it is no clock
  int64_t clock_high = -1;     // the same for the high word
};

// The value of register `number` just before instruction `at`: traced backwards through moves, logic, shifts and adds,
// in its block and through blocks with one predecessor. Nothing is known of a value from several places.
SassValue RegisterBefore(const SassFunction& function, const SassFlow& flow, uint32_t at, bool uniform,
                         uint32_t number);

// "R12", "-R3.reuse", "UR4": the register an operand is; false where it is something else. RZ and URZ have number 255.
inline constexpr uint32_t kZeroRegister = 255;
bool AsRegister(std::string_view operand, bool* uniform, uint32_t* number);

}  // namespace sextant::analysis
