// How a service is reached, and as whom: what the `sextant` command and workers are told by flags and
// environment. docs/security.md has the rules.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/endpoint/token.h"

namespace sextant::endpoint {

// A value and what it was given by, which errors begin with: "--ca", "SEXTANT_CA".
struct Given {
  std::string value;
  std::string by;
  bool empty() const { return value.empty(); }
};

struct Options {
  std::string address;   // "host:port", "https://host:port", "tls://host:port", "unix:///path" or "/path"
  Given token;           // the token's text
  Given token_file;      // goes before `token`
  Given ca, cert, key;   // PEM files: who signed the service's certificate; one's own certificate, its key
  bool insecure_token = false;   // send the token unencrypted, in so many words
};

// Fills in what no flag gave from SEXTANT_TOKEN, SEXTANT_TOKEN_FILE, SEXTANT_CA, SEXTANT_CERT and SEXTANT_KEY.
// A flag for the token hides both variables; of the two the file goes first.
Options WithEnvironment(Options options,
                        const std::function<std::optional<std::string>(const std::string&)>& environment);

// Files were read and found right. Copied freely; copies share the token.
class Endpoint {
 public:
  // INVALID_ARGUMENT names what is wrong with the address or a file, and the remedy; also when the token
  // would leave this machine unencrypted.
  static absl::StatusOr<Endpoint> Make(const Options& options);

  const std::string& address() const { return address_; }   // as it was written
  const std::string& target() const { return target_; }     // as gRPC takes it
  const std::string& host() const { return host_; }         // of TCP, without brackets
  const std::string& port() const { return port_; }
  bool encrypted() const { return encrypted_; }
  bool tcp() const { return !port_.empty(); }
  // PEM texts; empty: the system's authorities, no certificate of one's own.
  const std::string& ca() const { return ca_; }
  const std::string& cert() const { return cert_; }
  const std::string& key() const { return key_; }
  // Null: calls carry no token.
  const std::shared_ptr<Token>& token() const { return token_; }

 private:
  Endpoint() = default;
  absl::Status ParseAddress(const std::string& address);
  absl::Status ReadFiles(const Options& options);

  std::string address_, target_, host_, port_;
  std::string ca_, cert_, key_;
  bool encrypted_ = false;
  std::shared_ptr<Token> token_;   // shared with the channels that send it
};

}  // namespace sextant::endpoint
