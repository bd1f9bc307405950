// The private PostgreSQL of the embedded default: one data directory, one Unix socket, nobody else.
//
//   DIRECTORY/data   PostgreSQL's own; made at the first start
//   DIRECTORY/run    the socket, mode 0700 (or a directory in /tmp where the path would be too long)
//   DIRECTORY/log    its logs
//
// Never runs as root: started by root it belongs to "postgres" or "nobody", and root still connects.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/store/cluster_binaries.h"
#include "server/store/cluster_process.h"
#include "server/store/cluster_setup.h"

namespace sextant::store {

struct ClusterOptions {
  std::string directory;      // absolute
  PostgresPlaces binaries;    // where postgres and initdb are looked for
  bool durable = true;        // false: no fsync; for tests
  int max_connections = 64;
  int64_t shared_buffers_bytes = 0;  // 0: by the machine's memory
  absl::Duration start_timeout = absl::Seconds(120);  // redo after a crash takes seconds
};

// Used by one thread at a time. The object is not the server: destroying it leaves it running.
class Cluster {
 public:
  // Makes the cluster if there is none, starts it if it does not run, uses it if it does; ready for
  // connections afterwards. FAILED_PRECONDITION: no PostgreSQL found, a data directory of another
  // major version (says how to upgrade), a directory its user cannot reach. UNAVAILABLE: did not
  // come up; the message ends with its own words.
  static absl::StatusOr<std::unique_ptr<Cluster>> Start(ClusterOptions options);

  // Starts it again if it died. Cheap when it runs.
  absl::Status EnsureRunning();

  // Disconnects everybody and waits for the end. What was committed stays; nothing to redo.
  absl::Status Stop();

  // For the service; and for Query, which logs in as the reader.
  std::string Conninfo(const std::string& database = kDatabase) const;
  std::string ReaderConninfo(const std::string& database = kDatabase) const;

  // False: it ran already.
  bool started_here() const { return started_here_; }
  pid_t pid() const;  // of the postmaster; 0: it does not run
  const std::string& directory() const { return options_.directory; }
  const PostgresBinaries& binaries() const { return binaries_; }

 private:
  explicit Cluster(ClusterOptions options);
  absl::Status Locate();             // account, binaries
  absl::Status MakeDirectories();
  absl::Status ChooseSocketDirectory();
  absl::Status MakeData();           // initdb, when missing
  absl::Status WriteConfiguration();
  absl::Status Launch();             // until it answers
  absl::Status MakePrivate(const std::string& directory) const;
  absl::Status WriteAs(const std::string& path, const std::string& text) const;
  bool Answers() const;              // connections are accepted, and it is ours
  std::string LogTail() const;

  const ClusterOptions options_;
  const std::string data_;
  const std::string log_;            // what it says before its log collector runs
  std::string socket_directory_;
  Account account_;
  PostgresBinaries binaries_;
  bool started_here_ = false;
};

}  // namespace sextant::store
