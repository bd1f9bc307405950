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

struct PostgresPlaces {
  std::string only;    // a directory, the one place to look in; empty: everywhere
  std::string prefix;  // its lib/postgresql/*/bin comes before the system's; empty: nothing does
};

// The newest found, or with `major` the newest of that one. After `prefix` it looks in the
// distributions' places, pg_config's and PATH. FAILED_PRECONDITION says what to install.
absl::StatusOr<PostgresBinaries> FindPostgres(const PostgresPlaces& places, int major);

}  // namespace sextant::store
