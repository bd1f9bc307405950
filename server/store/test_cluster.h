// A real PostgreSQL for tests: one throwaway cluster per test program, about a second to start, and
// a database of its own for every test case.
//
//   TEST_CASE("…") {
//     const auto database = sextant::store::TestDatabase::New();       // migrated
//     sextant::store::JobStore jobs(database.get());
//
// or, for programs that connect on their own:
//
//     auto& cluster = sextant::store::TestCluster::Shared();
//     const std::string conninfo = cluster.NewDatabase();
//
// Link sextant_store_testing. The cluster is gone when the program has ended, however it did. Nothing
// is synced to disk, but what was committed survives Crash() and Restart().
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/store/cluster.h"
#include "server/store/database.h"

namespace sextant::store {

// Errors end the program: a test without its database has no result.
class TestCluster {
 public:
  // Started at the first call. The one shared object of test programs.
  static TestCluster& Shared();
  ~TestCluster();

  // Connection strings. A migrated database, and one with nothing in it.
  std::string NewDatabase();
  std::string NewEmptyDatabase();
  // The same database as Query's role.
  static std::string AsReader(const std::string& conninfo);

  void Restart();  // stops and starts: every connection breaks
  void Crash();    // SIGKILL of the postmaster, then start
  Cluster& cluster() { return *cluster_; }

 private:
  TestCluster();
  std::string Create(const std::string& from_template);

  std::string directory_;
  int reaper_ = -1;  // closed when we end, whatever ends us: then the reaper cleans up
  pid_t reaper_pid_ = 0;
  std::unique_ptr<Cluster> cluster_;
  bool has_template_ = false;
  int made_ = 0;
};

// A migrated database with a pool on it.
class TestDatabase {
 public:
  static std::unique_ptr<Database> New(int connections = 8, Faults* faults = nullptr);
};

}  // namespace sextant::store
