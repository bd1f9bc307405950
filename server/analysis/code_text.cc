#include "server/analysis/code_text.h"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/status/status.h"
#include "server/analysis/mlir_locations.h"

namespace sextant::analysis {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

bool IsWord(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$'; }

std::string FileName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path : path.substr(slash + 1));
}

// Words and signs with one space where there was any.
std::string Collapsed(absl::string_view line) {
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
absl::string_view WithoutComment(absl::string_view line, absl::string_view comment) {
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
size_t EndOfName(absl::string_view text, size_t at, absl::string_view more) {
  if (at < text.size() && text[at] == '"') {   // @"a name"
    const size_t quote = text.find('"', at + 1);
    return quote == absl::string_view::npos ? text.size() : quote + 1;
  }
  while (at < text.size() && (IsWord(text[at]) || absl::StrContains(more, text[at]))) ++at;
  return at;
}

// ---- MLIR: TTIR, TTGIR -------------------------------------------------------------------------

void AddMlirLine(const std::string& text, LineBuilder* build) {
  const bool introduces = absl::StrContains(text, " func ") || absl::StrContains(text, ".func ") || text[0] == '^';
  size_t plain = 0;   // begin of what has not been added
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"') {
      i = EndOfName(text, i, "");
      continue;
    }
    if ((c != '%' && c != '^' && c != '@' && c != '#') || i + 1 == text.size()) {
      ++i;
      continue;
    }
    size_t end = EndOfName(text, i + 1, c == '#' ? "" : ".-");
    // #ttg.blocked<…> says something; #blocked is an alias.
    const bool dialect = c == '#' && end < text.size() && (text[end] == '.' || text[end] == '<');
    if (end == i + 1 || dialect || (c == '#' && absl::ascii_isdigit(static_cast<unsigned char>(text[i + 1])))) {
      i = end;
      continue;
    }
    absl::string_view after = absl::string_view(text).substr(end);
    if (c == '%' && absl::StartsWith(after, ":")) {   // %a:2 = …
      absl::string_view count = after.substr(1);
      count = count.substr(std::min(count.find_first_not_of("0123456789"), count.size()));
      if (absl::StartsWith(count, " =") || absl::StartsWith(count, ",")) after = count;
    }
    const bool defined = (absl::StartsWith(after, " = ") || absl::StartsWith(after, "=")) ||
                         (introduces && c != '@' && absl::StartsWith(after, ":"));
    build->Text(absl::string_view(text).substr(plain, i - plain));
    build->Name(absl::string_view(text).substr(i, end - i), std::string(1, c), defined);
    plain = i = end;
  }
  build->Text(absl::string_view(text).substr(plain));
  // "%3 = tt.load %2, …", "tt.store …", "scf.yield".
  absl::string_view operation = text;
  if (operation[0] == '%') {
    const size_t equals = operation.find(" = ");
    operation = equals == absl::string_view::npos ? "" : operation.substr(equals + 3);
  }
  operation = absl::StripPrefix(operation, "\"");
  const size_t end = EndOfName(operation, 0, ".");
  if (absl::StrContains(operation.substr(0, end), '.')) build->line().opcode = std::string(operation.substr(0, end));
}

absl::Status ReadMlir(std::string_view text, CodeText* out) {
  MlirLocations locations;
  CodeText nothing;
  RETURN_IF_ERROR(ForLines(text, nothing, [&](absl::string_view line) { locations.Define(line); }));
  LineBuilder build(out);
  return ForLines(text, *out, [&](absl::string_view line) {
    if (absl::StartsWith(line, "#loc")) return;
    std::string location;
    const std::string bare = Collapsed(WithoutLocations(WithoutComment(line, "//"), &location));
    if (const auto frames = locations.Frames(location); !frames.empty())
      build.line().where = absl::StrCat(FileName(frames[0].file), ":", frames[0].line);
    if (!bare.empty()) AddMlirLine(bare, &build);
    build.End();
  });
}

// ---- LLVM IR -----------------------------------------------------------------------------------

