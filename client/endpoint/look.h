// What a service shows of itself before any call: why a connection cannot be trusted, in words that gRPC
// does not have.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "client/endpoint/endpoint.h"
#include "proto/certificate/pem.h"

namespace sextant::endpoint {

struct Looked {
  // OK: a connection was made as `endpoint` says, and trusted by both sides; or, unencrypted, the port takes
  // connections and does not speak TLS.
  // UNAVAILABLE: nobody listens, or who does says nothing in time.
  // FAILED_PRECONDITION: TLS where none was wanted or none where it was; who the other is cannot be trusted;
  // or it does not trust us. The message ends with the remedy.
  absl::Status status;
  std::optional<certificate::Certificate> certificate;   // the service's, trusted or not
  std::string protocol;                                  // "TLSv1.3"
};

// Connects once, over TCP alone; takes at most `timeout_s`.
Looked Look(const Endpoint& endpoint, double timeout_s);

}  // namespace sextant::endpoint
