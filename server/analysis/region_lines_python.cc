#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/chunk/names.h"
#include "server/analysis/region_lines.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxNotes = 16;
constexpr size_t kTab = 8;
constexpr char kString = '\x01';   // in LogicalLine.text: a literal

// A statement, or the head of one: everything up to a line end that no bracket or backslash takes further.
struct LogicalLine {
  uint32_t first = 0, last = 0;
  size_t indent = 0;
  std::string text;                    // literals as kString, comments left out
  std::vector<std::string> literals;   // in their order
};

// Cuts Python source into logical lines.
class Cutter {
 public:
  Cutter(absl::string_view source) : source_(source) {}

  // False: there are no more.
  bool Next(LogicalLine* out) {
    while (at_ < source_.size()) {
      *out = LogicalLine();
      out->first = line_;
      Indent(out);
      Rest(out);
      if (!absl::StripAsciiWhitespace(out->text).empty()) return true;
    }
    return false;
  }

 private:
  void Indent(LogicalLine* out) {
    for (; at_ < source_.size() && (source_[at_] == ' ' || source_[at_] == '\t' || source_[at_] == '\f'); ++at_)
      out->indent = source_[at_] == '\t' ? (out->indent / kTab + 1) * kTab : out->indent + (source_[at_] == ' ' ? 1 : 0);
  }

  void Rest(LogicalLine* out) {
    int depth = 0;
    while (at_ < source_.size()) {
      const char c = source_[at_];
      out->last = line_;
      if (c == '\n') {
        ++at_;
        ++line_;
        if (depth <= 0) return;
        out->text.push_back(' ');
      } else if (c == '#') {
        while (at_ < source_.size() && source_[at_] != '\n') ++at_;
      } else if (c == '\\' && at_ + 1 < source_.size() && source_[at_ + 1] == '\n') {
        at_ += 2;
        ++line_;
        out->text.push_back(' ');
      } else if (c == '"' || c == '\'') {
        Literal(out);
      } else {
        depth += c == '(' || c == '[' || c == '{' ? 1 : c == ')' || c == ']' || c == '}' ? -1 : 0;
        out->text.push_back(c == kString ? ' ' : c);
        ++at_;
      }
    }
  }

  void Literal(LogicalLine* out) {
    const char quote = source_[at_];
    const std::string triple(3, quote);
    const bool is_triple = absl::StartsWith(source_.substr(at_), triple);
    const absl::string_view end = is_triple ? absl::string_view(triple) : source_.substr(at_, 1);
    at_ += end.size();
    std::string& text = out->literals.emplace_back();
    out->text.push_back(kString);
    while (at_ < source_.size() && !absl::StartsWith(source_.substr(at_), end)) {
      if (source_[at_] == '\n') {
        if (!is_triple) return;   // not closed: an error in the program
        ++line_;
      }
      if (source_[at_] == '\\' && at_ + 1 < source_.size()) {
        if (source_[at_ + 1] == '\n') ++line_;
        ++at_;
      }
      if (text.size() < kMaxNameBytes) text.push_back(source_[at_]);
      ++at_;
    }
    at_ += std::min(end.size(), source_.size() - at_);
    out->last = line_;
  }

  absl::string_view source_;
  size_t at_ = 0;
  uint32_t line_ = 1;
};

