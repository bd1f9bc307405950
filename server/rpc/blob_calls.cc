// The handlers of SextantService that move bytes.
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "server/rpc/calls.h"
#include "server/rpc/check.h"
#include "server/rpc/sextant_service.h"

namespace sextant::rpc {
namespace {

// Where anybody may call, what each says he is has a quota; else tenants have, and who sees all has none.
store::BlobKeeper KeeperFor(const access::Caller& caller, const v1::ServiceLimits& limits,
                            const std::string& submitter) {
  if (caller.open()) return {"", submitter, limits.blob_quota_bytes()};
  if (caller.files().all()) return {"", submitter, 0};
  return {caller.tenant(), submitter, limits.blob_quota_bytes()};
}

}  // namespace

grpc::ServerUnaryReactor* SextantService::FindMissingBlobs(
    grpc::CallbackServerContext* context, const v1::FindMissingBlobsRequest* request,
    v1::FindMissingBlobsResponse* response) {
  return Answer(door_, context, "FindMissingBlobs", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(auto missing, rooms_(caller).blobs->Missing(
        {request->digests().begin(), request->digests().end()}, caller.files()));
    for (std::string& digest : missing) response->add_missing(std::move(digest));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SextantService::ListBlobs(grpc::CallbackServerContext* context,
                                                    const v1::ListBlobsRequest* request,
                                                    v1::ListBlobsResponse* response) {
  return Answer(door_, context, "ListBlobs", quick_, request, response, [=, this](const access::Caller& caller) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    ASSIGN_OR_RETURN(*response, rooms_(caller).blobs->List(*request, caller.reach(), KeeperFor(caller, limits(), "").quota_bytes));
    return absl::OkStatus();
  });
}

namespace {

absl::Status ReceiveBlobs(store::BlobStore* blobs, const access::Caller& caller,
                          const v1::ServiceLimits& limits, ByteStream* stream, grpc::ServerReader<v1::UploadBlobsRequest>* reader,
                          v1::UploadBlobsResponse* response) {
  v1::UploadBlobsRequest message;
  std::unique_ptr<store::BlobWriter> writer;   // of the blob under way
  std::string submitter = "anonymous";
  for (bool first = true; stream->Read(reader, &message); first = false) {
    if (first && !message.submitter().empty()) submitter = message.submitter();
    if (writer == nullptr) {
      if (message.digest().empty())
        return absl::InvalidArgumentError("digest: required in the first message of each blob");
      ASSIGN_OR_RETURN(writer, blobs->Write(message.digest(), message.size_bytes(),
                                            KeeperFor(caller, limits, submitter)));
    } else if (!message.digest().empty()) {
      return absl::InvalidArgumentError(
          "digest: another blob begins before a message with `last` ended the one under way");
    }
    RETURN_IF_ERROR(writer->Write(message.data()));
    if (!message.last()) continue;
    RETURN_IF_ERROR(writer->Finish());
    if (writer->already_there()) {
      response->set_already_there(response->already_there() + 1);
    } else {
      response->set_stored(response->stored() + 1);
      response->set_stored_bytes(response->stored_bytes() + writer->written_bytes());
    }
    writer.reset();
  }
  RETURN_IF_ERROR(stream->ended());
  if (writer != nullptr)
    return absl::InvalidArgumentError("last: the stream ended in the middle of a blob; send it again");
  return absl::OkStatus();
}

}  // namespace

grpc::Status SextantService::UploadBlobs(grpc::ServerContext* context,
                                         grpc::ServerReader<v1::UploadBlobsRequest>* reader,
                                         v1::UploadBlobsResponse* response) {
  return Timed(door_, context, "UploadBlobs", nullptr, [&](const access::Caller& caller, ByteStream& stream) {
    return ReceiveBlobs(rooms_(caller).blobs, caller, limits(), &stream, reader, response);
  });
}

grpc::Status SextantService::GetBlob(grpc::ServerContext* context,
                                     const v1::GetBlobRequest* request,
                                     grpc::ServerWriter<v1::GetBlobResponse>* writer) {
  return Timed(door_, context, "GetBlob", request, [&](const access::Caller& caller, ByteStream&) -> absl::Status {
    RETURN_IF_ERROR(Check(limits(), *request));
    bool first = true;
    return rooms_(caller).blobs->Read(
        caller.files(), request->digest(), request->offset(), request->length(),
        [&](std::string_view data, uint64_t size_bytes) -> absl::Status {
          v1::GetBlobResponse message;
          message.set_data(data.data(), data.size());
          if (first) message.set_size_bytes(size_bytes);
          first = false;
          if (writer->Write(message)) return absl::OkStatus();
          return absl::CancelledError("the caller went away");
        });
  });
}

}  // namespace sextant::rpc
