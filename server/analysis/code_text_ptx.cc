// Lines of PTX.
#include "proto/status/status.h"
#include "server/analysis/code_lines.h"

namespace sextant::analysis {
namespace {

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

}  // namespace

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

}  // namespace sextant::analysis
