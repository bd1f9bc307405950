#include "server/store/cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "proto/status/status.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSocketPathBytes = 100;  // of sun_path's 108, with the socket's own name
constexpr char kSocketName[] = "/.s.PGSQL.5432.lock";
constexpr absl::Duration kPoll = absl::Milliseconds(10);
constexpr int kMaxLaunches = 8;

absl::Status Errno(absl::string_view doing, const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat("cannot ", doing, " ", path, ": ", strerror(errno)));
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// FNV-1a: a short name for a long path.
uint64_t Hash(absl::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  return hash;
}

}  // namespace

Cluster::Cluster(ClusterOptions options)
    : options_(std::move(options)),
      data_(options_.directory + "/data"),
      log_(options_.directory + "/log/start.log") {}

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Start(ClusterOptions options) {
  if (!fs::path(options.directory).is_absolute()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the cluster's directory must be an absolute path, not \"", options.directory, "\""));
  }
  std::unique_ptr<Cluster> cluster(new Cluster(std::move(options)));
  RETURN_IF_ERROR(cluster->Locate());
  RETURN_IF_ERROR(cluster->EnsureRunning());
  return cluster;
}

absl::Status Cluster::EnsureRunning() {
  if (!socket_directory_.empty() && Answers()) return absl::OkStatus();
  RETURN_IF_ERROR(MakeDirectories());
  RETURN_IF_ERROR(ChooseSocketDirectory());
  // One starter at a time, over processes.
  const std::string lock_path = options_.directory + "/lock";
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) return Errno("open", lock_path);
  absl::Cleanup unlock = [lock] { close(lock); };
  while (flock(lock, LOCK_EX) != 0) {
    if (errno != EINTR) return Errno("lock", lock_path);
  }
  if (Answers()) return SetUp(Conninfo("postgres"), Conninfo("template1"));
  RETURN_IF_ERROR(MakeData());
  RETURN_IF_ERROR(WriteConfiguration());
  RETURN_IF_ERROR(Launch());
  return SetUp(Conninfo("postgres"), Conninfo("template1"));
}

absl::Status Cluster::Locate() {
  ASSIGN_OR_RETURN(account_, ChooseAccount(data_));
  int major = 0;
  const std::string made_by(absl::StripAsciiWhitespace(ReadAll(data_ + "/PG_VERSION")));
  if (!made_by.empty() && !absl::SimpleAtoi(made_by, &major))
    return absl::FailedPreconditionError(absl::StrCat(data_, "/PG_VERSION holds \"", made_by, "\""));
  absl::StatusOr<PostgresBinaries> binaries = FindPostgres(options_.binaries, major);
  if (!binaries.ok() && major != 0) {
    absl::StatusOr<PostgresBinaries> other = FindPostgres(options_.binaries, 0);
    if (!other.ok()) return binaries.status();
    return absl::FailedPreconditionError(absl::StrCat(
        data_, " was made by PostgreSQL ", major, ", but this machine has ", other->version,
        ". Install postgresql-", major, " to go on as before; or upgrade the data, as user ",
        account_.name, " and with both versions installed: make a new cluster with ",
        other->directory, "/initdb -U ", kOwner, " -E UTF8 --locale=C NEW, run ", other->directory,
        "/pg_upgrade -U ", kOwner, " -b OLD_BIN -B ", other->directory, " -d ", data_,
        " -D NEW, and put NEW in its place"));
  }
  RETURN_IF_ERROR(binaries.status());
  binaries_ = *std::move(binaries);
  if (account_.drop &&
      !RunToEnd(account_, {binaries_.directory + "/postgres", "--version"}, "/").ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "PostgreSQL runs as user ", account_.name, ", who cannot run the programs in ",
        binaries_.directory, ": a directory above it is closed to others, or this is a user "
        "namespace that knows only root. Put them where every user may go, like /opt"));
  }
  return absl::OkStatus();
}

