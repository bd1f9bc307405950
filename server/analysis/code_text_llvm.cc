// Lines of LLVM IR.
#include "proto/status/status.h"
#include "server/analysis/code_lines.h"

namespace sextant::analysis {
namespace {

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

}  // namespace

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

}  // namespace sextant::analysis
