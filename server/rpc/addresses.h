// Where the service listens.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sextant::rpc {

struct Address {
  std::string text;          // as gRPC takes it: "127.0.0.1:0", "[::1]:7070", "unix:/path"
  std::string unix_path;     // of a Unix socket
  std::string host;          // of TCP
  bool anywhere = false;     // reachable from other machines
};

// "host:port", "[v6]:port", ":port" (of 127.0.0.1) or "unix:///path". INVALID_ARGUMENT names what is
// wrong with it.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// What makes it right to listen where other machines reach.
struct Reach {
  bool tls = false;        // connections are encrypted, and callers show tokens
  bool anywhere = false;   // --insecure-listen-anywhere: asked for in so many words
};
// INVALID_ARGUMENT when other machines reach the address of `option` ("--listen") and nothing makes that
// right.
absl::Status CheckReach(absl::string_view option, const Address& address, const Reach& reach);

// Removes a socket that nobody answers on. FAILED_PRECONDITION: somebody does, or the file is not a
// socket.
absl::Status ClearStaleSocket(const std::string& path);

// Writes the whole file under another name, then renames it.
absl::Status WriteFileAtomically(const std::string& path, const std::string& text);

}  // namespace sextant::rpc
