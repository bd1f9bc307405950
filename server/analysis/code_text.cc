#include "server/analysis/code_text.h"

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/analysis/code_lines.h"

namespace sextant::analysis {

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
