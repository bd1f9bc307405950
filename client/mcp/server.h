// The MCP server, without its transports. It is a client of the service: over gRPC's in-process channel in
// sextantd, over the command line's own channel in `sextant mcp`.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/mcp/pool.h"
#include "client/mcp/protocol.h"
#include "client/mcp/scope.h"
#include "client/mcp/tool.h"

namespace sextant::mcp {

// Thread-safe. docs/mcp.md.
class Server {
 public:
  struct Options {
    std::string version;
    bool local = false;    // clients are this machine's user: they may name files here
    int threads = 8;
    size_t most_queued = 256;
  };
  // How a message is answered. Called from any thread.
  struct Reply {
    // A notification before the answer; null: the transport has no place for one.
    std::function<void(const Json& notification)> notify;
    // Once: the response and HTTP's status for it; null: nothing is answered (a notification, or a request
    // that was cancelled).
    std::function<void(const Json& response, int status)> finish;
  };

  Server(std::shared_ptr<grpc::Channel> channel, Options options);
  ~Server();   // cancels what is under way and waits for it

  // Takes one message, a JSON object. `peer` tells apart clients that number their requests alike (a
  // session, a process). Cancelling the scope it returns ends the request; null: it has ended.
  std::shared_ptr<Scope> Handle(Json message, Scope::Metadata metadata, const std::string& peer,
                                Reply reply);

 private:
  struct Request;   // server.cc
  using Handler = void (Server::*)(std::shared_ptr<Request>);

  void Dispatch(std::shared_ptr<Request> request);
  template <typename Work>
  void Guard(const std::shared_ptr<Request>& request, Work work);
  void InPool(std::shared_ptr<Request> request, std::function<void()> work);
  void Cancelled(const Json& message, const std::string& peer);

  void Initialize(std::shared_ptr<Request> request);
  void Discover(std::shared_ptr<Request> request);
  void Ping(std::shared_ptr<Request> request);
  void ListTools(std::shared_ptr<Request> request);
  void CallTool(std::shared_ptr<Request> request);
  void ListResources(std::shared_ptr<Request> request);
  void ListTemplates(std::shared_ptr<Request> request);
  void ReadResource(std::shared_ptr<Request> request);
  void GetTask(std::shared_ptr<Request> request);
  void UpdateTask(std::shared_ptr<Request> request);
  void CancelTask(std::shared_ptr<Request> request);
  void Listen(std::shared_ptr<Request> request);

  const std::shared_ptr<grpc::Channel> channel_;   // gRPC's own type
  const std::unique_ptr<v1::Sextant::Stub> stub_;
  const Options options_;
  const Json tools_;
  absl::Mutex mutex_;
  std::map<std::string, std::weak_ptr<Request>> open_ ABSL_GUARDED_BY(mutex_);   // by peer and id
  int requests_ ABSL_GUARDED_BY(mutex_) = 0;
  Pool pool_;
};

}  // namespace sextant::mcp
