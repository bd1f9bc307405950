#include "server/rpc/attach_call.h"

#include "absl/time/clock.h"
#include "server/rpc/status.h"

namespace sextant::rpc {
namespace {
constexpr size_t kMaxQueued = 256;   // desired states a worker may leave unread
}

AttachCall::AttachCall(Token, Rooms rooms)
    : rooms_(rooms),
      outgoing_(std::make_shared<Queue>(this, kMaxQueued)),
      stream_(rooms.streams->Add([outgoing = outgoing_] {
        outgoing->End(ToGrpc(absl::UnavailableError("the coordinator stops; attach again")));
      })),
      began_(absl::Now()) {}

AttachCall* AttachCall::Begin(Rooms rooms) {
  AttachCall* const call = std::make_unique<AttachCall>(Token{}, rooms).release();
  call->StartRead(&call->incoming_);
  return call;   // OnDone deletes it
}

void AttachCall::OnReadDone(bool ok) {
  if (!ok) return Close(absl::OkStatus());
  if (!outgoing_->Hold()) return;
  if (rooms_.executor->Submit([this] { Absorb(); })) return;
  outgoing_->Release();
  Close(absl::ResourceExhaustedError("the coordinator is overloaded; attach again with backoff"));
}

void AttachCall::Absorb() {
  absl::Status status;
  if (session_ == 0) {
    auto session = rooms_.workers->Attach(
        incoming_, [outgoing = outgoing_](const v1::DesiredState& desired) {
          if (outgoing->Push(desired)) return true;
          outgoing->End(ToGrpc(absl::ResourceExhaustedError("the worker does not read")), true);
          return false;
        });
    status = session.status();
    if (session.ok()) session_ = *session;
  } else {
    status = rooms_.workers->Report(session_, incoming_);
  }
  if (status.ok()) {
    rooms_.engine->Wake();
  } else {
    outgoing_->End(ToGrpc(status));
  }
  // Read before Release: afterwards the reactor may be gone.
  if (status.ok()) StartRead(&incoming_);
  outgoing_->Release();
}

void AttachCall::OnWriteDone(bool ok) { outgoing_->Written(ok); }

void AttachCall::OnCancel() { outgoing_->End(grpc::Status::CANCELLED, true); }

void AttachCall::Close(const absl::Status& status) { outgoing_->End(ToGrpc(status)); }

void AttachCall::OnDone() {
  rooms_.metrics->Called("Attach", outgoing_->ended(), absl::Now() - began_);
  rooms_.streams->Remove(stream_);
  if (session_ != 0)
    rooms_.executor->Post([workers = rooms_.workers, session = session_] {
      workers->Detach(session);
    });
  delete this;
}

}  // namespace sextant::rpc
