// Where PostgreSQL's server programs are. Distributions keep them out of PATH.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace sextant::store {

struct PostgresBinaries {
  std::string directory;  // holds postgres and initdb
  std::string version;    // "15.14"
  int major = 0;
};

// The newest found, or with `major` the newest of that one. Looks in `hint` alone when it is given,
// else in the distributions' places, pg_config's and PATH. FAILED_PRECONDITION says what to install.
absl::StatusOr<PostgresBinaries> FindPostgres(const std::string& hint, int major);

}  // namespace sextant::store
