// A kernel's code at one level of the IR, line by line, so that two can be compared: without layout, comments and debug
// information, and with names set apart from what the lines say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/analysis/sass.h"

namespace sextant::analysis {

inline constexpr size_t kMaxCodeLines = 400'000;

// The levels, the highest first, as artifacts' endings.
inline constexpr std::string_view kCodeLevels[] = {"ttir", "ttgir", "llir", "ptx", "sass"};

// A value, register, label or symbol in a line. Registers of SASS are used again for other values: what a line writes
// gets a new meaning there, and so do the `width − 1` registers after it.
struct CodeName {
  uint32_t name = 0;       // index into CodeText.names
  bool defined = false;    // written, or introduced, by this line
  uint8_t width = 1;
};

struct CodeLine {
  std::string text;        // as shown: one space between words
  std::string shape;       // names replaced by their kinds: two lines alike but for names have one shape
  std::vector<CodeName> names;   // in order of appearance
  std::string opcode;      // "LDG", "ld.global", "tt.load"; empty: no instruction
  std::string where;       // "gemm.cu:12"; empty: not known
  int32_t instruction = -1;      // SASS: its index
};

struct CodeText {
  std::vector<CodeLine> lines;
  std::vector<std::string> names;
  bool reuses_names = false;     // SASS
};

// Every byte is taken for hostile. `level` is one of kCodeLevels. `kernel`: of a PTX module with several entries, this
// one alone (mangled; empty or not there: all of it). INVALID_ARGUMENT: nothing in it is code. OUT_OF_RANGE: more than
// kMaxCodeLines.
absl::StatusOr<CodeText> ReadCodeUntrusted(std::string_view level, std::string_view text,
                                           std::string_view kernel = {});

// The same for SASS that has been parsed.
CodeText CodeOf(const SassFunction& function);

}  // namespace sextant::analysis
