// What every command is given: where to print, how, and which service is meant. One per run of the
// program, made by main() or a test; used from the main thread.
#pragma once

#include <istream>
#include <memory>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/cli/exit_codes.h"
#include "client/cli/home.h"
#include "client/cli/interrupts.h"
#include "client/cli/service.h"
#include "google/protobuf/message.h"

namespace sextant::cli {

// What the place printed to can show.
struct Terminal {
  bool tty = false;         // cursor movement works: progress is drawn in place
  bool color = false;
  bool unicode = true;
  int width = 100;          // columns
};

class Context {
 public:
  Context(std::ostream& out, std::ostream& err, std::istream& in, Environment environment,
          Interrupts& interrupts)
      : out(out), err(err), in(in), environment(std::move(environment)), interrupts(interrupts) {}

  std::ostream& out;
  std::ostream& err;
  std::istream& in;
  Environment environment;
  Interrupts& interrupts;
  Terminal out_terminal;
  Terminal err_terminal;
  Home home;
  std::string own_executable;
  std::string server;           // --server or SEXTANT_SERVER; empty: the embedded default
  endpoint::Options given;      // how to reach it, beside its address
  bool json = false;
  double reconnect_s = 120;     // how long a lost service is waited for while following a job

  // The embedded default's address, or what the user named.
  std::string address() const { return server.empty() ? home.SocketAddress() : server; }
  // How the service meant is reached. INVALID_ARGUMENT: a local file, or the address, is wrong.
  absl::StatusOr<endpoint::Endpoint> Endpoint() const;
  // The service meant, connected on first use. Endpoint() is OK.
  Service& service();

  // Prints one line of JSON: the message with its field names as in the .proto, bytes as base64.
  void PrintJson(const google::protobuf::Message& message);

  // Say what went wrong on standard error, with the remedy, and return the exit code.
  int Fail(const absl::Status& status);
  int Usage(absl::string_view message);   // the command line, or a local file, is wrong
  void Note(absl::string_view message);   // a line on standard error; silent with --format json

  std::string Bold(absl::string_view text) const;

 private:
  std::unique_ptr<Service> service_;
};

}  // namespace sextant::cli
