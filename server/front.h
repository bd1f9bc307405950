// What sextantd serves over HTTP: the JSON gateway, MCP, metrics and the web page.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/flags.h"
#include "server/gateway/gateway.h"
#include "server/gateway/mcp_endpoint.h"
#include "server/http/files.h"
#include "server/http/guard.h"
#include "server/http/router.h"
#include "server/http/server.h"
#include "server/rpc/server.h"

namespace sextant {

// Made by main once the gRPC server serves; borrows it.
class Front {
 public:
  // With port 0 the port of last time is taken again where it is free, so that addresses that were
  // written down stay true. Announces its addresses to `service`. HTTPS with `certificates`, which are
  // borrowed; null: HTTP.
  static absl::StatusOr<std::unique_ptr<Front>> Start(rpc::Server* service, const Flags& flags,
                                                      tls::Certificates* certificates);

  const std::string& address() const { return address_; }   // "http://127.0.0.1:7378"

  // First Drain, then the gRPC server's Stop, which ends what is under way, then the destructor.
  void Drain() { http_->Drain(); }
  ~Front();

 private:
  Front(rpc::Server* service, const Flags& flags, tls::Certificates* certificates);
  absl::Status Listen(const Flags& flags);
  void AddRoutes(rpc::Server* service);
  // The one place where a request is let in: its Host, Origin, and whose it is. What a token allows is
  // the service's to judge: the gateway hands the Authorization header on.
  http::Response Admit(const http::Request& request) const;

  tls::Certificates* const certificates_;
  const http::Guard guard_;
  const bool anyone_;          // also other users of this machine
  http::Files page_;
  http::Router router_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::unique_ptr<gateway::McpEndpoint> mcp_;
  std::unique_ptr<http::Server> http_;
  std::string address_;
};

}  // namespace sextant
