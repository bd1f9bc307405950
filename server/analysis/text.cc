#include "server/analysis/text.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/chunk/names.h"

namespace sextant::analysis {
namespace {

// Names are clean already when they come from chunks; this is for those that do not.
std::string Clean(absl::string_view text) {
  return chunk::CleanName({text.data(), text.size()}, text.size());
}

}  // namespace

std::string JsonString(absl::string_view text) {
  std::string out = "\"";
  for (char c : Clean(text)) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

std::string CsvField(absl::string_view text) {
  std::string clean = Clean(text);
  if (!clean.empty() && absl::string_view("=+-@").find(clean[0]) != absl::string_view::npos)
    clean.insert(0, "'");
  if (clean.find_first_of(",\"\n'") == std::string::npos) return clean;
  std::string out = "\"";
  for (char c : clean) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

std::string MarkdownText(absl::string_view text) {
  std::string out;
  for (char c : Clean(text)) {
    if (absl::string_view("\\`*_{}[]<>#|").find(c) != absl::string_view::npos) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

std::string Duration(double ns) {
  if (!std::isfinite(ns)) return "–";
  const double size = std::fabs(ns);
  double value = ns;
  const char* unit = "ns";
  if (size >= 1e9) {
    value = ns / 1e9;
    unit = "s";
  } else if (size >= 1e6) {
    value = ns / 1e6;
    unit = "ms";
  } else if (size >= 1e3) {
    value = ns / 1e3;
    unit = "µs";
  }
  const double digits = std::fabs(value);
  return absl::StrFormat("%.*f %s", digits >= 100 ? 0 : digits >= 10 ? 1 : size < 1e3 ? 1 : 2, value,
                         unit);
}

std::string Count(uint64_t n) {
  std::string digits = absl::StrCat(n);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return digits;
}

}  // namespace sextant::analysis
