#include "server/rpc/workers_service.h"

#include "proto/status/status.h"
#include "server/rpc/attach_call.h"
#include "server/rpc/calls.h"
#include "server/rpc/check.h"
#include "server/trace/ingest.h"

namespace sextant::rpc {

grpc::ServerBidiReactor<v1::WorkerState, v1::DesiredState>* WorkersService::Attach(
    grpc::CallbackServerContext* context) {
  return AttachCall::Begin(
      {rooms_.workers, rooms_.engine, rooms_.quick, rooms_.streams, rooms_.metrics});
}

grpc::Status WorkersService::UploadTrace(grpc::ServerContext* context,
                                         grpc::ServerReader<v1::TraceUpload>* reader,
                                         v1::TraceReceipt* response) {
  return Timed("UploadTrace", rooms_.metrics, [&]() -> absl::Status {
    std::unique_ptr<trace::Ingest> ingest;
    v1::TraceUpload message;
    while (reader->Read(&message)) {
      if (ingest == nullptr) {
        if (message.pass().pass_id() <= 0)
          return absl::InvalidArgumentError("pass: required in the first message");
        ASSIGN_OR_RETURN(ingest, trace::Ingest::Begin(rooms_.traces, limits_));
      }
      RETURN_IF_ERROR(ingest->Add(message.chunk(), message.digest()));
    }
    if (context->IsCancelled()) return absl::CancelledError("the upload broke off; send it again");
    if (ingest == nullptr) return absl::InvalidArgumentError("chunk: no chunk was sent");
    ASSIGN_OR_RETURN(*response, ingest->Finish());
    rooms_.metrics->Stored(*response);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* WorkersService::CommitPasses(grpc::CallbackServerContext* context,
                                                       const v1::CommitPassesRequest* request,
                                                       v1::CommitPassesResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  auto answer = [=, metrics = rooms_.metrics, began = absl::Now()](const absl::Status& status) {
    metrics->Called("CommitPasses", status, absl::Now() - began);
    reactor->Finish(ToGrpc(status));
  };
  if (const absl::Status checked = Check(limits_, *request); !checked.ok()) {
    answer(checked);
    return reactor;
  }
  const bool taken = commits_.Add(
      request, [=, metrics = rooms_.metrics](const dispatch::WorkerHub::Committed& committed) {
        if (committed.ok()) {
          *response = *committed;
          for (const auto& outcome : response->outcomes()) metrics->Committed(outcome.outcome());
        }
        answer(committed.status());
      });
  if (!taken) answer(Overloaded());
  return reactor;
}

}  // namespace sextant::rpc
