#include "client/cli/pass_syntax.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"
#include "client/pass/pass_text.h"

namespace sextant::cli {

absl::StatusOr<v1::PassSpec> ParsePass(absl::string_view text) {
  size_t at = 0;
  auto spec = pass::Parse(text, &at);
  if (spec.ok()) return spec;
  const std::string before = Escape(text.substr(0, at));
  return absl::InvalidArgumentError(
      absl::StrCat("--pass: ", spec.status().message(), "\n  ", Escape(text), "\n  ",
                   std::string(Columns(before), ' '), "^"));
}

}  // namespace sextant::cli
