// Values in answers: numbers with as many digits as they are worth, and text that a workload named or
// printed, which is data whatever it says.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "client/mcp/json.h"

namespace sextant::mcp {

// Four significant digits; null for what is not known (NaN).
Json Number(double value);

// Text that is not ours: control, bidirectional and zero-width characters and broken UTF-8 become "�",
// line breaks and tabs a space, and at most `max_bytes` are kept, the cut marked by "…".
inline constexpr size_t kNameBytes = 120;
inline constexpr size_t kSentenceBytes = 400;
std::string Clean(absl::string_view text, size_t max_bytes = kNameBytes);

// A name, cleaned; of a longer one its begin and its end are kept, for names of templates differ at their ends.
inline constexpr char kEllipsis[] = "…";
std::string Name(absl::string_view name, size_t max_bytes = kNameBytes);
// Whether Name may have made `shortened` of `name`, whatever room it had.
bool IsShort(absl::string_view shortened, absl::string_view name);

// "running" of State::RUNNING and its like.
std::string LowerCase(absl::string_view name);

// At most how many tokens a model reads in a text: six letters, three digits or three other signs each. Of JSON
// like these answers cl100k_base and o200k_base make 3 to 20 % fewer.
size_t Tokens(absl::string_view text);

// Shortens lists of `answer` from their ends until its text has at most `budget` tokens, the longest list
// first, and says in "left_out" how many entries each lost. Lists of one entry stay.
void Fit(size_t budget, Json* answer);

}  // namespace sextant::mcp
