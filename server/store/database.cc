#include "server/store/database.h"

#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/status/status.h"
#include "server/store/errors.h"
#include "server/store/faults.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

// Cuts the connection as a network would: the server sees it closed, and so do we at the next use.
void Cut(Connection& connection) { shutdown(connection.sock(), SHUT_RDWR); }

void Backoff(int run) {
  absl::BitGen random;
  const int most_ms = std::min(200, 5 << run);
  absl::SleepFor(absl::Milliseconds(absl::Uniform(random, 1, most_ms)));
}

}  // namespace

Database::Database(DatabaseOptions options) : options_(std::move(options)) {}
Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(DatabaseOptions options) {
  if (options.connections < 1)
    return absl::InvalidArgumentError("connections must be at least 1");
  std::unique_ptr<Database> database(new Database(std::move(options)));
  std::string version;
  RETURN_IF_ERROR(database->Read("open", [&](pqxx::transaction_base& tx) {
    version = tx.exec("SHOW server_version").at(0).at(0).as<std::string>();
    return absl::OkStatus();
  }));
  database->server_version_ = version.substr(0, version.find(' '));
  int major = 0;
  if (!absl::SimpleAtoi(version.substr(0, version.find_first_not_of("0123456789")), &major) ||
      major < kMinServerMajor) {
    return absl::FailedPreconditionError(
        absl::StrCat("PostgreSQL ", version, " is too old: ", kMinServerMajor, " or newer is needed"));
  }
  return database;
}

absl::Status Database::Transact(std::string_view name, Work work) {
  return Run(std::string(name), /*read_only=*/false, work);
}

absl::Status Database::Read(std::string_view name, Work work) {
  return Run(std::string(name), /*read_only=*/true, work);
}

std::string Database::server_version() const { return server_version_; }

absl::Status Database::Run(const std::string& name, bool read_only, Work work) {
  using Retry = Translated::Retry;
  bool fresh = false;
  for (int run = 1;; ++run) {
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Borrow(read_only, fresh), name);
    Translated outcome = Once(name, read_only, work, *connection);
    Return(std::move(connection));
    if (outcome.retry == Retry::kInDoubt && read_only) outcome.retry = Retry::kBroken;
    switch (outcome.retry) {
      case Retry::kNo:
      case Retry::kInDoubt:
        return outcome.status;
      case Retry::kBroken:
        if (fresh) return outcome.status;
        fresh = true;
        break;
      case Retry::kAgain:
        if (run >= kMaxRuns) return outcome.status;
        fresh = false;
        Backoff(run);
        break;
    }
  }
}

Translated Database::Once(const std::string& name, bool read_only, Work work,
                          Connection& connection) {
  try {
    return {RunAndCommit(name, read_only, work, connection), Translated::Retry::kNo};
  } catch (...) {
    return Translate(std::current_exception(), name, connection.is_open());
  }
}

absl::Status Database::RunAndCommit(const std::string& name, bool read_only, Work work,
                                    Connection& connection) {
  if (read_only) {
    pqxx::nontransaction tx(connection);
    return work(tx);
  }
  pqxx::work tx(connection);
  RETURN_IF_ERROR(work(tx));
  Faults* const faults = options_.faults;
  const Faults::Effect before =
      faults ? faults->At(absl::StrCat(name, ".before_commit")) : Faults::Effect::kNone;
  if (before == Faults::Effect::kError) {
    return absl::UnavailableError(absl::StrCat(name, ": fault before the commit; nothing was done"));
  }
  if (before == Faults::Effect::kDrop) {
    Cut(connection);
    tx.exec("SELECT 1");  // throws
  }
  tx.commit();
  const Faults::Effect after =
      faults ? faults->At(absl::StrCat(name, ".after_commit")) : Faults::Effect::kNone;
  if (before == Faults::Effect::kDropAfter || after != Faults::Effect::kNone) {
    Cut(connection);
    throw pqxx::in_doubt_error("fault after the commit");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Connection>> Database::Borrow(bool read_only,
                                                                bool fresh) {
  std::vector<std::unique_ptr<Connection>> stale;  // closed without holding the lock
  {
    absl::MutexLock lock(&mutex_);
    if (fresh) stale.swap(idle_);
    auto room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return lent_ < options_.connections;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&room), options_.wait_for_connection)) {
      return absl::UnavailableError(absl::StrCat(
          "all ", options_.connections, " connections to PostgreSQL stayed busy for ",
          absl::FormatDuration(options_.wait_for_connection), "; nothing was done, try again"));
    }
    ++lent_;
    const auto fits = std::find_if(idle_.rbegin(), idle_.rend(), [&](const auto& connection) {
      return connection->read_only() == read_only;
    });
    if (fits != idle_.rend()) {
      std::unique_ptr<Connection> connection = std::move(*fits);
      idle_.erase(std::next(fits).base());
      return connection;
    }
    if (!idle_.empty() && lent_ + static_cast<int>(idle_.size()) > options_.connections) {
      stale.push_back(std::move(idle_.front()));
      idle_.erase(idle_.begin());
    }
  }
  stale.clear();
  try {
    return std::make_unique<Connection>(options_.conninfo, read_only);
  } catch (...) {
    const absl::Status status =
        Translate(std::current_exception(), "connecting to PostgreSQL", false).status;
    Return(nullptr);
    return status;
  }
}

void Database::Return(std::unique_ptr<Connection> connection) {
  if (connection && !connection->is_open()) connection.reset();
  absl::MutexLock lock(&mutex_);
  --lent_;
  if (connection) idle_.push_back(std::move(connection));
}

}  // namespace sextant::store
