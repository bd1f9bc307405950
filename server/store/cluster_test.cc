#include "server/store/cluster.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/store/pq.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::store {
namespace {

namespace fs = std::filesystem;

// A directory of this test; the cluster in it is stopped and removed with it.
class Place {
 public:
  explicit Place(const std::string& below = "") {
    // The name's number lets the sweep of later programs find it if this one is killed.
    std::string path = absl::StrCat("/tmp/sextant-test-", getpid(), "-XXXXXX");
    REQUIRE(mkdtemp(path.data()) != nullptr);
    chmod(path.c_str(), 0755);
    root_ = path;
    directory_ = below.empty() ? root_ + "/pg" : root_ + "/" + below;
  }
  ~Place() {
    KillAllIn(directory_ + "/data", "postgres");
    std::error_code error;
    fs::remove_all(root_, error);
  }
  ClusterOptions Options() const {
    ClusterOptions options;
    options.directory = directory_;
    options.shared_buffers_bytes = 16 << 20;
    return options;
  }
  const std::string& directory() const { return directory_; }

 private:
  std::string root_, directory_;
};

std::string Ask(const std::string& conninfo, const std::string& sql) {
  pqxx::connection connection(conninfo);
  pqxx::nontransaction tx(connection);
  const pqxx::result rows = tx.exec(sql);
  return rows.empty() ? "" : rows[0][0].as<std::string>("NULL");
}

TEST_CASE("a cluster is made, survives stops and kills, and keeps what was committed") {
  Place place;
  auto cluster = Cluster::Start(place.Options());
  REQUIRE(cluster.status() == absl::OkStatus());
  CHECK((*cluster)->started_here());
  const std::string conninfo = (*cluster)->Conninfo();
  Ask(conninfo, "CREATE TABLE t AS SELECT 41 AS i");

  SECTION("another program that starts it uses the one that runs") {
    auto again = Cluster::Start(place.Options());
    REQUIRE(again.ok());
    CHECK_FALSE((*again)->started_here());
    CHECK((*again)->pid() == (*cluster)->pid());
    CHECK(Ask((*again)->Conninfo(), "SELECT i FROM t") == "41");
  }
  SECTION("after SIGKILL it starts again, from the same object and from a new one") {
    kill((*cluster)->pid(), SIGKILL);
    while ((*cluster)->pid() != 0) usleep(1000);
    REQUIRE((*cluster)->EnsureRunning() == absl::OkStatus());
    CHECK(Ask(conninfo, "SELECT i FROM t") == "41");
    kill((*cluster)->pid(), SIGKILL);
    REQUIRE(Cluster::Start(place.Options()).status() == absl::OkStatus());
    CHECK(Ask(conninfo, "SELECT i FROM t") == "41");
  }
  SECTION("a lock file that names some other living process is no obstacle") {
    REQUIRE((*cluster)->Stop().ok());
    std::ofstream(place.directory() + "/data/postmaster.pid") << getpid() << "\n";
    REQUIRE((*cluster)->EnsureRunning() == absl::OkStatus());
    CHECK(Ask(conninfo, "SELECT i FROM t") == "41");
  }
  SECTION("a stopped one does not run, and stopping it again is fine") {
    REQUIRE((*cluster)->Stop().ok());
    CHECK((*cluster)->pid() == 0);
    CHECK((*cluster)->Stop().ok());
  }
  SECTION("it is closed to everybody else") {
    struct stat info;
    REQUIRE(stat((place.directory() + "/run").c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0700);
    CHECK(info.st_uid != 0);
    CHECK(Ask(conninfo, "SHOW listen_addresses") == "");
    CHECK(Ask((*cluster)->ReaderConninfo(), "SELECT current_user") == "sextant_reader");
    CHECK(Ask(conninfo, "SHOW fsync") == "on");
    CHECK(Ask(conninfo, "SHOW synchronous_commit") == "on");
    CHECK_THROWS(Ask((*cluster)->ReaderConninfo("postgres"), "SELECT 1"));
  }
  SECTION("a data directory of another major version is refused with how to upgrade") {
    REQUIRE((*cluster)->Stop().ok());
    std::ofstream(place.directory() + "/data/PG_VERSION") << "9\n";
    const auto other = Cluster::Start(place.Options());
    CHECK(other.status().code() == absl::StatusCode::kFailedPrecondition);
    CHECK(absl::StrContains(other.status().message(), "pg_upgrade"));
    CHECK(absl::StrContains(other.status().message(), "postgresql-9"));
  }
  (void)(*cluster)->Stop();
}

TEST_CASE("a long path gets a socket directory that is short, and private too") {
  Place place(std::string(100, 'd') + "'s");
  auto cluster = Cluster::Start(place.Options());
  REQUIRE(cluster.status() == absl::OkStatus());
  CHECK(Ask((*cluster)->Conninfo(), "SELECT 7") == "7");
  const std::string sockets = Ask((*cluster)->Conninfo(), "SHOW unix_socket_directories");
  CHECK(absl::StartsWith(sockets, "/tmp/sextant-"));
  CHECK((*cluster)->Stop().ok());
  fs::remove_all(sockets);
}

TEST_CASE("an interrupted making of the cluster is begun anew") {
  Place place;
  fs::create_directories(place.directory() + "/data.new");
  std::ofstream(place.directory() + "/data.new/half") << "x";
  auto cluster = Cluster::Start(place.Options());
  REQUIRE(cluster.status() == absl::OkStatus());
  CHECK((*cluster)->Stop().ok());
}

TEST_CASE("a machine without PostgreSQL is told what to install") {
  Place place;
  ClusterOptions options = place.Options();
  options.binaries.only = "/nonexistent";
  const auto cluster = Cluster::Start(options);
  CHECK(cluster.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(absl::StrContains(cluster.status().message(), "install the package postgresql"));
}

TEST_CASE("PostgreSQL under the program's own prefix comes before the system's") {
  const auto system = FindPostgres({}, 0);
  REQUIRE(system.status() == absl::OkStatus());
  Place place;
  const fs::path prefix = place.directory();
  const fs::path bin = prefix / "lib/postgresql" / absl::StrCat(system->major) / "bin";
  fs::create_directories(bin.parent_path());
  fs::create_directory_symlink(system->directory, bin);
  const auto found = FindPostgres({.prefix = prefix}, 0);
  REQUIRE(found.status() == absl::OkStatus());
  CHECK(found->directory == bin.string());
  // A cluster made by another version needs that one, wherever it is.
  fs::remove(bin);
  const auto fallback = FindPostgres({.prefix = prefix}, system->major);
  REQUIRE(fallback.status() == absl::OkStatus());
  CHECK(fallback->directory == system->directory);
}

TEST_CASE("a place its user cannot reach is named") {
  if (geteuid() != 0) return;  // an ordinary user cannot make such a place
  Place place("closed/pg");
  const std::string closed = fs::path(place.directory()).parent_path();
  fs::create_directories(closed);
  chmod(closed.c_str(), 0700);
  const auto cluster = Cluster::Start(place.Options());
  CHECK(cluster.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(absl::StrContains(cluster.status().message(), "cannot reach"));
}

}  // namespace
}  // namespace sextant::store
