#include "client/mcp/tool.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/mcp/values.h"

namespace sextant::mcp {

void MarkUntrusted(std::vector<std::string> fields, Json* answer) {
  (*answer)["untrusted"] = fields;
}

std::string Cursor(absl::string_view list, int64_t at) {
  return absl::WebSafeBase64Escape(absl::StrCat(list, ":", at));
}

absl::StatusOr<int64_t> ParseCursor(absl::string_view list, const Json& arguments) {
  const std::string text = Text(arguments, "cursor");
  if (text.empty()) return 0;
  std::string plain;
  int64_t at = 0;
  absl::string_view rest;
  if (absl::WebSafeBase64Unescape(text, &plain)) rest = plain;
  if (!absl::ConsumePrefix(&rest, absl::StrCat(list, ":")) || !absl::SimpleAtoi(rest, &at) || at < 0)
    return absl::InvalidArgumentError(absl::StrCat(
        "cursor: not one that this tool gave; leave it out to begin at the start"));
  return at;
}

void Page(absl::string_view list, int64_t at, Json* answer) {
  const std::string name(list);
  Json& rows = (*answer)[name];
  const int64_t all = static_cast<int64_t>(rows.size());
  const int64_t first = std::min(at, all);
  rows.erase(rows.begin(), rows.begin() + first);
  Fit(kAnswerTokens - 80, answer);   // room for the cursor
  const int64_t next = first + static_cast<int64_t>((*answer)[name].size());
  if (next < all) {
    (*answer)["cursor"] = Cursor(list, next);
    (*answer)["rows_in_all"] = all;
  }
  if (auto left = answer->find("left_out"); left != answer->end()) {
    left->erase(name);   // the cursor says it
    if (left->empty()) answer->erase("left_out");
  }
}

int64_t JobId(const ToolCall& call, const char* name) {
  return static_cast<int64_t>(call.arguments.value(name, 0.0));
}

std::string Text(const Json& arguments, const char* name) {
  const auto found = arguments.find(name);
  return found == arguments.end() || !found->is_string() ? "" : found->get<std::string>();
}

}  // namespace sextant::mcp