// Takes ", !dbg !7" and the like out.
std::string WithoutMetadata(absl::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size();) {
    if (!absl::StartsWith(line.substr(i), "!") || i + 1 >= line.size() || !(IsWord(line[i + 1]))) {
      out.push_back(line[i++]);
      continue;
    }
    const size_t word = EndOfName(line, i + 1, ".");
    size_t end = word;
    if (absl::StartsWith(line.substr(word), " !")) end = EndOfName(line, word + 2, ".");
    while (!out.empty() && (out.back() == ' ' || out.back() == ',')) out.pop_back();
    i = end;
  }
  return out;
}

absl::Status ReadLlvm(std::string_view text, CodeText* out) {
  LineBuilder build(out);
  return ForLines(text, *out, [&](absl::string_view line) {
    if (absl::StartsWith(line, "!") || absl::StartsWith(line, "source_filename")) return;
    const std::string bare = Collapsed(WithoutMetadata(WithoutComment(line, ";")));
    if (bare.empty()) return;
    const bool label = bare.back() == ':';
    size_t plain = 0;
    for (size_t i = label ? bare.size() : 0; i < bare.size();) {
      const char c = bare[i];
      if (c == '"') {
        i = EndOfName(bare, i, "");
        continue;
      }
      const size_t end = c == '%' || c == '@' || c == '#' ? EndOfName(bare, i + 1, ".-") : i + 1;
      const absl::string_view name = absl::string_view(bare).substr(i, end - i);
      if (end == i + 1 || absl::StartsWith(name, "@llvm.") || absl::StartsWith(name, "%struct.")) {
        i = end;
        continue;
      }
      build.Text(absl::string_view(bare).substr(plain, i - plain));
      build.Name(name, std::string(1, c), absl::StartsWith(absl::string_view(bare).substr(end), " = "));
      plain = i = end;
    }
    if (label) {
      build.Name(absl::StrCat("%", absl::string_view(bare).substr(0, bare.size() - 1)), "%", true);
      plain = bare.size() - 1;
    }
    build.Text(absl::string_view(bare).substr(plain));
    absl::string_view operation = bare;
    if (const size_t equals = operation.find(" = "); operation[0] == '%' && equals != absl::string_view::npos)
      operation = operation.substr(equals + 3);
    for (const char* before : {"tail ", "musttail ", "notail "}) operation = absl::StripPrefix(operation, before);
    operation = operation.substr(0, EndOfName(operation, 0, ""));
    if (!label && line[0] == ' ') build.line().opcode = std::string(operation);
    build.End();
  });
}

// ---- PTX ---------------------------------------------------------------------------------------

// "%rd12" is a register, "%tid.x" is not.
bool IsVirtual(absl::string_view name) {
  size_t letters = 1;
  while (letters < name.size() && absl::ascii_isalpha(static_cast<unsigned char>(name[letters]))) ++letters;
  if (letters == 1 || letters == name.size()) return false;
  for (const char c : name.substr(letters))
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  const absl::string_view kind = name.substr(1, letters - 1);
  return kind != "envreg" && kind != "pm" && kind != "clock" && kind != "globaltimer";
}

void AddPtxLine(const std::string& text, LineBuilder* build) {
  size_t plain = 0;
  absl::string_view before;   // the word before
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c != '%' && !IsWord(c)) {
      ++i;
      continue;
    }
    const size_t end = EndOfName(text, i + 1, "");
    const absl::string_view name = absl::string_view(text).substr(i, end - i);
    std::string kind;
    if (c == '%' && IsVirtual(name)) kind = std::string(name.substr(0, name.find_first_of("0123456789")));
    if (c == '$' || absl::StartsWith(name, "BB")) kind = "$";
    if (absl::StrContains(name, "_param_") || before == "entry" || before == "func") kind = "@";
    before = name;
    if (kind.empty()) {
      i = end;
      continue;
    }
    build->Text(absl::string_view(text).substr(plain, i - plain));
    build->Name(name, kind, false);
    plain = i = end;
  }
  build->Text(absl::string_view(text).substr(plain));
  absl::string_view operation = text;
  if (operation[0] == '@') operation = operation.substr(std::min(operation.find(' '), operation.size() - 1) + 1);
  if (operation.empty() || !absl::ascii_islower(static_cast<unsigned char>(operation[0]))) return;
  // The operation and what it is done to, without types: "ld.global", "mma.sync".
  const size_t first = std::min(operation.find_first_of(". ;"), operation.size());
  size_t end = first;
  if (end < operation.size() && operation[end] == '.') end = std::min(operation.find_first_of(". ;", end + 1), operation.size());
  build->line().opcode = std::string(operation.substr(0, end));
}

