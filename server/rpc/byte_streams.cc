#include "server/rpc/byte_streams.h"

#include <grpc/grpc.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"

namespace sextant::rpc {

absl::StatusOr<std::unique_ptr<ByteStream>> ByteStreams::Open(const access::Caller& caller,
                                                              grpc::ServerContext* context) {
  const bool counted = !caller.token_id().empty() && !caller.IsWorker() && !caller.SeesAll();
  const std::string tenant = counted ? caller.tenant() : "";
  RETURN_IF_ERROR(Take(tenant));
  std::unique_ptr<ByteStream> stream(new ByteStream(this, tenant, context));   // private constructor
  // A stopping server gives streams a moment to end by themselves.
  stream->id_ = streams_->Add([raw = stream.get()](const absl::Status& why) {
    if (!absl::IsUnavailable(why)) raw->End(why);
  });
  streams_->Guard(stream->id_, [access = access_, caller] { return access->StillHolds(caller); },
                  [raw = stream.get()] { return raw->CheckIdle(); });
  return stream;
}

absl::Status ByteStreams::Take(const std::string& tenant) {
  if (tenant.empty()) return absl::OkStatus();
  const int most = std::max(1, options_.threads / 4);
  const int most_of_all = std::max(1, options_.threads - most);
  absl::MutexLock lock(&mutex_);
  if (const auto found = open_.find(tenant); found != open_.end() && found->second >= most)
    return absl::ResourceExhaustedError(
        absl::StrCat("open streams: tenant ", tenant, " has ", most,
                     " uploads and downloads open, as many as one tenant may; try again when one has ended"));
  if (all_open_ >= most_of_all)
    return absl::ResourceExhaustedError(
        absl::StrCat("open streams: tenants have ", most_of_all,
                     " uploads and downloads open, as many as the coordinator takes of them; try again later"));
  ++open_[tenant];
  ++all_open_;
  return absl::OkStatus();
}

void ByteStreams::GiveBack(const std::string& tenant) {
  if (tenant.empty()) return;
  absl::MutexLock lock(&mutex_);
  --all_open_;
  if (const auto found = open_.find(tenant); --found->second == 0) open_.erase(found);
}

ByteStream::ByteStream(ByteStreams* all, std::string tenant, grpc::ServerContext* context)
    : all_(all), tenant_(std::move(tenant)), context_(context) {}

ByteStream::~ByteStream() {
  all_->streams_->Remove(id_);
  all_->GiveBack(tenant_);
}

void ByteStream::End(const absl::Status& why) {
  {
    absl::MutexLock lock(&mutex_);
    if (!ended_.ok()) return;
    ended_ = why;
  }
  // TryCancel with a status: the other end learns why.
  grpc_call_cancel_with_status(context_->c_call(), static_cast<grpc_status_code>(why.code()),
                               std::string(why.message()).c_str(), nullptr);
}

absl::Status ByteStream::CheckIdle() const {
  absl::MutexLock lock(&mutex_);
  if (absl::Now() - waits_since_ < all_->options_.idle) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat("the upload brought no message for ",
                                                  absl::FormatDuration(all_->options_.idle),
                                                  "; begin again with what is missing"));
}

}  // namespace sextant::rpc
