// Where the driver's exceptions end. Everything else in the service sees a Status.
#pragma once

#include <exception>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace pqxx {
class sql_error;
}

namespace sextant::store {

// What an exception of libpqxx means to the one who ran the transaction.
struct Translated {
  enum class Retry {
    kNo,
    kAgain,    // deadlock or serialization failure: nothing was done, run it again
    kBroken,   // the connection is gone and the commit was not sent: a fresh connection may do
    kInDoubt,  // the connection was lost while committing: it may have happened
  };
  absl::Status status;
  Retry retry = Retry::kNo;
};

// `name` is the transaction's; `open` says whether the connection still is. Never throws.
Translated Translate(std::exception_ptr exception, const std::string& name, bool open);

// The SQLSTATE the server sent. libpqxx 6 forgets that of insufficient_privilege.
std::string SqlStateOf(const pqxx::sql_error& error);

// The code of one SQLSTATE; kInternal for what has no better name.
absl::StatusCode CodeOfSqlState(absl::string_view sqlstate);

// The server's message on one line: without its "ERROR:" and without the statement's text.
std::string OneLine(absl::string_view message);

}  // namespace sextant::store
