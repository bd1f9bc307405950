// SASS as text, read back: what nvdisasm prints of one kernel (the `ir` backend's artifacts *.sass), or Triton's own
// listing, which has neither addresses nor lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace sextant::analysis {

inline constexpr uint32_t kSassBytes = 16;   // of an instruction, compute capability 7.0 and newer
inline constexpr size_t kMaxSassInstructions = 128 * 1024;
inline constexpr uint64_t kMaxSassTextBytes = 48u << 20;

struct SassInstruction {
  uint32_t pc = 0;                     // bytes from the function's begin
  std::string guard;                   // "P0", "!P0", "!UP1"; empty: always
  std::string opcode;                  // with its modifiers: "STG.E.64"
  std::vector<std::string> operands;   // "desc[UR8][R6.64]", "R8"
  uint32_t file = 0;                   // index into SassFunction.files; 0: not known
  uint32_t line = 0;

  // "STG" of "STG.E.64".
  std::string_view mnemonic() const { return std::string_view(opcode).substr(0, opcode.find('.')); }
  // Whether ".64" is one of the modifiers.
  bool Has(std::string_view modifier) const;
};

struct SassFunction {
  std::string name;                                     // mangled; "" where the text does not tell
  uint32_t architecture = 0;                            // 90 for sm_90; 0: not told
  std::vector<SassInstruction> code;                    // by pc
  std::vector<std::string> files = {""};
  absl::flat_hash_map<std::string, uint32_t> labels;    // index of the instruction; may be code.size()
  bool lines = false;                                   // compiled with line information

  // Index of the instruction at `pc`, or code.size().
  uint32_t At(uint64_t pc) const;
  std::string TextOf(uint32_t index) const;   // "@!P0 BRA `(.L_x_3)"
};

// Every byte is taken for hostile. INVALID_ARGUMENT: no instruction, or more than kMaxSassInstructions. Of a text
// with several functions, the first is read.
absl::StatusOr<SassFunction> ParseSassUntrusted(std::string_view text);

}  // namespace sextant::analysis
