#include "server/store/faults.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "server/store/database.h"
#include "server/store/pq.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::store {
namespace {

std::unique_ptr<Faults> Make(const std::vector<std::string>& specs) {
  auto faults = Faults::Parse(specs);
  REQUIRE(faults.ok());
  return *std::move(faults);
}

// A table `t`, and a pool whose commits meet `faults`.
struct Scene {
  explicit Scene(const std::vector<std::string>& specs) : faults(Make(specs)) {
    conninfo = TestCluster::Shared().NewEmptyDatabase();
    plain = Open(nullptr);
    CHECK(plain->Transact("create", [](pqxx::transaction_base& tx) {
      tx.exec("CREATE TABLE t (i int)");
      return absl::OkStatus();
    }).ok());
    database = Open(faults.get());
  }
  std::unique_ptr<Database> Open(Faults* with) {
    DatabaseOptions options;
    options.conninfo = conninfo;
    options.connections = 2;
    options.faults = with;
    auto opened = Database::Open(options);
    REQUIRE(opened.ok());
    return *std::move(opened);
  }
  absl::Status Put() {
    return database->Transact("put", [](pqxx::transaction_base& tx) {
      tx.exec("INSERT INTO t VALUES (1)");
      return absl::OkStatus();
    });
  }
  int Rows() {
    int rows = -1;
    CHECK(plain->Read("count", [&](pqxx::transaction_base& tx) {
      rows = tx.exec("SELECT count(*) FROM t").at(0).at(0).as<int>();
      return absl::OkStatus();
    }).ok());
    return rows;
  }
  std::unique_ptr<Faults> faults;
  std::string conninfo;
  std::unique_ptr<Database> plain, database;
};

TEST_CASE("an error before the commit leaves nothing behind") {
  Scene scene({"put.before_commit=error@1"});
  CHECK(scene.Put().code() == absl::StatusCode::kUnavailable);
  CHECK(scene.Rows() == 0);
  CHECK(scene.Put().ok());
  CHECK(scene.Rows() == 1);
  CHECK(scene.faults->happened() == 1);
}

TEST_CASE("a connection dropped before the commit is replaced and the work counts once") {
  Scene scene({"put.before_commit=drop@1"});
  CHECK(scene.Put().ok());
  CHECK(scene.Rows() == 1);
}

TEST_CASE("a connection dropped before every commit is UNAVAILABLE and leaves nothing") {
  Scene scene({"put.before_commit=drop"});
  CHECK(scene.Put().code() == absl::StatusCode::kUnavailable);
  CHECK(scene.Rows() == 0);
}

TEST_CASE("a reply lost after the commit is in doubt, though it happened") {
  for (const char* spec : {"put.before_commit=drop-after@1", "put.after_commit=drop-after@1",
                           "*.after_commit=error@1"}) {
    Scene scene({spec});
    CHECK(scene.Put().code() == absl::StatusCode::kUnknown);
    CHECK(scene.Rows() == 1);
    CHECK(scene.Put().ok());
    CHECK(scene.Rows() == 2);
  }
}

TEST_CASE("a pause holds the commit and lets it happen") {
  Scene scene({"put.before_commit=pause-1", "put.after_commit=pause-1@2"});
  CHECK(scene.Put().ok());
  CHECK(scene.Put().ok());
  CHECK(scene.Rows() == 2);
  CHECK(scene.faults->happened() == 3);
}

TEST_CASE("a crash before the commit loses it and a crash after it keeps it") {
  for (const auto& [point, kept] : {std::pair{"put.before_commit", 0}, {"put.after_commit", 1}}) {
    Scene scene({absl::StrCat(point, "=crash@1")});
    const pid_t child = fork();
    if (child == 0) {
      (void)scene.Open(scene.faults.get())->Transact("put", [](pqxx::transaction_base& tx) {
        tx.exec("INSERT INTO t VALUES (1)");
        return absl::OkStatus();
      });
      _exit(0);
    }
    int ended = 0;
    REQUIRE(waitpid(child, &ended, 0) == child);
    CHECK(WIFSIGNALED(ended));
    CHECK(WTERMSIG(ended) == SIGKILL);
    CHECK(scene.Rows() == kept);
  }
}

TEST_CASE("a fault at the third hit leaves the others alone") {
  auto faults = Make({"ingest.ack=error@3"});
  CHECK(faults->Hit("ingest.ack").ok());
  CHECK(faults->Hit("ingest.other").ok());
  CHECK(faults->Hit("ingest.ack").ok());
  CHECK(faults->Hit("ingest.ack").code() == absl::StatusCode::kUnavailable);
  CHECK(faults->Hit("ingest.ack").ok());
}

TEST_CASE("a fault that cannot be understood is refused with how to write one") {
  for (const char* spec : {"", "submit", "=crash", "p=explode", "p=crash@0", "p=crash@x", "p=pause-",
                           "p=pause-x", "p=pause"}) {
    const auto faults = Faults::Parse({spec});
    CHECK(faults.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(absl::StrContains(faults.status().message(), "POINT=ACTION"));
  }
}

}  // namespace
}  // namespace sextant::store