bool IsWord(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

class Reader {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  absl::Status Take(const LogicalLine& line) {
    // What the line is no longer in.
    while (!functions_.empty() && line.indent <= functions_.back().indent) Leave();
    CloseBlocks(line.indent);
    for (Open& open : *here()) found_.regions[open.index].last = line.last;
    const absl::string_view text = absl::StripAsciiWhitespace(line.text);
    if (absl::StartsWith(text, "def ") || absl::StartsWith(text, "async def ")) {
      functions_.push_back({line.indent, {}});
      return absl::OkStatus();
    }
    const bool with = absl::StartsWith(text, "with ") || absl::StartsWith(text, "with(");
    size_t literal = 0;
    for (size_t i = 0; i < line.text.size(); ++i) {
      if (line.text[i] == kString) ++literal;
      if (i > 0 && IsWord(line.text[i - 1])) continue;
      const absl::string_view rest = absl::string_view(line.text).substr(i);
      for (const char* const call : {"enter_scope", "exit_scope", "scope"}) {
        if (!absl::StartsWith(rest, call) || (std::string(call) == "scope" && !with)) continue;
        absl::string_view after = absl::StripLeadingAsciiWhitespace(rest.substr(std::string(call).size()));
        if (!absl::ConsumePrefix(&after, "(")) continue;
        if (absl::Status status = Call(call, after, line, literal); !status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

  FoundLines Finish() {
    while (!functions_.empty()) Leave();
    CloseBlocks(0);
    return std::move(found_);
  }

 private:
  struct Open {
    size_t index = 0;       // in found_.regions
    int64_t block = -1;     // indent of its `with`; −1: it ends with exit_scope
  };
  struct Function {
    size_t indent = 0;
    std::vector<Open> open;
  };

  std::vector<Open>* here() { return functions_.empty() ? &outside_ : &functions_.back().open; }

  absl::Status Call(absl::string_view call, absl::string_view arguments, const LogicalLine& line, size_t literal) {
    arguments = absl::StripLeadingAsciiWhitespace(arguments);
    if (absl::ConsumePrefix(&arguments, "name")) {
      arguments = absl::StripLeadingAsciiWhitespace(arguments);
      absl::ConsumePrefix(&arguments, "=");
      arguments = absl::StripLeadingAsciiWhitespace(arguments);
    }
    if (arguments.empty() || arguments[0] != kString || literal >= line.literals.size()) {
      Note(absl::StrCat(file_, ":", line.first, ": the name in ", call, " is no literal"));
      return absl::OkStatus();
    }
    const std::string name = chunk::CleanName(line.literals[literal], kMaxNameBytes);
    if (call == "exit_scope") {
      Exit(name, line);
      return absl::OkStatus();
    }
    if (found_.regions.size() >= kMaxRegionLines)
      return absl::OutOfRangeError(absl::StrCat("more than ", kMaxRegionLines, " scopes"));
    RegionLines& region = found_.regions.emplace_back();
    region.region = name;
    region.file = file_;
    region.first = line.first;
    region.last = line.last;
    region.parent = here()->empty() ? -1 : static_cast<int32_t>(here()->back().index);
    here()->push_back({found_.regions.size() - 1, call == "scope" ? static_cast<int64_t>(line.indent) : -1});
    return absl::OkStatus();
  }

  void Exit(const std::string& name, const LogicalLine& line) {
    std::vector<Open>& open = *here();
    for (size_t i = open.size(); i-- > 0;) {
      if (found_.regions[open[i].index].region != name || open[i].block >= 0) continue;
      found_.regions[open[i].index].last = line.last;
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
  }

  // Blocks of `with` that a line of this indent is not in.
  void CloseBlocks(size_t indent) {
    std::vector<Open>& open = *here();
    open.erase(std::remove_if(open.begin(), open.end(),
                              [&](const Open& one) { return one.block >= static_cast<int64_t>(indent); }),
               open.end());
  }

  void Leave() {
    for (const Open& open : functions_.back().open)
      if (open.block < 0) Note(absl::StrCat("scope ", found_.regions[open.index].region, " has no end in its function"));
    functions_.pop_back();
  }

  void Note(std::string note) {
    if (found_.notes.size() < kMaxNotes) found_.notes.push_back(std::move(note));
  }

  const std::string file_;
  std::vector<Function> functions_;
  std::vector<Open> outside_;   // of no function: host code
  FoundLines found_;
};

}  // namespace

absl::StatusOr<FoundLines> RegionLinesOfPythonUntrusted(std::string_view source, std::string_view file) {
  Cutter cutter({source.data(), source.size()});
  Reader reader(file);
  LogicalLine line;
  while (cutter.Next(&line))
    if (absl::Status status = reader.Take(line); !status.ok()) return status;
  return reader.Finish();
}

}  // namespace sextant::analysis
