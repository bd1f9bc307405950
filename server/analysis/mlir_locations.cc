#include "server/analysis/mlir_locations.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace sextant::analysis {
namespace {

constexpr int kMaxDepth = 16;
constexpr size_t kMaxFrames = 32;
constexpr int kMaxSteps = 512;   // of one location: those that name each other branch

// Where the bracket that opened just before `at` closes, or the end.
size_t EndOfBracket(absl::string_view text, size_t at) {
  bool quoted = false;
  int depth = 1;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"' && (at == 0 || text[at - 1] != '\\')) quoted = !quoted;
    if (quoted) continue;
    if (c == '(' || c == '[' || c == '<') ++depth;
    if ((c == ')' || c == ']' || c == '>') && --depth == 0) return at;
  }
  return text.size();
}

// Where " at " stands outside of brackets and quotes, or npos.
size_t FindAt(absl::string_view text) {
  bool quoted = false;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && (i == 0 || text[i - 1] != '\\')) quoted = !quoted;
    if (quoted) continue;
    depth += c == '(' || c == '[' ? 1 : c == ')' || c == ']' ? -1 : 0;
    if (depth == 0 && absl::StartsWith(text.substr(i), " at ")) return i;
  }
  return absl::string_view::npos;
}

}  // namespace

void MlirLocations::Define(absl::string_view line) {
  if (!absl::StartsWith(line, "#loc")) return;
  const size_t equals = line.find(" = ");
  if (equals != absl::string_view::npos)
    defined_[std::string(line.substr(0, equals))] = std::string(line.substr(equals + 3));
}

std::vector<SourceLine> MlirLocations::Frames(absl::string_view inside) const {
  std::vector<SourceLine> frames;
  int steps = kMaxSteps;
  Append(inside, 0, &steps, &frames);
  return frames;
}

void MlirLocations::Append(absl::string_view inside, int depth, int* steps, std::vector<SourceLine>* out) const {
  inside = absl::StripAsciiWhitespace(inside);
  if (depth > kMaxDepth || --*steps < 0 || out->size() >= kMaxFrames || inside.empty()) return;
  if (absl::ConsumePrefix(&inside, "loc(")) return Append(inside.substr(0, EndOfBracket(inside, 0)), depth + 1, steps, out);
  if (inside[0] == '#') {
    size_t end = 1;
    while (end < inside.size() && absl::ascii_isalnum(static_cast<unsigned char>(inside[end]))) ++end;
    const auto found = defined_.find(inside.substr(0, end));
    if (found != defined_.end()) Append(found->second, depth + 1, steps, out);
    return;
  }
  if (absl::ConsumePrefix(&inside, "callsite(")) {
    inside = inside.substr(0, EndOfBracket(inside, 0));
    const size_t at = FindAt(inside);
    if (at == absl::string_view::npos) return;
    Append(inside.substr(0, at), depth + 1, steps, out);
    return Append(inside.substr(at + 4), depth + 1, steps, out);
  }
  if (absl::ConsumePrefix(&inside, "fused")) {
    if (!inside.empty() && inside[0] == '<') inside.remove_prefix(std::min(EndOfBracket(inside, 1) + 1, inside.size()));
    if (!absl::ConsumePrefix(&inside, "[")) return;
    inside = inside.substr(0, EndOfBracket(inside, 0));
    const size_t before = out->size();
    for (size_t begin = 0; begin < inside.size() && out->size() == before && *steps > 0;) {
      size_t end = begin;
      for (int nested = 0; end < inside.size() && (inside[end] != ',' || nested > 0); ++end)
        nested += inside[end] == '(' ? 1 : inside[end] == ')' ? -1 : 0;
      Append(inside.substr(begin, end - begin), depth + 1, steps, out);
      begin = end + 1;
    }
    return;
  }
  if (inside[0] != '"') return;   // unknown
  const size_t quote = inside.find('"', 1);
  if (quote == absl::string_view::npos) return;
  const absl::string_view name = inside.substr(1, quote - 1);
  inside.remove_prefix(quote + 1);
  if (absl::ConsumePrefix(&inside, "(")) return Append(inside.substr(0, EndOfBracket(inside, 0)), depth + 1, steps, out);
  if (!absl::ConsumePrefix(&inside, ":")) return;
  uint32_t line = 0;
  if (absl::SimpleAtoi(inside.substr(0, inside.find_first_not_of("0123456789")), &line) && line > 0)
    out->push_back({std::string(name), line});
}

std::string WithoutLocations(absl::string_view line, std::string* inside) {
  std::string out;
  inside->clear();
  for (size_t i = 0; i < line.size();) {
    if (!absl::StartsWith(line.substr(i), "loc(") || (i > 0 && line[i - 1] != ' ')) {
      out.push_back(line[i++]);
      continue;
    }
    const size_t end = EndOfBracket(line, i + 4);
    *inside = std::string(line.substr(i + 4, end - i - 4));
    while (!out.empty() && out.back() == ' ') out.pop_back();
    i = end + 1;
  }
  return out;
}

}  // namespace sextant::analysis
