// What PostgreSQL says about a stranger's query, in words that help the stranger.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace sextant::store {

struct QueryContext {
  int lines_before = 0;               // that were put before the stranger's text
  double timeout_s = 0;
  double query_max_s = 0;
  const std::vector<std::string>* views = nullptr;
};

absl::Status TranslateQueryError(std::exception_ptr exception, const QueryContext& context);

// "line 2, column 8: " from the server's "LINE 3: …" and its caret; "" where it gives none, and
// without the column where it shows only part of a long line.
std::string PositionOf(const std::string& message, int lines_before);

}  // namespace sextant::store