// The lines of the entry of that name, where the module has several.
std::string_view EntryOf(std::string_view text, std::string_view kernel) {
  if (kernel.empty()) return text;
  for (const char* end : {"(", "\n", " "}) {
    const std::string mark = absl::StrCat(".entry ", View(kernel), end);
    const size_t at = text.find(mark);
    if (at == std::string_view::npos) continue;
    const size_t begin = text.rfind('\n', at) == std::string_view::npos ? 0 : text.rfind('\n', at) + 1;
    const size_t close = text.find("\n}", at);
    return text.substr(begin, close == std::string_view::npos ? close : close + 2 - begin);
  }
  return text;
}

absl::Status ReadPtx(std::string_view text, std::string_view kernel, CodeText* out) {
  absl::flat_hash_map<std::string, std::string> files;
  CodeText nothing;
  // .file 1 "/path/kernel.py" stands at the end.
  RETURN_IF_ERROR(ForLines(text, nothing, [&](absl::string_view line) {
    line = absl::StripAsciiWhitespace(line);
    if (!absl::ConsumePrefix(&line, ".file")) return;
    line = absl::StripLeadingAsciiWhitespace(line);
    const size_t quote = line.find('"'), last = line.rfind('"');
    if (quote == absl::string_view::npos || quote == last) return;
    files[std::string(absl::StripAsciiWhitespace(line.substr(0, line.find_first_of(" \t"))))] =
        FileName(line.substr(quote + 1, last - quote - 1));
  }));
  LineBuilder build(out);
  std::string where;
  bool debug = false, comment = false;
  return ForLines(EntryOf(text, kernel), *out, [&](absl::string_view raw) {
    if (comment) {
      const size_t end = raw.find("*/");
      if (end == absl::string_view::npos) return;
      comment = false;
      raw = raw.substr(end + 2);
    }
    absl::string_view bare = WithoutComment(raw, "//");
    if (const size_t begin = bare.find("/*"); begin != absl::string_view::npos) {
      comment = !absl::StrContains(bare.substr(begin), "*/");
      bare = bare.substr(0, begin);
    }
    const std::string line = Collapsed(bare);
    if (debug) {   // .section .debug_info { … }
      debug = line != "}";
      return;
    }
    if (line.empty() || absl::StartsWith(line, ".file") || absl::StartsWith(line, ".reg ") ||
        absl::StartsWith(line, "$L__tmp") || absl::StartsWith(line, "$L__func_")) {
      return;
    }
    if (absl::StartsWith(line, ".section")) {
      debug = true;
      return;
    }
    if (absl::StartsWith(line, ".loc ")) {
      absl::string_view words = absl::string_view(line).substr(5);
      const absl::string_view file = words.substr(0, words.find(' '));
      words = words.substr(std::min(file.size() + 1, words.size()));
      const auto known = files.find(file);
      where = absl::StrCat(known == files.end() ? absl::StrCat("file ", file) : known->second, ":",
                           words.substr(0, words.find(' ')));
      return;
    }
    build.line().where = where;
    AddPtxLine(line, &build);
    build.End();
  });
}

// ---- SASS --------------------------------------------------------------------------------------

bool Writes(const SassInstruction& one) {
  const std::string_view mnemonic = one.mnemonic();
  for (const char* other : {"ST", "RED", "BRA", "EXIT", "BAR", "SYNCS", "NOP", "BSYNC", "CALL", "RET", "JMP", "UTMA",
                            "MEMBAR", "DEPBAR", "LDGDEPBAR", "WARPSYNC", "UBLKCP", "CCTL", "ERRBAR", "FENCE", "WARPGROUP"}) {
    if (absl::StartsWith(View(mnemonic), other)) return false;
  }
  return true;
}

// How many registers the result has.
uint8_t WidthOf(const SassInstruction& one) {
  const std::string_view mnemonic = one.mnemonic();
  if (mnemonic.find("GMMA") != std::string_view::npos) return 128;
  if (one.Has("128") || mnemonic == "HMMA" || mnemonic == "IMMA" || mnemonic == "LDSM") return 4;
  if (one.Has("64") || one.Has("WIDE") || mnemonic == "CS2R" || mnemonic == "R2UR" || mnemonic[0] == 'D') return 2;
  return 1;
}