absl::Status Cluster::MakePrivate(const std::string& directory) const {
  if (mkdir(directory.c_str(), 0700) == 0) {
    if (account_.drop && lchown(directory.c_str(), account_.uid, account_.gid) != 0)
      return Errno("hand over", directory);
    return absl::OkStatus();
  }
  struct stat info;
  if (errno != EEXIST || lstat(directory.c_str(), &info) != 0) return Errno("make", directory);
  if (!S_ISDIR(info.st_mode))
    return absl::FailedPreconditionError(absl::StrCat(directory, " is not a directory"));
  if (account_.drop && info.st_uid == 0) {
    if (lchown(directory.c_str(), account_.uid, account_.gid) != 0)
      return Errno("hand over", directory);
  } else if (info.st_uid != account_.uid) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory, " belongs to another user than ", account_.name, ": choose another directory"));
  }
  if ((info.st_mode & 07777) != 0700 && chmod(directory.c_str(), 0700) != 0)
    return Errno("close to others", directory);
  return absl::OkStatus();
}

absl::Status Cluster::MakeDirectories() {
  std::error_code error;
  fs::create_directories(fs::path(options_.directory).parent_path(), error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make the directories above ", options_.directory, ": ", error.message()));
  }
  RETURN_IF_ERROR(MakePrivate(options_.directory));
  RETURN_IF_ERROR(MakePrivate(options_.directory + "/log"));
  if (!RunToEnd(account_, {"/bin/sh", "-c", "true"}, options_.directory).ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "PostgreSQL runs as user ", account_.name, ", who cannot reach ", options_.directory,
        ": a directory above it is closed to others. Choose one like /var/lib/sextant"));
  }
  return absl::OkStatus();
}

absl::Status Cluster::ChooseSocketDirectory() {
  std::string directory = options_.directory + "/run";
  if (directory.size() + sizeof kSocketName > kMaxSocketPathBytes) {
    directory = absl::StrCat("/tmp/sextant-", account_.uid, "-",
                             absl::Hex(Hash(options_.directory), absl::kZeroPad16));
  }
  RETURN_IF_ERROR(MakePrivate(directory));
  socket_directory_ = directory;
  return absl::OkStatus();
}

absl::Status Cluster::MakeData() {
  if (fs::exists(data_ + "/PG_VERSION")) return absl::OkStatus();
  // Made beside and renamed, so that a half-made one is never taken for whole.
  const std::string made = data_ + ".new";
  std::error_code error;
  fs::remove_all(made, error);
  const std::string initdb = binaries_.directory + "/initdb";
  RETURN_IF_ERROR(RunToEnd(account_, {initdb, "-D", made, "-U", kOwner, "-E", "UTF8", "--locale=C",
                                      "--auth=trust", "--no-sync", "--no-instructions"},
                           options_.directory)
                      .status(),
                  "making the cluster");
  {
    std::ofstream configuration(made + "/postgresql.conf", std::ios::app);
    configuration << "\ninclude 'sextant.conf'\n";
    if (!configuration.flush()) return Errno("write", made + "/postgresql.conf");
  }
  if (options_.durable) {
    RETURN_IF_ERROR(
        RunToEnd(account_, {initdb, "-D", made, "--sync-only"}, options_.directory).status(),
        "syncing the cluster");
  }
  fs::remove_all(data_, error);  // only an empty or unfinished one has no PG_VERSION
  if (rename(made.c_str(), data_.c_str()) != 0) return Errno("rename", made);
  return absl::OkStatus();
}

absl::Status Cluster::WriteAs(const std::string& path, const std::string& text) const {
  const std::string beside = path + ".new";
  std::ofstream file(beside, std::ios::trunc);
  file << text;
  file.close();
  if (!file) return Errno("write", beside);
  if (account_.drop && lchown(beside.c_str(), account_.uid, account_.gid) != 0)
    return Errno("hand over", beside);
  if (chmod(beside.c_str(), 0600) != 0) return Errno("close to others", beside);
  if (rename(beside.c_str(), path.c_str()) != 0) return Errno("rename", beside);
  return absl::OkStatus();
}

