// MCP's streamable HTTP: /mcp. docs/mcp.md.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/mcp/server.h"
#include "server/http/router.h"
#include "server/rpc/executor.h"

namespace sextant::gateway {

// Sessions of clients that begin with initialize: names alone, since nothing is kept for them. The least
// lately used ends when there are too many; its client begins another. Thread-safe.
class McpSessions {
 public:
  static constexpr size_t kMost = 10'000;

  std::string Begin();
  bool Touch(const std::string& session);   // false: there is none
  bool End(const std::string& session);     // likewise

 private:
  absl::Mutex mutex_;
  std::unordered_map<std::string, absl::Time> used_ ABSL_GUARDED_BY(mutex_);
};

// Clients of 2026-07-28 are told by what their requests carry, earlier ones by initialize and their session;
// both are served at once. Thread-safe.
class McpEndpoint {
 public:
  // Calls `done` with OK when whoever sent the request may read, at once or from another thread.
  using Admit = std::function<void(const http::Request&, std::function<void(const absl::Status&)> done)>;

  McpEndpoint(std::shared_ptr<grpc::Channel> channel, Admit admit);
  ~McpEndpoint();   // ends what is under way; before the HTTP server

  // Adds the route, which borrows this.
  void Register(http::Router* router);

 private:
  void Take(std::shared_ptr<http::Exchange> exchange);
  void Admitted(std::shared_ptr<http::Exchange> exchange);
  void Post(std::shared_ptr<http::Exchange> exchange);
  void Modern(mcp::Json message, std::shared_ptr<http::Exchange> exchange);
  void Legacy(mcp::Json message, std::shared_ptr<http::Exchange> exchange);
  void Handle(mcp::Json message, std::shared_ptr<http::Exchange> exchange, const std::string& session,
              bool begins, bool ends_with_client);

  const Admit admit_;
  McpSessions sessions_;
  mcp::Server server_;
  rpc::Executor large_;   // parses large bodies off the server's threads
};

}  // namespace sextant::gateway
