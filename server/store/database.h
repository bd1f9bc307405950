// A pool of connections to one PostgreSQL database, and the one place where the driver's exceptions
// become a Status. Only files in server/store see libpqxx.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace pqxx {
class transaction_base;
}

namespace sextant::store {

class Connection;  // server/store/pq.h
class Faults;
struct Translated;

struct DatabaseOptions {
  std::string conninfo;      // libpq connection string or URI
  int connections = 8;       // at most; opened on demand
  absl::Duration wait_for_connection = absl::Seconds(30);  // when all are lent
  Faults* faults = nullptr;  // named points at which a test makes this process fail; may be null
};

// How often a transaction is run when others keep deadlocking with it.
inline constexpr int kMaxRuns = 6;

// The oldest server whose SQL this room speaks.
inline constexpr int kMinServerMajor = 14;

// Thread-safe. Outlives every store object made on it.
class Database {
 public:
  // Connects once to see that the server is there and speaks a known version.
  static absl::StatusOr<std::unique_ptr<Database>> Open(DatabaseOptions options);
  ~Database();

  using Work = absl::FunctionRef<absl::Status(pqxx::transaction_base&)>;

  // Runs `work` in one READ COMMITTED transaction and commits it if it returned OK; else rolls back
  // and returns its status. `name` is for errors and fault points ("submit"). `work` may run several
  // times: on deadlock or serialization failure, and once more on a fresh connection when the old one
  // broke before the commit was sent. A commit whose outcome is not known is UNKNOWN and never run
  // again. Errors: UNAVAILABLE no connection (or deadlocked kMaxRuns times), ALREADY_EXISTS unique
  // violation, FAILED_PRECONDITION check or foreign key violation, RESOURCE_EXHAUSTED disk full,
  // INTERNAL anything else (server/store/errors.h). `work` lets the driver's exceptions pass, and
  // does not call Transact or Read itself: with the pool used up, that waits for itself.
  absl::Status Transact(std::string_view name, Work work);

  // The same for reading: every statement sees what is committed when it begins, writing is refused,
  // run again freely. One statement is one round trip.
  absl::Status Read(std::string_view name, Work work);

  const std::string& conninfo() const { return options_.conninfo; }
  std::string server_version() const;   // "15.7"

 private:
  explicit Database(DatabaseOptions options);
  absl::Status Run(const std::string& name, bool read_only, Work work);
  // One try on one connection. Translated::retry says whether another makes sense.
  Translated Once(const std::string& name, bool read_only, Work work, Connection& connection);
  absl::Status RunAndCommit(const std::string& name, bool read_only, Work work,
                            Connection& connection);
  // Waits for room in the pool. A fresh one also drops the idle ones: what broke one broke all.
  absl::StatusOr<std::unique_ptr<Connection>> Borrow(bool read_only, bool fresh);
  void Return(std::unique_ptr<Connection> connection);  // null or broken: only its room is returned

  const DatabaseOptions options_;
  absl::Mutex mutex_;
  // Those for reading and those for writing; with the lent ones never more than options_.connections.
  std::vector<std::unique_ptr<Connection>> idle_ ABSL_GUARDED_BY(mutex_);
  int lent_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string server_version_;  // set once by Open
};

}  // namespace sextant::store
