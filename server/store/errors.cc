#include "server/store/errors.h"

#include <pqxx/pqxx>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace sextant::store {
namespace {

std::string Remedy(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return "; nothing was done, try again when PostgreSQL answers";
    case absl::StatusCode::kResourceExhausted:
      return "; free space on PostgreSQL's disk or raise the limit it names";
    default:
      return "";
  }
}

}  // namespace

std::string SqlStateOf(const pqxx::sql_error& error) {
  if (dynamic_cast<const pqxx::insufficient_privilege*>(&error)) return "42501";
  return error.sqlstate();
}

absl::StatusCode CodeOfSqlState(absl::string_view state) {
  if (state == "23505") return absl::StatusCode::kAlreadyExists;
  if (absl::StartsWith(state, "23")) return absl::StatusCode::kFailedPrecondition;
  if (state == "53300") return absl::StatusCode::kUnavailable;        // too many connections
  if (absl::StartsWith(state, "53")) return absl::StatusCode::kResourceExhausted;
  if (state == "54000" || state == "54001") return absl::StatusCode::kResourceExhausted;
  if (state == "57014") return absl::StatusCode::kDeadlineExceeded;   // statement_timeout
  if (absl::StartsWith(state, "57P")) return absl::StatusCode::kUnavailable;
  if (absl::StartsWith(state, "08")) return absl::StatusCode::kUnavailable;
  if (state == "55P03") return absl::StatusCode::kUnavailable;        // lock_timeout
  if (state == "25006") return absl::StatusCode::kUnavailable;        // a standby answered
  if (state == "42501") return absl::StatusCode::kPermissionDenied;
  if (state == "22021" || state == "22P05") return absl::StatusCode::kInvalidArgument;
  return absl::StatusCode::kInternal;
}

std::string OneLine(absl::string_view message) {
  std::vector<absl::string_view> kept;
  for (absl::string_view line : absl::StrSplit(message, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    for (absl::string_view prefix : {"ERROR:", "FATAL:"}) {
      if (absl::ConsumePrefix(&line, prefix)) line = absl::StripLeadingAsciiWhitespace(line);
    }
    if (line.empty() || line == "^" || absl::StartsWith(line, "LINE ")) continue;
    if (absl::StartsWith(line, "CONTEXT:") || absl::StartsWith(line, "QUERY:")) break;
    kept.push_back(line);
    if (kept.size() == 4) break;
  }
  return absl::StrJoin(kept, "; ").substr(0, 1000);
}

Translated Translate(std::exception_ptr exception, const std::string& name, bool open) {
  using Retry = Translated::Retry;
  auto make = [&](absl::StatusCode code, const char* what, Retry retry) {
    return Translated{absl::Status(code, absl::StrCat(name, ": ", OneLine(what), Remedy(code))),
                      retry};
  };
  try {
    std::rethrow_exception(exception);
  } catch (const pqxx::in_doubt_error& e) {
    return {absl::UnknownError(absl::StrCat(
                name, ": the connection to PostgreSQL was lost while committing, so it may or may "
                      "not have happened; repeat with the same request id")),
            Retry::kInDoubt};
  } catch (const pqxx::broken_connection& e) {
    return make(absl::StatusCode::kUnavailable, e.what(), Retry::kBroken);
  } catch (const pqxx::deadlock_detected& e) {
    return make(absl::StatusCode::kUnavailable, e.what(), Retry::kAgain);
  } catch (const pqxx::serialization_failure& e) {
    return make(absl::StatusCode::kUnavailable, e.what(), Retry::kAgain);
  } catch (const pqxx::sql_error& e) {
    if (!open) return make(absl::StatusCode::kUnavailable, e.what(), Retry::kBroken);
    return make(CodeOfSqlState(SqlStateOf(e)), e.what(), Retry::kNo);
  } catch (const std::exception& e) {
    if (!open) return make(absl::StatusCode::kUnavailable, e.what(), Retry::kBroken);
    return make(absl::StatusCode::kInternal, e.what(), Retry::kNo);
  }
}

}  // namespace sextant::store
