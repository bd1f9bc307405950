#include "server/rpc/attach_call.h"

#include "proto/status/status.h"
#include "server/rpc/status.h"

namespace sextant::rpc {
namespace {
constexpr size_t kMaxQueued = 256;   // desired states a worker may leave unread
}

AttachCall::AttachCall(Token, Behind<Rooms> rooms, Around around, const grpc::ServerContextBase& context)
    : rooms_(rooms),
      around_(around),
      call_(around.door, context, "Attach"),
      outgoing_(std::make_shared<Queue>(this, kMaxQueued)),
      stream_(around.streams->Add([outgoing = outgoing_](const absl::Status& why) {
        outgoing->End(ToGrpc(absl::IsUnavailable(why)
                                 ? absl::UnavailableError("the coordinator stops; attach again")
                                 : why));
      })) {}

AttachCall* AttachCall::Begin(Behind<Rooms> rooms, Around around, const grpc::ServerContextBase& context) {
  AttachCall* const call = std::make_unique<AttachCall>(Token{}, rooms, around, context).release();
  call->StartRead(&call->incoming_);
  return call;   // OnDone deletes it
}

void AttachCall::OnReadDone(bool ok) {
  if (!ok) return Close(absl::OkStatus());
  if (!outgoing_->Hold()) return;
  if (around_.executor->Submit([this] { Absorb(); })) return;
  outgoing_->Release();
  Close(absl::ResourceExhaustedError("the coordinator is overloaded; attach again with backoff"));
}

absl::Status AttachCall::Attach() {
  who_.mutable_info()->set_name(incoming_.info().name());
  ASSIGN_OR_RETURN(caller_, call_.Admit(nullptr));
  around_.streams->Guard(stream_, [access = around_.door.access, caller = *caller_] {
    return access->StillHolds(caller);
  });
  ASSIGN_OR_RETURN(session_, rooms().workers->Attach(
      incoming_, [outgoing = outgoing_](const v1::DesiredState& desired) {
        if (outgoing->Push(desired)) return true;
        outgoing->End(ToGrpc(absl::ResourceExhaustedError("the worker does not read")), true);
        return false;
      }));
  return absl::OkStatus();
}

absl::Status AttachCall::Take() {
  if (session_ == 0) return Attach();
  RETURN_IF_ERROR(around_.door.access->StillHolds(*caller_));
  return rooms().workers->Report(session_, incoming_);
}

void AttachCall::Absorb() {
  const absl::Status status = Take();
  if (status.ok()) {
    rooms().engine->Wake();
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
  call_.End(outgoing_->ended(), &who_, nullptr);
  around_.streams->Remove(stream_);
  if (session_ != 0)
    around_.executor->Post([workers = rooms().workers, session = session_] {
      workers->Detach(session);
    });
  delete this;
}

}  // namespace sextant::rpc
