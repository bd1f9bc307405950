// The workers' port. Attached workers hold no thread; an upload of a trace holds one.
#pragma once

#include <grpcpp/grpcpp.h>

#include "sextant/v1/worker.grpc.pb.h"
#include "server/dispatch/engine.h"
#include "server/dispatch/worker_hub.h"
#include "server/rpc/attach_call.h"
#include "server/rpc/call.h"
#include "server/rpc/commit_queue.h"
#include "server/rpc/executor.h"
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
  };
  // At most `max_commits` requests wait to be committed.
  WorkersService(Rooms rooms, Door door, Executor* quick, Streams* streams, v1::ServiceLimits limits,
                 size_t max_commits)
      : rooms_(rooms),
        attach_rooms_({rooms.workers, rooms.engine}),
        door_(door),
        quick_(quick),
        streams_(streams),
        limits_(std::move(limits)),
        commits_(rooms.workers, rooms.engine, quick, max_commits) {}

  grpc::ServerBidiReactor<v1::WorkerState, v1::DesiredState>* Attach(
      grpc::CallbackServerContext* context) override;
  grpc::Status UploadTrace(grpc::ServerContext* context,
                           grpc::ServerReader<v1::TraceUpload>* reader,
                           v1::TraceReceipt* response) override;
  grpc::ServerUnaryReactor* CommitPasses(grpc::CallbackServerContext* context,
                                         const v1::CommitPassesRequest* request,
                                         v1::CommitPassesResponse* response) override;

 private:
  const Behind<Rooms> rooms_;
  const Behind<AttachCall::Rooms> attach_rooms_;
  const Door door_;
  Executor* const quick_;
  Streams* const streams_;
  const v1::ServiceLimits limits_;
  CommitQueue commits_;
};

}  // namespace sextant::rpc
