// A PostgreSQL for a benchmark: a private cluster as the embedded default makes it, durable, gone with
// the object; or one that is already there.
#pragma once

#include <memory>
#include <string>

#include "bench/support.h"
#include "server/store/cluster.h"
#include "server/store/database.h"

namespace sextant::bench {

class BenchDatabase {
 public:
  // `conninfo` empty: a cluster of our own. Migrated.
  explicit BenchDatabase(const std::string& conninfo, int connections = 8);
  ~BenchDatabase();

  store::Database* get() { return database_.get(); }
  const std::string& conninfo() const { return conninfo_; }
  std::string psql() const;

 private:
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<store::Cluster> cluster_;
  std::string conninfo_;
  std::unique_ptr<store::Database> database_;
};

}  // namespace sextant::bench
