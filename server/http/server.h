// An HTTP/1.1 server: a few threads, any number of connections, none of which holds a thread.
#pragma once

#include <openssl/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/http/exchange.h"

namespace sextant::http {

class Server {
 public:
  struct Options {
    int threads = 2;
    size_t max_connections = 4096;         // more are closed at once
    uint32_t max_header_bytes = 16 << 10;
    uint64_t max_body_bytes = 64 << 20;
    double header_s = 10;                  // from the first byte awaited to the end of the header
    double body_s = 120;
    double idle_s = 75;                    // between requests of one connection
    double write_s = 30;                   // without progress of a piece
    double heartbeat_s = 15;
    // Asked at every connection, for OpenSSL's context with certificates and verification set: a reference
    // that becomes the connection's. Empty: plain HTTP.
    std::function<SSL_CTX*()> tls;
    // Asked with the head of every request, before its body is read and before any handler: the one
    // place where hosts, origins and credentials are checked. The answer for a refusal; status 0: go on.
    std::function<Response(const Request& head)> admit;
  };

  // Listens on "host:port" (an address, not a name; port 0: any free one). `handler` is called on the
  // server's threads and must not block. FAILED_PRECONDITION: the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const std::string& host, int port,
                                                       Handler handler, Options options);
  ~Server();   // Stop

  int port() const;

  // Takes no new connection, and no further request on the present ones. Answers go on.
  void Drain();
  // Drains, gives open exchanges `grace_s` to end, cuts the rest, ends the threads.
  void Stop(double grace_s = 3);

 private:
  class Listener;
  Server();
  std::unique_ptr<Listener> listener_;
};

}  // namespace sextant::http
