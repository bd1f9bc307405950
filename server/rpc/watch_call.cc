#include "server/rpc/watch_call.h"

#include <utility>

#include "proto/status/status.h"
#include "server/job/states.h"
#include "server/rpc/calls.h"

namespace sextant::rpc {

WatchCall::WatchCall(Token, Behind<Rooms> rooms, Around around,
                     const grpc::ServerContextBase& context, const v1::WatchJobRequest& request,
                     absl::Status checked)
    : rooms_(rooms),
      around_(around),
      call_(around.door, context, "WatchJob"),
      request_(request),
      checked_(std::move(checked)),
      outgoing_(std::make_shared<Queue>(this, kMaxQueuedEvents)),
      cursor_(std::make_shared<Cursor>(request.after_seq())),
      stream_(around.streams->Add([outgoing = outgoing_](const absl::Status& why) {
        outgoing->End(ToGrpc(absl::IsUnavailable(why)
                                 ? absl::UnavailableError(
                                       "the coordinator stops; watch again after the last seq seen")
                                 : why),
                      true);
      })) {}

WatchCall* WatchCall::Begin(Behind<Rooms> rooms, Around around,
                            const grpc::ServerContextBase& context,
                            const v1::WatchJobRequest& request, absl::Status checked) {
  WatchCall* const call =
      std::make_unique<WatchCall>(Token{}, rooms, around, context, request, std::move(checked)).release();
  const auto outgoing = call->outgoing_;
  if (outgoing->Hold() && !around.executor->Submit([call] { call->Start(); })) {
    outgoing->End(ToGrpc(Overloaded()));
    outgoing->Release();
  }
  return call;   // OnDone deletes it
}

absl::Status WatchCall::Enter() {
  ASSIGN_OR_RETURN(caller_, call_.Admit(&request_));
  RETURN_IF_ERROR(checked_);
  around_.streams->Guard(stream_, [access = around_.door.access, caller = *caller_] {
    return access->StillHolds(caller);
  });
  return absl::OkStatus();
}

void WatchCall::Start() {
  if (const absl::Status entered = Enter(); !entered.ok()) {
    outgoing_->End(ToGrpc(entered));
    outgoing_->Release();
    return;
  }
  Watch();
  // A job that has ended and has nothing new for this watcher would never call back.
  auto job = rooms().reads->Job(request_.job_id());
  if (!job.ok()) {
    outgoing_->End(ToGrpc(job.status()));
  } else if (job::IsFinal(job->state())) {
    auto events = rooms().reads->EventsAfter({{request_.job_id(), cursor_->load()}}, 1);
    if (!events.ok()) {
      outgoing_->End(ToGrpc(events.status()));
    } else if (events->empty()) {
      outgoing_->End(grpc::Status::OK);
    }
  }
  outgoing_->Release();
}

void WatchCall::Watch() {
  watch_ = rooms().watches->Watch(
      request_.job_id(), cursor_->load(),
      [outgoing = outgoing_, cursor = cursor_](const v1::Event& event, bool last) {
        const bool passing = event.seq() == 0;
        if (!outgoing->Push(event, passing)) return;
        if (!passing) *cursor = event.seq();
        if (last) outgoing->End(grpc::Status::OK);
      });
  rooms().engine->Wake();
}

void WatchCall::OnWriteDone(bool ok) {
  if (outgoing_->Written(ok)) around_.executor->Post([this] { Resume(); });
}

void WatchCall::Resume() {
  rooms().watches->Unwatch(watch_);
  outgoing_->GoOn();
  Watch();
  outgoing_->Release();
}

void WatchCall::OnCancel() { outgoing_->End(grpc::Status::CANCELLED, true); }

void WatchCall::OnDone() {
  call_.End(outgoing_->ended(), &request_, nullptr);
  around_.streams->Remove(stream_);
  if (watch_ != 0)
    around_.executor->Post([watches = rooms().watches, watch = watch_] { watches->Unwatch(watch); });
  delete this;
}

}  // namespace sextant::rpc