// The register whose name begins at `at`, or 0: "R12", "UR4", "P0", "UP1", "B3"; not RZ, PT.
size_t EndOfRegister(absl::string_view text, size_t at) {
  if (at > 0 && (IsWord(text[at - 1]) || text[at - 1] == '.')) return 0;
  size_t i = at;
  if (i < text.size() && text[i] == 'U') ++i;
  if (i == text.size() || (text[i] != 'R' && text[i] != 'P' && text[i] != 'B')) return 0;
  size_t end = ++i;
  while (end < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[end]))) ++end;
  return end == i || (end < text.size() && IsWord(text[end])) ? 0 : end;
}

void AddOperand(const SassFunction& function, absl::string_view text, bool defined, uint8_t width, LineBuilder* build) {
  for (size_t i = 0; i < text.size();) {
    if (const size_t end = EndOfRegister(text, i); end != 0) {
      const absl::string_view name = text.substr(i, end - i);
      build->Name(name, name.substr(0, name.find_first_of("0123456789")), defined, width);
      i = end;
    } else if (IsWord(text[i]) || text[i] == '.') {
      const size_t word = EndOfName(text, i, ".");
      const absl::string_view name = text.substr(i, word - i);
      if (function.labels.contains(name)) {
        build->Name(name, "L", false);
      } else if (absl::StartsWith(name, ".reuse")) {
        build->Text(name.substr(6));   // a hint to the register file
      } else {
        build->Text(name.substr(0, 1));
        i += 1;
        continue;
      }
      i = word;
    } else {
      build->Text(text.substr(i++, 1));
    }
  }
}

}  // namespace

CodeText CodeOf(const SassFunction& function) {
  CodeText out;
  out.reuses_names = true;
  LineBuilder build(&out);
  absl::flat_hash_map<uint32_t, std::vector<std::string>> labels;
  for (const auto& [label, at] : function.labels) labels[at].push_back(label);
  for (uint32_t i = 0; i < function.code.size(); ++i) {
    const SassInstruction& one = function.code[i];
    if (one.opcode == "NOP") continue;   // fills the last line of the instruction cache
    if (auto here = labels.find(i); here != labels.end()) {
      std::sort(here->second.begin(), here->second.end());
      for (const std::string& label : here->second) {
        if (!absl::StrContains(label, ".L") && !absl::StartsWith(label, "LBB")) continue;   // the function's own
        build.Name(label, "L", true);
        build.Text(":");
        build.End();
      }
    }
    CodeLine& line = build.line();
    line.instruction = static_cast<int32_t>(i);
    line.opcode = std::string(one.mnemonic());
    if (one.line > 0 && one.file < function.files.size())
      line.where = absl::StrCat(FileName(function.files[one.file]), ":", one.line);
    if (!one.guard.empty()) {
      build.Text("@");
      AddOperand(function, one.guard, false, 1, &build);
      build.Text(" ");
    }
    build.Text(one.opcode);
    const bool writes = Writes(one);
    const uint8_t width = WidthOf(one);
    for (size_t k = 0; k < one.operands.size(); ++k) {
      build.Text(k == 0 ? " " : ", ");
      const std::string& operand = one.operands[k];
      const bool predicate = !operand.empty() && (operand[0] == 'P' || absl::StartsWith(operand, "UP"));
      const bool defined = writes && (k == 0 || (k == 1 && predicate));
      AddOperand(function, operand, defined, predicate ? 1 : width, &build);
    }
    build.End();
  }
  return out;
}

absl::StatusOr<CodeText> ReadCodeUntrusted(std::string_view level, std::string_view text, std::string_view kernel) {
  CodeText out;
  if (level == "sass") {
    ASSIGN_OR_RETURN(const SassFunction function, ParseSassUntrusted(text));
    return CodeOf(function);
  }
  if (level == "ptx") {
    RETURN_IF_ERROR(ReadPtx(text, kernel, &out));
  } else if (level == "llir") {
    RETURN_IF_ERROR(ReadLlvm(text, &out));
  } else {
    RETURN_IF_ERROR(ReadMlir(text, &out));
  }
  if (out.lines.empty()) return absl::InvalidArgumentError(absl::StrCat("no code in it: nothing of ", View(level)));
  return out;
}

}  // namespace sextant::analysis
