#include "bench/database.h"

#include "server/store/migrator.h"

namespace sextant::bench {

BenchDatabase::BenchDatabase(const std::string& conninfo, int connections) : conninfo_(conninfo) {
  if (conninfo_.empty()) {
    directory_ = std::make_unique<Directory>();
    cluster_ = Check(store::Cluster::Start({.directory = directory_->path()}));
    conninfo_ = cluster_->Conninfo();
  }
  store::DatabaseOptions options;
  options.conninfo = conninfo_;
  options.connections = connections;
  database_ = Check(store::Database::Open(options));
  Check(store::Migrate(database_.get()).status());
}

BenchDatabase::~BenchDatabase() {
  database_.reset();
  if (cluster_ != nullptr) (void)cluster_->Stop();
}

std::string BenchDatabase::psql() const {
  return cluster_ == nullptr ? "psql" : cluster_->binaries().directory + "/psql";
}

}  // namespace sextant::bench
