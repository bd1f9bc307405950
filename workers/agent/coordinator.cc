#include "workers/agent/coordinator.h"

#include <grpcpp/grpcpp.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/endpoint/channel.h"
#include "client/endpoint/look.h"
#include "proto/status/status.h"
#include "sextant/v1/sextant.grpc.pb.h"
#include "sextant/v1/worker.grpc.pb.h"

namespace sextant::agent {
namespace {

constexpr double kLookTimeoutS = 3;
constexpr int kMaxReceiveBytes = 256 << 20;  // a restart may hand many assignments at once

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

// Two channels, so that a large upload never holds up a heartbeat. `number` keeps gRPC from
// sharing one connection between them.
std::shared_ptr<grpc::Channel> OpenChannel(const endpoint::Endpoint& endpoint, const AgentTimes& times,
                                           int number) {
  grpc::ChannelArguments arguments;
  arguments.SetInt("sextant.channel", number);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const int first_ms = static_cast<int>(times.reconnect.first.count());
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, first_ms);
  // Calls fail at once while the channel waits, and then wait themselves: half the time is its share.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   static_cast<int>(times.reconnect.most.count()) / 2);
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  arguments.SetMaxSendMessageSize(-1);
  return endpoint::OpenChannel(endpoint, arguments);
}

class GrpcAttachStream : public AttachStream {
 public:
  explicit GrpcAttachStream(v1::Workers::Stub& stub) : stream_(stub.Attach(&context_)) {}
  bool Write(const v1::WorkerState& state) override { return stream_->Write(state); }
  bool Read(v1::DesiredState* desired) override { return stream_->Read(desired); }
  void Cancel() override { context_.TryCancel(); }
  absl::Status Finish() override { return FromGrpc(stream_->Finish()); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerState, v1::DesiredState>> stream_;
};

}  // namespace

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return true;
    default:
      return false;
  }
}

struct Coordinator::Ports {
  std::unique_ptr<v1::Workers::Stub> stream;
  std::unique_ptr<v1::Workers::Stub> workers;
  std::unique_ptr<v1::Sextant::Stub> clients;
};

Coordinator::Coordinator(endpoint::Endpoint endpoint, const AgentLimits& limits, const AgentTimes& times)
    : endpoint_(std::move(endpoint)), limits_(limits), times_(times), ports_(std::make_unique<Ports>()) {
  ports_->stream = v1::Workers::NewStub(OpenChannel(endpoint_, times, 0));
  const std::shared_ptr<grpc::Channel> bulk = OpenChannel(endpoint_, times, 1);
  ports_->workers = v1::Workers::NewStub(bulk);
  ports_->clients = v1::Sextant::NewStub(bulk);
}

Coordinator::~Coordinator() = default;

std::unique_ptr<AttachStream> Coordinator::Attach() {
  return std::make_unique<GrpcAttachStream>(*ports_->stream);
}

absl::Status Coordinator::Explain(const absl::Status& ended) const {
  if (absl::IsUnavailable(ended)) {
    const absl::Status looked = endpoint::Look(endpoint_, kLookTimeoutS).status;
    return absl::IsFailedPrecondition(looked) ? looked : ended;
  }
  if (absl::IsUnauthenticated(ended) || absl::IsPermissionDenied(ended))
    return absl::Status(ended.code(),
                        absl::StrCat(ended.message(),
                                     "; a worker's has scope worker, and its --token-file is read again when it changes"));
  return ended;
}

absl::Status Coordinator::GetBlob(const std::string& digest,
                                  const std::function<absl::Status(absl::string_view)>& piece) {
  grpc::ClientContext context;
  v1::GetBlobRequest request;
  request.set_digest(digest);
  auto reader = ports_->clients->GetBlob(&context, request);
  v1::GetBlobResponse response;
  absl::Status taken;
  while (taken.ok() && reader->Read(&response)) taken = piece(response.data());
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  return taken.ok() ? FromGrpc(status) : taken;
}

absl::Status Coordinator::UploadBlobs(const std::vector<BlobRange>& blobs) {
  if (blobs.empty()) return absl::OkStatus();
  const auto deadline = std::chrono::system_clock::now() + times_.call_deadline;
  v1::FindMissingBlobsRequest find;
  for (const BlobRange& blob : blobs) find.add_digests(blob.digest);
  v1::FindMissingBlobsResponse found;
  grpc::ClientContext find_context;
  find_context.set_deadline(deadline);
  RETURN_IF_ERROR(FromGrpc(ports_->clients->FindMissingBlobs(&find_context, find, &found)));
  std::set<std::string> missing(found.missing().begin(), found.missing().end());
  if (missing.empty()) return absl::OkStatus();

  grpc::ClientContext context;
  v1::UploadBlobsResponse response;
  auto writer = ports_->clients->UploadBlobs(&context, &response);
  bool open = true;
  for (const BlobRange& blob : blobs) {
    if (!open || missing.erase(blob.digest) == 0) continue;
    uint64_t sent = 0;
    bool first = true;
    auto send = [&](std::string_view piece) {
      v1::UploadBlobsRequest request;
      if (first) {
        request.set_digest(blob.digest);
        request.set_size_bytes(blob.size_bytes);
      }
      first = false;
      sent += piece.size();
      request.set_data(piece.data(), piece.size());
      request.set_last(sent == blob.size_bytes);
      open = writer->Write(request);
      return open ? absl::OkStatus() : absl::UnavailableError("the stream ended");
    };
    const absl::Status read =
        blob.size_bytes == 0 ? send("") : ReadPieces(blob.fd, blob.offset, blob.size_bytes, send);
    if (!read.ok() && open) {
      context.TryCancel();
      writer->Finish();
      return read;
    }
  }
  if (open) writer->WritesDone();
  return FromGrpc(writer->Finish());
}

absl::StatusOr<v1::TraceReceipt> Coordinator::UploadTrace(const v1::PassRef& pass,
                                                          const std::vector<BlobRange>& chunks) {
  grpc::ClientContext context;
  v1::TraceReceipt receipt;
  auto writer = ports_->workers->UploadTrace(&context, &receipt);
  bool open = true;
  bool first = true;
  for (const BlobRange& chunk : chunks) {
    v1::TraceUpload upload;
    if (first) *upload.mutable_pass() = pass;
    first = false;
    upload.set_digest(chunk.digest);
    std::string* bytes = upload.mutable_chunk();
    bytes->reserve(chunk.size_bytes);
    const absl::Status read =
        ReadPieces(chunk.fd, chunk.offset, chunk.size_bytes, [bytes](std::string_view piece) {
          bytes->append(piece);
          return absl::OkStatus();
        });
    if (!read.ok()) {
      context.TryCancel();
      writer->Finish();
      return read;
    }
    open = writer->Write(upload);
    if (!open) break;
  }
  if (open) writer->WritesDone();
  RETURN_IF_ERROR(FromGrpc(writer->Finish()));
  return receipt;
}

absl::StatusOr<v1::CommitPassesResponse> Coordinator::CommitPasses(
    const v1::CommitPassesRequest& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + times_.call_deadline);
  v1::CommitPassesResponse response;
  RETURN_IF_ERROR(FromGrpc(ports_->workers->CommitPasses(&context, request, &response)));
  return response;
}

}  // namespace sextant::agent
