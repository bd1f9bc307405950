// The gRPC server: services, health, reflection, addresses, limits.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/rpc/byte_streams.h"
#include "server/rpc/call.h"
#include "server/rpc/executor.h"
#include "server/rpc/metrics.h"
#include "server/rpc/sextant_service.h"
#include "server/rpc/streams.h"
#include "server/rpc/workers_service.h"
#include "server/store/trace_chunks.h"
#include "server/tls/certificates.h"

namespace sextant::rpc {

// Borrows the rooms, which outlive it. Not moved once made.
class Server {
 public:
  struct Rooms {
    store::JobStore* jobs;
    store::JobReads* reads;
    store::BlobStore* blobs;
    store::QueryRunner* query;
    store::TraceStore* traces;
    analysis::Analysis* analysis;
    dispatch::Engine* engine;
    dispatch::WatchHub* watches;
    dispatch::WorkerHub* workers;
    store::TokenStore* tokens;
    store::QuotaStore* quotas;
    store::AuditStore* audit;
    access::Access* access;
    access::Ledger* ledger;
  };
  struct Options {
    std::vector<std::string> listen;   // server/rpc/addresses.h; at least one
    bool anywhere = false;             // --insecure-listen-anywhere
    tls::Certificates* certificates = nullptr;   // TLS on TCP ports; borrowed; null: none
    int quick_threads = 12;
    int slow_threads = 4;
    size_t max_queued_calls = 20'000;
    int max_stream_threads = 128;      // uploads and downloads at once; more get RESOURCE_EXHAUSTED
    absl::Duration upload_idle = absl::Seconds(60);   // without a message; then DEADLINE_EXCEEDED
    absl::Duration health_every = absl::Seconds(1);
  };

  // Listens; calls are answered from then on. INVALID_ARGUMENT, FAILED_PRECONDITION name the address.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Rooms rooms,
                                                       v1::ServiceDescription description,
                                                       Options options);
  ~Server();   // Stop

  // Ends streams, lets unary calls finish for a moment, then cancels what is left.
  void Stop();

  // For what is served beside the methods: calls `done` with OK when whoever brought this Authorization
  // header may read, and not too often, at once or from another thread.
  void AdmitReader(const std::string& authorization, const std::string& peer,
                   std::function<void(const absl::Status&)> done);

  // Whether it is known who sends the request that is to become a call of `method`, before it is read: calls
  // `done` as AdmitReader does. A refusal is counted and noted as one of the method. `method` lives as long as
  // the program.
  void Identify(const std::string& authorization, const std::string& peer, absl::string_view method,
                std::function<void(const absl::Status&)> done);

  // A channel to this server that leaves neither the process nor its limits behind.
  std::shared_ptr<grpc::Channel> InProcess();
  // Adds to what DescribeService says of where the service is: "http", "mcp", …
  void Announce(const std::string& name, const std::string& address) {
    sextant_.Announce(name, address);
  }

  // As a client takes them, with the ports the system chose: "unix:/path", "127.0.0.1:7070",
  // "tls://0.0.0.0:7070".
  const std::vector<std::string>& addresses() const { return addresses_; }
  Metrics* metrics() { return &metrics_; }

 private:
  Server(Rooms rooms, v1::ServiceDescription description, Options options);
  absl::Status Listen();
  // Runs `look` here where it does not ask the database.
  void Look(const access::Credentials& credentials, std::function<void()> look,
            const std::function<void(const absl::Status&)>& done);
  Metrics::Sample Sample();
  // SERVING while the database answers. Ends streams whose token does not hold any more.
  void WatchHealth();

  const Rooms rooms_;
  const Options options_;
  const uint64_t max_message_bytes_;
  Streams streams_;
  ByteStreams bytes_;
  Metrics metrics_;
  const Door door_;
  Executor quick_;
  Executor slow_;
  SextantService sextant_;
  WorkersService workers_;
  std::vector<std::string> addresses_;
  std::vector<std::string> sockets_;   // Unix sockets, removed at the end
  std::vector<std::shared_ptr<grpc::ServerCredentials>> credentials_;   // of ports; outlive server_
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread health_;
};

}  // namespace sextant::rpc
