#include "server/store/test_cluster.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "server/store/migrator.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "sextant-test-";
constexpr char kTemplate[] = "sextant_template";

// $0: the cluster's directory. Waits for the end of its standard input.
constexpr char kReap[] = R"sh(
read forever
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null)
[ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null
n=0
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && [ $n -lt 500 ]; do sleep 0.01; n=$((n + 1)); done
rm -rf "$0"
)sh";

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << "test cluster: " << status << std::endl;
  abort();
}

// Directories of programs that were killed together with their reaper.
void SweepStale() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fs::temp_directory_path(), error)) {
    const std::string name = entry.path().filename();
    if (!absl::StartsWith(name, kPrefix)) continue;
    const std::vector<std::string> parts = absl::StrSplit(name.substr(sizeof kPrefix - 1), '-');
    pid_t pid = 0;
    if (!absl::SimpleAtoi(parts[0], &pid) || kill(pid, 0) == 0 || errno != ESRCH) continue;
    KillAllIn(entry.path() / "data", "postgres");
    fs::remove_all(entry.path(), error);
  }
}

}  // namespace

TestCluster& TestCluster::Shared() {
  static TestCluster cluster;
  return cluster;
}

TestCluster::TestCluster() {
  SweepStale();
  std::string path = absl::StrCat(fs::temp_directory_path().string(), "/", kPrefix, getpid(), "-XXXXXX");
  if (mkdtemp(path.data()) == nullptr) Check(absl::InternalError("mkdtemp failed"));
  directory_ = path;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) Check(absl::InternalError("pipe failed"));
  reaper_ = ends[1];
  reaper_pid_ = fork();
  if (reaper_pid_ == 0) {
    setsid();
    dup2(ends[0], 0);
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    dup2(null, 2);
    execl("/bin/sh", "sh", "-c", kReap, directory_.c_str(), nullptr);
    _exit(127);
  }
  close(ends[0]);
  auto cluster = Cluster::Start({.directory = directory_,
                                 .durable = false,
                                 .max_connections = 100,
                                 .shared_buffers_bytes = 64 << 20});
  Check(cluster.status());
  cluster_ = *std::move(cluster);
}

TestCluster::~TestCluster() {
  close(reaper_);
  waitpid(reaper_pid_, nullptr, 0);
}

std::string TestCluster::Create(const std::string& from_template) {
  const std::string name = absl::StrCat("test_", ++made_);
  try {
    Connection connection(cluster_->Conninfo("postgres"));
    pqxx::nontransaction tx(connection);
    // Without fsync, copying the files is faster than logging each page.
    const bool can_choose = cluster_->binaries().major >= 15;
    tx.exec(absl::StrCat("CREATE DATABASE ", name, " TEMPLATE ", from_template,
                         can_choose ? " STRATEGY file_copy" : ""));
  } catch (const std::exception& error) {
    Check(absl::InternalError(error.what()));
  }
  return cluster_->Conninfo(name);
}

std::string TestCluster::NewEmptyDatabase() { return Create("template1"); }

std::string TestCluster::NewDatabase() {
  if (!has_template_) {
    try {
      Connection connection(cluster_->Conninfo("postgres"));
      pqxx::nontransaction tx(connection);
      tx.exec(absl::StrCat("CREATE DATABASE ", kTemplate));
    } catch (const std::exception& error) {
      Check(absl::InternalError(error.what()));
    }
    DatabaseOptions options;
    options.conninfo = cluster_->Conninfo(kTemplate);
    options.connections = 1;
    auto database = Database::Open(options);
    Check(database.status());
    Check(Migrate(database->get()).status());
    has_template_ = true;
  }
  return Create(kTemplate);
}

std::string TestCluster::AsReader(const std::string& conninfo) {
  return absl::StrReplaceAll(
      conninfo, {{absl::StrCat("user=", kOwner, " "), absl::StrCat("user=", kReader, " ")}});
}

void TestCluster::Restart() {
  Check(cluster_->Stop());
  Check(cluster_->EnsureRunning());
}

void TestCluster::Crash() {
  if (const pid_t pid = cluster_->pid(); pid != 0) kill(pid, SIGKILL);
  while (cluster_->pid() != 0) usleep(1000);
  Check(cluster_->EnsureRunning());
}

std::unique_ptr<Database> TestDatabase::New(int connections, Faults* faults) {
  DatabaseOptions options;
  options.conninfo = TestCluster::Shared().NewDatabase();
  options.connections = connections;
  options.faults = faults;
  auto database = Database::Open(options);
  Check(database.status());
  return *std::move(database);
}

}  // namespace sextant::store
