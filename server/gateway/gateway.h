// The clients' port as JSON over HTTP. Which methods there are is read from the descriptor of the
// service, so that a new RPC needs no line here:
//   POST /api/sextant.v1.Sextant/GetJob             {"job_id": 7} → the response, or an error
//   GET  /api/sextant.v1.Sextant/WatchJob?job_id=7  server-sent events
//   GET  /api/sextant.v1.Sextant/GetBlob?digest=…   a download
//   GET  /api/openapi.json                          what there is
// docs/gateway.md.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "server/gateway/calls.h"
#include "server/http/router.h"
#include "server/rpc/executor.h"

namespace sextant::gateway {

// Thread-safe. Its exchanges are gone once it is.
class Gateway {
 public:
  // Calls `done` with OK when it is known who sent the request, which is to become a call of `method`, at once or
  // from another thread.
  using Identify = std::function<void(const http::Request&, absl::string_view method,
                                      std::function<void(const absl::Status&)> done)>;

  // `channel` leads to the service, in this process or elsewhere.
  Gateway(std::shared_ptr<grpc::Channel> channel, Identify identify);
  // Waits for calls under way: end the service first, then the gateway, then the HTTP server.
  ~Gateway();

  // Adds the routes, which borrow this.
  void Register(http::Router* router);

 private:
  using Method = google::protobuf::MethodDescriptor;

  void Unary(const Method* method, std::shared_ptr<http::Exchange> exchange);
  void Parse(const Method* method, std::shared_ptr<http::Exchange> exchange);
  void Stream(const Method* method, std::shared_ptr<http::Exchange> exchange);

  const std::shared_ptr<grpc::Channel> channel_;   // gRPC's own type
  const Identify identify_;
  const std::string openapi_;
  rpc::Executor large_;    // parses large bodies off the server's threads
  InFlight in_flight_;
};

}  // namespace sextant::gateway