absl::Status Cluster::WriteConfiguration() {
  const ClusterSettings settings{
      .socket_directory = socket_directory_,
      .log_directory = options_.directory + "/log",
      .durable = options_.durable,
      .max_connections = options_.max_connections,
      .shared_buffers_bytes = options_.shared_buffers_bytes,
  };
  RETURN_IF_ERROR(WriteAs(data_ + "/sextant.conf", ConfigurationText(settings)));
  return WriteAs(data_ + "/pg_hba.conf", AccessText());
}

pid_t Cluster::pid() const {
  const std::string file = ReadAll(data_ + "/postmaster.pid");
  pid_t pid = 0;
  if (!absl::SimpleAtoi(file.substr(0, file.find('\n')), &pid) || pid <= 0) return 0;
  if (!IsRunning(pid)) return 0;
  // After a reboot or in a new container the number may be anybody's.
  const std::string program = ProgramOf(pid);
  return program == "postgres" || program == "postmaster" ? pid : 0;
}

bool Cluster::Answers() const {
  try {
    Connection connection(Conninfo("postgres"));
    pqxx::nontransaction tx(connection);
    const std::string theirs = tx.exec("SHOW data_directory").at(0).at(0).as<std::string>();
    std::error_code error;
    return fs::equivalent(theirs, data_, error);
  } catch (const std::exception&) {
    return false;
  }
}

std::string Cluster::LogTail() const {
  std::string text = ReadAll(log_);
  if (text.size() > 1500) text.erase(0, text.size() - 1500);
  return std::string(absl::StripAsciiWhitespace(text));
}

absl::Status Cluster::Launch() {
  const absl::Time give_up = absl::Now() + options_.start_timeout;
  pid_t child = 0;
  for (int launches = 0; absl::Now() < give_up;) {
    if (Answers()) {
      started_here_ = started_here_ || child != 0;
      return absl::OkStatus();
    }
    if ((child != 0 && IsRunning(child)) || pid() != 0) {
      absl::SleepFor(kPoll);
      continue;
    }
    if (launches == kMaxLaunches) break;
    if (launches > 0) {
      // After SIGKILL of a postmaster its children may live on for a moment, and hold the old
      // shared memory; and its lock file may name a process that is somebody else by now.
      if (launches > 1) KillAllIn(data_, "postgres");
      unlink((data_ + "/postmaster.pid").c_str());
      absl::SleepFor(absl::Milliseconds(50) * launches);
    }
    unlink(log_.c_str());
    ASSIGN_OR_RETURN(
        child, Spawn(account_, {binaries_.directory + "/postgres", "-D", data_}, data_, log_));
    ++launches;
  }
  return absl::UnavailableError(
      absl::StrCat("PostgreSQL in ", data_, " does not come up; it says: ", LogTail()));
}

absl::Status Cluster::Stop() {
  // Fast, then immediate: the second needs a redo at the next start, and loses nothing either.
  for (const auto& [signal, patience] : {std::pair{SIGINT, absl::Seconds(60)},
                                         std::pair{SIGQUIT, absl::Seconds(20)}}) {
    const pid_t running = pid();
    if (running == 0) return absl::OkStatus();
    if (kill(running, signal) != 0 && errno != ESRCH) return Errno("stop", data_);
    for (const absl::Time give_up = absl::Now() + patience; absl::Now() < give_up;) {
      if (!IsRunning(running)) return absl::OkStatus();
      absl::SleepFor(kPoll);
    }
  }
  return absl::DeadlineExceededError(
      absl::StrCat("PostgreSQL in ", data_, " (process ", pid(), ") does not stop"));
}

std::string Cluster::Conninfo(const std::string& database) const {
  return SocketConninfo(socket_directory_, kOwner, database);
}

std::string Cluster::ReaderConninfo(const std::string& database) const {
  return SocketConninfo(socket_directory_, kReader, database);
}

}  // namespace sextant::store
