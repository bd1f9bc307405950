#include "server/store/query_errors.h"

#include <pqxx/pqxx>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/store/errors.h"

namespace sextant::store {

std::string PositionOf(const std::string& message, int lines_before) {
  const std::vector<absl::string_view> lines = absl::StrSplit(message, '\n');
  for (size_t i = 0; i < lines.size(); ++i) {
    absl::string_view line = lines[i];
    if (!absl::StartsWith(line, "LINE ")) continue;
    const size_t colon = line.find(": ");
    int number = 0;
    if (colon == absl::string_view::npos || !absl::SimpleAtoi(line.substr(5, colon - 5), &number) ||
        number <= lines_before) {
      return "";
    }
    const std::string place = absl::StrCat("line ", number - lines_before);
    const bool whole = !absl::StartsWith(line.substr(colon + 2), "...");
    const size_t caret = i + 1 < lines.size() ? lines[i + 1].find('^') : absl::string_view::npos;
    if (!whole || caret == absl::string_view::npos || caret < colon + 2)
      return absl::StrCat(place, ": ");
    return absl::StrCat(place, ", column ", caret - colon - 1, ": ");
  }
  return "";
}

namespace {

absl::Status OfSqlState(const std::string& state, const std::string& message,
                        const QueryContext& context) {
  const std::string said =
      absl::StrCat("sql: ", PositionOf(message, context.lines_before), OneLine(message));
  const std::string views = absl::StrCat(
      "; a query reads the views ", absl::StrJoin(*context.views, ", "), " (docs/query.md)");
  if (state == "57014") {
    return absl::DeadlineExceededError(absl::StrCat(
        "the query did not end within ", context.timeout_s, " s (query_max_s is ",
        context.query_max_s, "): narrow it, for example by job_id, or aggregate less at once"));
  }
  if (state == "42501" || state == "25006")
    return absl::PermissionDeniedError(absl::StrCat(said, views, " and can do nothing else"));
  if (state == "42P01" || state == "3F000")
    return absl::InvalidArgumentError(absl::StrCat(said, views));
  if (state == "53400" || state == "53200" || state == "53100" || absl::StartsWith(state, "54")) {
    return absl::ResourceExhaustedError(absl::StrCat(said, "; narrow the query"));
  }
  if (state == "53300") {
    return absl::ResourceExhaustedError(
        absl::StrCat("too many queries at once: ", OneLine(message), "; try again"));
  }
  if (absl::StartsWith(state, "57P") || absl::StartsWith(state, "08"))
    return absl::UnavailableError(OneLine(message));
  if (absl::StrContains(message, "multiple commands"))
    return absl::InvalidArgumentError("sql: holds several statements; send one SELECT");
  return absl::InvalidArgumentError(said);
}

}  // namespace

absl::Status TranslateQueryError(std::exception_ptr exception, const QueryContext& context) {
  try {
    std::rethrow_exception(exception);
  } catch (const pqxx::broken_connection& e) {
    return absl::UnavailableError(absl::StrCat("query: ", OneLine(e.what())));
  } catch (const pqxx::sql_error& e) {
    return OfSqlState(SqlStateOf(e), e.what(), context);
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("query: ", OneLine(e.what())));
  }
}

}  // namespace sextant::store
