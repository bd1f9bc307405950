// Names from users' programs, as they may stand in JSON, CSV and Markdown; numbers with units.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sextant::analysis {

// With the quotes around it. What is not UTF-8 becomes '?'.
std::string JsonString(absl::string_view text);
// Quoted where it must be. A field that a spreadsheet would take for a formula is quoted and begins
// with an apostrophe.
std::string CsvField(absl::string_view text);
// One line in a Markdown table or sentence: nothing in it is markup.
std::string MarkdownText(absl::string_view text);

// "12.3 µs", three significant digits, in the largest unit that keeps it ≥ 1.
std::string Duration(double ns);
// "1,234,567".
std::string Count(uint64_t n);

}  // namespace sextant::analysis
