// Lines of TTIR and TTGIR.
#include "proto/status/status.h"
#include "server/analysis/code_lines.h"
#include "server/analysis/mlir_locations.h"

namespace sextant::analysis {
namespace {

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

}  // namespace

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

}  // namespace sextant::analysis
