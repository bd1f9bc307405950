#include "server/store/cluster_setup.h"

#include <unistd.h>

#include <algorithm>
#include <exception>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "server/store/errors.h"
#include "server/store/migrator.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

int64_t SharedBuffers(const ClusterSettings& settings) {
  if (settings.shared_buffers_bytes > 0) return settings.shared_buffers_bytes;
  const int64_t memory = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  return std::clamp<int64_t>(memory / 16, 64 << 20, 1 << 30);
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "''"}}), "'");
}

// What the reader's sessions may use. temp_file_limit only a superuser can set, for good.
constexpr char kReaderLimits[] = R"sql(
ALTER ROLE sextant_reader NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION LOGIN
  CONNECTION LIMIT 8;
ALTER ROLE sextant_reader SET default_transaction_read_only = on;
ALTER ROLE sextant_reader SET statement_timeout = '60s';
ALTER ROLE sextant_reader SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE sextant_reader SET lock_timeout = '2s';
ALTER ROLE sextant_reader SET work_mem = '16MB';
ALTER ROLE sextant_reader SET temp_file_limit = '1GB';
ALTER ROLE sextant_reader SET max_parallel_workers_per_gather = 0;
ALTER ROLE sextant_reader SET search_path = sextant;
)sql";

bool Has(pqxx::transaction_base& tx, absl::string_view catalog, absl::string_view column,
         absl::string_view name) {
  return !tx.exec(absl::StrCat("SELECT 1 FROM ", catalog, " WHERE ", column, " = '", name, "'"))
              .empty();
}

}  // namespace

std::string ConfigurationText(const ClusterSettings& settings) {
  std::string text = absl::StrCat(
      "# Written at every start; put changes into postgresql.conf after the line that includes this.\n",
      "listen_addresses = ''\n",
      "port = 5432\n",
      "unix_socket_directories = ", Quoted(settings.socket_directory), "\n",
      "unix_socket_permissions = 0700\n",
      "max_connections = ", settings.max_connections, "\n",
      "shared_buffers = ", SharedBuffers(settings) >> 20, "MB\n",
      // Redo after a crash reads at most about this much.
      "max_wal_size = 1GB\n"
      "checkpoint_timeout = 15min\n"
      "checkpoint_completion_target = 0.9\n"
      "wal_compression = on\n"
      "wal_level = minimal\n"
      "max_wal_senders = 0\n"
      "random_page_cost = 1.1\n"
      "jit = off\n"
      // The queue is small and hot: its dead rows must go at once.
      "autovacuum_naptime = 5s\n"
      "autovacuum_vacuum_cost_limit = 2000\n"
      "idle_in_transaction_session_timeout = 10min\n"
      "tcp_keepalives_idle = 60\n"
      "logging_collector = on\n",
      "log_directory = ", Quoted(settings.log_directory), "\n",
      "log_filename = 'postgresql-%d.log'\n"
      "log_truncate_on_rotation = on\n"
      "log_rotation_age = 1d\n"
      "log_rotation_size = 0\n"
      // A stranger's failing queries are no news, and must not fill the disk.
      "log_min_messages = warning\n"
      "log_min_error_statement = panic\n"
      "log_line_prefix = '%m [%p] %u@%d '\n");
  if (settings.durable) {
    absl::StrAppend(&text, "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\n");
  } else {
    absl::StrAppend(&text,
                    "fsync = off\nfull_page_writes = off\n"
                    "logging_collector = off\nautovacuum_naptime = 60s\n");
  }
  return text;
}

std::string AccessText() {
  // The socket's directory is 0700: whoever can reach it is the owner of the files, or root.
  return absl::StrCat("# Written at every start.\n", "local all ", kOwner, " trust\n", "local all ",
                      kReader, " trust\n");
}

std::string SocketConninfo(const std::string& socket_directory, const std::string& user,
                           const std::string& database) {
  return absl::StrCat(
      "host='", absl::StrReplaceAll(socket_directory, {{"\\", "\\\\"}, {"'", "\\'"}}),
      "' port=5432 user=", user, " dbname=", database, " connect_timeout=10");
}

absl::Status SetUp(const std::string& conninfo, const std::string& conninfo_template1) {
  try {
    Connection connection(conninfo);
    pqxx::nontransaction tx(connection);
    if (Has(tx, "pg_database", "datname", kDatabase)) return absl::OkStatus();
    if (!Has(tx, "pg_roles", "rolname", kReader)) tx.exec(absl::StrCat("CREATE ROLE ", kReader));
    tx.exec(kReaderLimits);
    {
      // Every database is made from template1, so the doors are closed in all of them.
      Connection to_template1(conninfo_template1);
      pqxx::nontransaction in_template1(to_template1);
      for (const Migration& step : Migrations())
        if (step.name == "doors") in_template1.exec(std::string(step.sql));
      in_template1.exec("REVOKE ALL ON SCHEMA public FROM PUBLIC");
      in_template1.exec("REVOKE ALL ON LANGUAGE plpgsql FROM PUBLIC");
    }
    tx.exec("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC");
    tx.exec(absl::StrCat("CREATE DATABASE ", kDatabase));
    tx.exec(absl::StrCat("REVOKE TEMPORARY ON DATABASE ", kDatabase, " FROM PUBLIC"));
    return absl::OkStatus();
  } catch (...) {
    return Translate(std::current_exception(), "setting up the private database", true).status;
  }
}

}  // namespace sextant::store
