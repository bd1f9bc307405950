// What a private cluster is set to: its configuration files, and what is done once inside it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace sextant::store {

struct ClusterSettings {
  std::string socket_directory;
  std::string log_directory;
  bool durable = true;             // false: no fsync at all; for tests
  int max_connections = 64;
  int64_t shared_buffers_bytes = 0;  // 0: a sixteenth of the memory, 64 MiB … 1 GiB
};

// Name of the superuser, of the database, and of the role that Query runs as.
inline constexpr char kOwner[] = "sextant";
inline constexpr char kDatabase[] = "sextant";
inline constexpr char kReader[] = "sextant_reader";

std::string ConfigurationText(const ClusterSettings& settings);
std::string AccessText();  // pg_hba.conf

// Roles, the closed doors of template1, the database; in this order, each only when missing, so that
// an interrupted run is completed by the next. `conninfo` reaches database "postgres".
absl::Status SetUp(const std::string& conninfo, const std::string& conninfo_template1);

// A libpq connection string for a cluster on a Unix socket.
std::string SocketConninfo(const std::string& socket_directory, const std::string& user,
                           const std::string& database);

}  // namespace sextant::store
