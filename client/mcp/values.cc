#include "client/mcp/values.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sextant::mcp {

Json Number(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == std::floor(value) && std::fabs(value) < 1e4) return static_cast<int64_t>(value);
  const double rounded = std::strtod(absl::StrFormat("%.4g", value).c_str(), nullptr);
  if (rounded == std::floor(rounded) && std::fabs(rounded) < 1e15) return static_cast<int64_t>(rounded);
  return rounded;
}

namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

// The code point at `at` and its length; length 0: not UTF-8.
std::pair<uint32_t, size_t> Decode(absl::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return {first, 1};
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) return {0, 0};
  uint32_t code = first & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return {0, 0};
    code = code << 6 | (byte(at + i) & 0x3F);
  }
  const uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  if (code < least || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {0, 0};
  return {code, length};
}

// Controls, bidirectional and zero-width characters, tags: what a reader does not see.
bool Invisible(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x61C || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
         (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

}  // namespace

std::string Clean(absl::string_view text, size_t max_bytes) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto [code, length] = Decode(text, at);
    if (code == '\n' || code == '\t' || code == '\r') {
      if (!out.empty() && out.back() != ' ') out.push_back(' ');
    } else if (length == 0 || Invisible(code)) {
      out.append(kReplacement);
    } else {
      absl::StrAppend(&out, text.substr(at, length));
    }
    at += length == 0 ? 1 : length;
    if (out.size() > max_bytes) {
      size_t end = max_bytes;
      while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;
      out.resize(end);
      out.append(kEllipsis);
      break;
    }
  }
  return out;
}

std::string Name(absl::string_view name, size_t max_bytes) {
  std::string whole = Clean(name, name.size() * sizeof(kReplacement));
  if (whole.size() <= max_bytes) return whole;
  const auto begins = [&](size_t at) { return (static_cast<unsigned char>(whole[at]) & 0xC0) != 0x80; };
  size_t head = max_bytes * 3 / 5, tail = whole.size() - (max_bytes - head);
  while (!begins(head)) --head;
  while (tail < whole.size() && !begins(tail)) ++tail;
  return absl::StrCat(whole.substr(0, head), kEllipsis, whole.substr(tail));
}

bool IsShort(absl::string_view shortened, absl::string_view name) {
  const size_t cut = shortened.find(kEllipsis);
  if (cut == absl::string_view::npos) return shortened == name;
  const std::string whole = Clean(name, name.size() * sizeof(kReplacement));
  return absl::StartsWith(whole, shortened.substr(0, cut)) &&
         absl::EndsWith(whole, shortened.substr(cut + sizeof(kEllipsis) - 1));
}

std::string LowerCase(absl::string_view name) { return absl::AsciiStrToLower(name); }

namespace {

struct Longest {
  Json* list = nullptr;
  std::string path;
  size_t tokens = 0;
};

void Find(Json* node, const std::string& path, Longest* longest) {
  if (node->is_array() && node->size() > 1) {
    const size_t tokens = Tokens(Dump(*node));
    if (tokens > longest->tokens) *longest = {node, path, tokens};
  }
  if (node->is_object())
    for (auto& [key, value] : node->items())
      Find(&value, path.empty() ? key : absl::StrCat(path, ".", key), longest);
  if (node->is_array())
    for (auto& value : *node) Find(&value, path, longest);
}

enum class Sign { kLetter, kDigit, kSpace, kOther };

Sign SignOf(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return absl::ascii_isalpha(byte) ? Sign::kLetter : absl::ascii_isdigit(byte) ? Sign::kDigit
         : absl::ascii_isspace(byte) ? Sign::kSpace : Sign::kOther;
}

}  // namespace

size_t Tokens(absl::string_view text) {
  size_t tokens = 0;
  for (size_t at = 0; at < text.size();) {
    const Sign sign = SignOf(text[at]);
    size_t end = at + 1;
    while (end < text.size() && SignOf(text[end]) == sign) ++end;
    const size_t length = end - at;
    if (sign != Sign::kSpace) tokens += sign == Sign::kLetter ? (length + 5) / 6 : (length + 2) / 3;   // a space joins a word
    at = end;
  }
  return tokens;
}

void Fit(size_t budget, Json* answer) {
  size_t size = Tokens(Dump(*answer));
  while (size > budget) {
    Longest longest;
    Find(answer, "", &longest);
    if (longest.list == nullptr) return;
    // As many as the excess is worth, at least one.
    const size_t each = longest.tokens / longest.list->size() + 1;
    const size_t excess = (size - budget) / each + 1;
    const size_t drop = std::max<size_t>(1, std::min(excess, longest.list->size() / 2));
    longest.list->erase(longest.list->end() - static_cast<std::ptrdiff_t>(drop), longest.list->end());
    const std::string path = longest.path;   // `longest.list` may move
    Json& left_out = (*answer)["left_out"];
    if (left_out.is_null()) left_out = Json::object();
    left_out[path] = left_out.value(path, 0) + static_cast<int64_t>(drop);
    size = Tokens(Dump(*answer));
  }
}

}  // namespace sextant::mcp
