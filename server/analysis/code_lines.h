// What the readers of code texts share (code_text.h): a builder of lines, and small scanners.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/analysis/code_text.h"

namespace sextant::analysis {

inline absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

inline bool IsWord(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$'; }

inline std::string FileName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path : path.substr(slash + 1));
}

// Words and signs with one space where there was any.
inline std::string Collapsed(absl::string_view line) {
  std::string out;
  bool space = false;
  for (const char c : absl::StripAsciiWhitespace(line)) {
    if (absl::ascii_isspace(static_cast<unsigned char>(c))) {
      space = true;
      continue;
    }
    if (space) out.push_back(' ');
    space = false;
    out.push_back(c);
  }
  return out;
}

// Cuts `line` at `comment`, outside of quotes.
inline absl::string_view WithoutComment(absl::string_view line, absl::string_view comment) {
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && (i == 0 || line[i - 1] != '\\')) quoted = !quoted;
    if (!quoted && absl::StartsWith(line.substr(i), comment)) return line.substr(0, i);
  }
  return line;
}

// Builds lines: what is text, and what is a name.
class LineBuilder {
 public:
  explicit LineBuilder(CodeText* out) : out_(out) {}

  CodeLine& line() { return line_; }
  void Text(absl::string_view text) {
    absl::StrAppend(&line_.text, text);
    absl::StrAppend(&line_.shape, text);
  }
  // `kind` is what is left of it in the shape.
  void Name(absl::string_view name, absl::string_view kind, bool defined, uint8_t width = 1) {
    const auto [at, added] = ids_.try_emplace(std::string(name), static_cast<uint32_t>(out_->names.size()));
    if (added) out_->names.emplace_back(name);
    line_.names.push_back({at->second, defined, width});
    absl::StrAppend(&line_.text, name);
    // No code holds this byte, so a kind is never taken for text.
    absl::StrAppend(&line_.shape, "\x01", kind);
  }
  void End() {
    if (!line_.text.empty()) out_->lines.push_back(std::move(line_));
    line_ = CodeLine();
  }

 private:
  CodeText* const out_;
  CodeLine line_;
  absl::flat_hash_map<std::string, uint32_t> ids_;
};

// Calls line(text) for each line.
template <typename Line>
absl::Status ForLines(std::string_view text, const CodeText& out, Line&& line) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    line(View(text.substr(0, end)));
    if (out.lines.size() > kMaxCodeLines) {
      return absl::OutOfRangeError(absl::StrCat("more than ", kMaxCodeLines, " lines (kMaxCodeLines)"));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return absl::OkStatus();
}

// The end of a name that begins at `at` (after its sign).
inline size_t EndOfName(absl::string_view text, size_t at, absl::string_view more) {
  if (at < text.size() && text[at] == '"') {   // @"a name"
    const size_t quote = text.find('"', at + 1);
    return quote == absl::string_view::npos ? text.size() : quote + 1;
  }
  while (at < text.size() && (IsWord(text[at]) || absl::StrContains(more, text[at]))) ++at;
  return at;
}

// TTIR and TTGIR; LLVM IR; PTX: of a module with several entries that of `kernel`, where it is named and there. Every byte
// is taken for hostile.
absl::Status ReadMlir(std::string_view text, CodeText* out);
absl::Status ReadLlvm(std::string_view text, CodeText* out);
absl::Status ReadPtx(std::string_view text, std::string_view kernel, CodeText* out);

}  // namespace sextant::analysis
