#include "server/rpc/workers_service.h"

#include "proto/status/status.h"
#include "server/rpc/calls.h"
#include "server/rpc/check.h"
#include "server/trace/ingest.h"

namespace sextant::rpc {

grpc::ServerBidiReactor<v1::WorkerState, v1::DesiredState>* WorkersService::Attach(
    grpc::CallbackServerContext* context) {
  return AttachCall::Begin(attach_rooms_, {door_, quick_, streams_}, *context);
}

grpc::Status WorkersService::UploadTrace(grpc::ServerContext* context,
                                         grpc::ServerReader<v1::TraceUpload>* reader,
                                         v1::TraceReceipt* response) {
  return Timed(door_, context, "UploadTrace", nullptr, [&](const access::Caller& caller, ByteStream& stream) -> absl::Status {
    std::unique_ptr<trace::Ingest> ingest;
    v1::TraceUpload message;
    while (stream.Read(reader, &message)) {
      if (ingest == nullptr) {
        if (message.pass().pass_id() <= 0)
          return absl::InvalidArgumentError("pass: required in the first message");
        ASSIGN_OR_RETURN(ingest, trace::Ingest::Begin(rooms_(caller).traces, limits_));
      }
      RETURN_IF_ERROR(ingest->Add(message.chunk(), message.digest()));
    }
    RETURN_IF_ERROR(stream.ended());
    if (context->IsCancelled()) return absl::CancelledError("the upload broke off; send it again");
    if (ingest == nullptr) return absl::InvalidArgumentError("chunk: no chunk was sent");
    ASSIGN_OR_RETURN(*response, ingest->Finish());
    door_.metrics->Stored(*response);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* WorkersService::CommitPasses(grpc::CallbackServerContext* context,
                                                       const v1::CommitPassesRequest* request,
                                                       v1::CommitPassesResponse* response) {
  return Begin(door_, context, "CommitPasses", quick_, request, response,
               [=, this](const access::Caller& caller, const Done& done) {
    if (const absl::Status checked = Check(limits_, *request); !checked.ok()) return done(checked);
    const bool taken = commits_.Add(
        request, [=, metrics = door_.metrics](const dispatch::WorkerHub::Committed& committed) {
          if (committed.ok()) {
            *response = *committed;
            for (const auto& outcome : response->outcomes()) metrics->Committed(outcome.outcome());
          }
          done(committed.status());
        });
    if (!taken) done(Overloaded());
  });
}

}  // namespace sextant::rpc
