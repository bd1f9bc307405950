#include "server/store/database.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"
#include "server/store/errors.h"
#include "server/store/pq.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::store {
namespace {

std::unique_ptr<Database> EmptyDatabase(int connections = 4) {
  DatabaseOptions options;
  options.conninfo = TestCluster::Shared().NewEmptyDatabase();
  options.connections = connections;
  auto database = Database::Open(options);
  REQUIRE(database.ok());
  return *std::move(database);
}

absl::Status Exec(Database& database, const std::string& sql) {
  return database.Transact("test", [&](pqxx::transaction_base& tx) {
    tx.exec(sql);
    return absl::OkStatus();
  });
}

int64_t Number(Database& database, const std::string& sql) {
  int64_t number = -1;
  const absl::Status status = database.Read("test", [&](pqxx::transaction_base& tx) {
    number = tx.exec(sql).at(0).at(0).as<int64_t>();
    return absl::OkStatus();
  });
  CHECK(status.ok());
  return number;
}

TEST_CASE("a transaction commits when its work is ok and rolls back when it is not") {
  auto database = EmptyDatabase();
  REQUIRE(Exec(*database, "CREATE TABLE t (i int PRIMARY KEY)").ok());
  CHECK(Exec(*database, "INSERT INTO t VALUES (1)").ok());
  const absl::Status refused = database->Transact("refuse", [](pqxx::transaction_base& tx) {
    tx.exec("INSERT INTO t VALUES (2)");
    return absl::NotFoundError("no");
  });
  CHECK(refused == absl::NotFoundError("no"));
  CHECK(Number(*database, "SELECT sum(i) FROM t") == 1);
}

TEST_CASE("the state of an error is known, whatever the driver forgets of it") {
  auto database = EmptyDatabase();
  for (const std::string state :
       {"22021", "22P05", "23000", "23502", "23503", "23505", "23514", "25006",
        "3F000", "42501", "42601", "42703", "42883", "42P01", "53000", "53100",
        "53200", "53400", "54000", "54001", "55P03", "57014"}) {
    INFO(state);
    std::string seen = "nothing thrown";
    const absl::Status status = database->Transact("raise", [&](pqxx::transaction_base& tx) {
      try {
        tx.exec("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '" + state + "'; END $$");
      } catch (const pqxx::sql_error& e) {
        seen = SqlStateOf(e);
        throw;
      }
      return absl::OkStatus();
    });
    CHECK(seen == state);
    CHECK(status.code() == CodeOfSqlState(state));
  }
}

TEST_CASE("errors of the server become statuses that name the transaction") {
  auto database = EmptyDatabase();
  REQUIRE(Exec(*database, "CREATE TABLE t (i int PRIMARY KEY, j int CHECK (j > 0))").ok());
  REQUIRE(Exec(*database, "INSERT INTO t VALUES (1)").ok());
  const absl::Status twice = Exec(*database, "INSERT INTO t VALUES (1)");
  CHECK(twice.code() == absl::StatusCode::kAlreadyExists);
  CHECK(absl::StartsWith(twice.message(), "test: duplicate key value"));
  CHECK(Exec(*database, "INSERT INTO t VALUES (2, 0)").code() ==
        absl::StatusCode::kFailedPrecondition);
  CHECK(Exec(*database, "SELECT nonsense").code() == absl::StatusCode::kInternal);
  const absl::Status reading = database->Read("read", [](pqxx::transaction_base& tx) {
    tx.exec("INSERT INTO t VALUES (3)");
    return absl::OkStatus();
  });
  CHECK_FALSE(reading.ok());
  CHECK(Number(*database, "SELECT count(*) FROM t") == 1);
}

TEST_CASE("a restart of the server is survived by one fresh connection") {
  auto database = EmptyDatabase();
  REQUIRE(Exec(*database, "CREATE TABLE t (i int)").ok());
  TestCluster::Shared().Restart();
  CHECK(Exec(*database, "INSERT INTO t VALUES (1)").ok());
  TestCluster::Shared().Crash();
  CHECK(Exec(*database, "INSERT INTO t VALUES (2)").ok());
  CHECK(Number(*database, "SELECT count(*) FROM t") == 2);
}

TEST_CASE("a connection that breaks in the middle runs the work once more, and only once") {
  auto database = EmptyDatabase();
  REQUIRE(Exec(*database, "CREATE TABLE t (i int)").ok());
  int runs = 0;
  auto break_until = [&](int good_run) {
    runs = 0;
    return database->Transact("breaking", [&](pqxx::transaction_base& tx) {
      tx.exec("INSERT INTO t VALUES (1)");
      if (++runs < good_run) tx.exec("SELECT pg_terminate_backend(pg_backend_pid())");
      tx.exec("INSERT INTO t VALUES (2)");
      return absl::OkStatus();
    });
  };
  CHECK(break_until(2).ok());
  CHECK(runs == 2);
  CHECK(Number(*database, "SELECT count(*) FROM t") == 2);
  const absl::Status broken = break_until(99);
  CHECK(broken.code() == absl::StatusCode::kUnavailable);
  CHECK(runs == 2);
  CHECK(Number(*database, "SELECT count(*) FROM t") == 2);
}

TEST_CASE("a commit whose connection is lost on the way is in doubt and not run again") {
  auto database = EmptyDatabase();
  REQUIRE(Exec(*database,
               "CREATE TABLE t (i int);"
               "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$"
               "BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
               "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
               " FOR EACH ROW EXECUTE FUNCTION die()")
              .ok());
  int runs = 0;
  const absl::Status status = database->Transact("doubtful", [&](pqxx::transaction_base& tx) {
    ++runs;
    tx.exec("INSERT INTO t VALUES (1)");
    return absl::OkStatus();
  });
  CHECK(status.code() == absl::StatusCode::kUnknown);
  CHECK(runs == 1);
}

TEST_CASE("transactions that deadlock are run again until both are done") {
  auto database = EmptyDatabase();
  REQUIRE(Exec(*database,
               "CREATE TABLE t (i int PRIMARY KEY, n int);"
               "INSERT INTO t VALUES (1, 0), (2, 0)")
              .ok());
  absl::Barrier* const both_hold_one = new absl::Barrier(2);
  std::atomic<int> runs{0};
  auto update = [&](int first, int second) {
    bool met = false;
    const absl::Status status = database->Transact("cross", [&](pqxx::transaction_base& tx) {
      ++runs;
      tx.exec("SET LOCAL deadlock_timeout = '10ms'");
      tx.exec(absl::StrCat("UPDATE t SET n = n + 1 WHERE i = ", first));
      if (!met) {
        met = true;
        if (both_hold_one->Block()) delete both_hold_one;
      }
      tx.exec(absl::StrCat("UPDATE t SET n = n + 1 WHERE i = ", second));
      return absl::OkStatus();
    });
    CHECK(status.ok());
  };
  std::thread other([&] { update(2, 1); });
  update(1, 2);
  other.join();
  CHECK(runs >= 3);
  CHECK(Number(*database, "SELECT sum(n) FROM t") == 4);
}

TEST_CASE("no server is UNAVAILABLE and says so") {
  DatabaseOptions options;
  options.conninfo = "host=/nonexistent dbname=sextant";
  const auto database = Database::Open(options);
  CHECK(database.status().code() == absl::StatusCode::kUnavailable);
  CHECK(absl::StrContains(database.status().message(), "/nonexistent"));
}

TEST_CASE("a used-up pool makes callers wait, and gives up after its time") {
  DatabaseOptions options;
  options.conninfo = TestCluster::Shared().NewEmptyDatabase();
  options.connections = 1;
  options.wait_for_connection = absl::Milliseconds(20);
  auto database = *Database::Open(options);
  const absl::Status outer = database->Read("outer", [&](pqxx::transaction_base&) {
    const absl::Status inner =
        database->Read("inner", [](pqxx::transaction_base&) { return absl::OkStatus(); });
    CHECK(inner.code() == absl::StatusCode::kUnavailable);
    return absl::OkStatus();
  });
  CHECK(outer.ok());
}

TEST_CASE("a prepared statement is prepared once on every connection that needs it") {
  auto database = EmptyDatabase(2);
  static constexpr char kAdd[] = "SELECT $1::bigint + $2::bigint";
  auto add = [&](int64_t a, int64_t b) {
    int64_t sum = 0;
    CHECK(database
              ->Read("add",
                     [&](pqxx::transaction_base& tx) {
                       sum = ExecPrepared(tx, kAdd, a, b).at(0).at(0).as<int64_t>();
                       return absl::OkStatus();
                     })
              .ok());
    return sum;
  };
  CHECK(add(1, 2) == 3);
  CHECK(add(3, 4) == 7);
  TestCluster::Shared().Restart();
  CHECK(add(5, 6) == 11);
  CHECK(Number(*database,
               "SELECT count(*) FROM pg_prepared_statements "
               "WHERE statement = 'SELECT $1::bigint + $2::bigint'") == 1);
}

TEST_CASE("bytes and arrays arrive as they were sent") {
  auto database = EmptyDatabase();
  const std::string bytes("\0\x01\\'\"\xff end", 9);
  ArrayLiteral texts;
  texts.AddText("a\"b\\c");
  texts.AddText("");
  texts.AddNull();
  ArrayLiteral blobs;
  blobs.AddBytes(bytes);
  CHECK(
      database
          ->Read("echo",
                 [&](pqxx::transaction_base& tx) {
                   CHECK(FieldBytes(tx.exec_params("SELECT $1::bytea", Bytes(bytes)).at(0).at(0)) ==
                         bytes);
                   CHECK(
                       FieldBytes(
                           tx.exec_params("SELECT ($1::bytea[])[1]", blobs.Finish()).at(0).at(0)) ==
                       bytes);
                   const auto rows = tx.exec_params("SELECT unnest($1::text[])", texts.Finish());
                   CHECK(rows.size() == 3);
                   CHECK(rows[0][0].as<std::string>() == "a\"b\\c");
                   CHECK(rows[1][0].as<std::string>() == "");
                   CHECK(rows[2][0].is_null());
                   return absl::OkStatus();
                 })
          .ok());
}

TEST_CASE("a server's message is put on one line without the statement") {
  CHECK(OneLine("ERROR:  duplicate key\nDETAIL:  Key (i)=(1) already exists.\n") ==
        "duplicate key; DETAIL:  Key (i)=(1) already exists.");
  CHECK(OneLine("ERROR:  syntax error\nLINE 1: SELEC\n        ^\n") == "syntax error");
}

}  // namespace
}  // namespace sextant::store
