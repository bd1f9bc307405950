// What the command line and the configuration file say.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/tls/certificates.h"
#include "sextant/v1/types.pb.h"

namespace sextant {

struct Flags {
  std::string state;
  std::string database;          // empty: the embedded cluster
  std::string query_database;    // of Query's role; empty: Query is off with --database
  std::vector<std::string> listen;
  std::string http = "127.0.0.1:0";         // empty: off
  std::vector<std::string> http_hosts;      // names beside addresses; server/http/guard.h
  std::vector<std::string> http_origins;
  std::string web;                          // folder of the page; need not exist
  bool anywhere = false;
  tls::Files tls;                           // certificate empty: TCP ports are not encrypted
  bool require_tokens = false;              // also set when TLS lets other machines in
  std::string log_level = "info";
  std::string log_file;
  std::string pid_file;
  std::vector<std::string> faults;
  v1::ServiceLimits limits;
  double job_days = 90;
  int connections = 24;

  std::string AddressPath() const { return state + "/address"; }
};

// Returns the code to exit with, or −1: go on. Prints help, version and errors itself.
int ParseFlags(int argc, char** argv, Flags* flags);

// "worker_lease_s=5" or "max_run.memory_bytes=1073741824". INVALID_ARGUMENT lists the names there
// are.
absl::Status SetLimit(const std::string& text, v1::ServiceLimits* limits);

}  // namespace sextant
