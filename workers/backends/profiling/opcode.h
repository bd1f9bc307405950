// The mnemonic of a SASS instruction, from its bytes. NVIDIA publishes no encoding: the table was read
// off disassemblies (opcodes.inc), so an instruction that was never met has no name here.
#pragma once

#include <cstdint>
#include <string_view>

namespace sextant::backends::profiling {

inline constexpr int kInstructionBytes = 16;  // compute capability 7.0 and newer

// "FFMA", "LDG", … "" where it is not known. `architecture` is 90 for sm_90.
std::string_view OpcodeOf(const uint8_t (&instruction)[kInstructionBytes], uint32_t architecture);

}  // namespace sextant::backends::profiling
