// The workers' port. Attached workers hold no thread; an upload of a trace holds one.
#pragma once

#include <grpcpp/grpcpp.h>

#include "sextant/v1/worker.grpc.pb.h"
#include "server/dispatch/engine.h"
#include "server/dispatch/worker_hub.h"
#include "server/rpc/commit_queue.h"
#include "server/rpc/executor.h"
#include "server/rpc/metrics.h"
#include "server/rpc/streams.h"
#include "server/store/trace_chunks.h"

namespace sextant::rpc {

using CallbackWorkers = v1::Workers::WithCallbackMethod_Attach<
    v1::Workers::WithCallbackMethod_CommitPasses<v1::Workers::Service>>;

class WorkersService final : public CallbackWorkers {
 public:
  struct Rooms {
    dispatch::WorkerHub* workers;
    dispatch::Engine* engine;
    store::TraceStore* traces;
    Executor* quick;
    Streams* streams;
    Metrics* metrics;
  };
  // At most `max_commits` requests wait to be committed.
  WorkersService(Rooms rooms, v1::ServiceLimits limits, size_t max_commits)
      : rooms_(rooms),
        limits_(std::move(limits)),
        commits_(rooms.workers, rooms.engine, rooms.quick, max_commits) {}

  grpc::ServerBidiReactor<v1::WorkerState, v1::DesiredState>* Attach(
      grpc::CallbackServerContext* context) override;
  grpc::Status UploadTrace(grpc::ServerContext* context,
                           grpc::ServerReader<v1::TraceUpload>* reader,
                           v1::TraceReceipt* response) override;
  grpc::ServerUnaryReactor* CommitPasses(grpc::CallbackServerContext* context,
                                         const v1::CommitPassesRequest* request,
                                         v1::CommitPassesResponse* response) override;

 private:
  const Rooms rooms_;
  const v1::ServiceLimits limits_;
  CommitQueue commits_;
};

}  // namespace sextant::rpc
