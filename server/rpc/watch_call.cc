#include "server/rpc/watch_call.h"

#include "server/job/states.h"
#include "server/rpc/calls.h"

namespace sextant::rpc {

WatchCall::WatchCall(Token, Rooms rooms, const v1::WatchJobRequest& request)
    : rooms_(rooms),
      job_id_(request.job_id()),
      outgoing_(std::make_shared<Queue>(this, kMaxQueuedEvents)),
      cursor_(std::make_shared<Cursor>(request.after_seq())),
      stream_(rooms.streams->Add([outgoing = outgoing_] {
        outgoing->End(ToGrpc(absl::UnavailableError(
                          "the coordinator stops; watch again after the last seq seen")),
                      true);
      })),
      began_(absl::Now()) {}

WatchCall* WatchCall::Begin(Rooms rooms, const v1::WatchJobRequest& request,
                            absl::Status checked) {
  WatchCall* const call = std::make_unique<WatchCall>(Token{}, rooms, request).release();
  const auto outgoing = call->outgoing_;
  if (!checked.ok()) {
    outgoing->End(ToGrpc(checked));
  } else if (outgoing->Hold() && !rooms.executor->Submit([call] { call->Start(); })) {
    outgoing->End(ToGrpc(Overloaded()));
    outgoing->Release();
  }
  return call;   // OnDone deletes it
}

void WatchCall::Start() {
  Watch();
  // A job that has ended and has nothing new for this watcher would never call back.
  auto job = rooms_.reads->Job(job_id_);
  if (!job.ok()) {
    outgoing_->End(ToGrpc(job.status()));
  } else if (job::IsFinal(job->state())) {
    auto events = rooms_.reads->EventsAfter({{job_id_, cursor_->load()}}, 1);
    if (!events.ok()) {
      outgoing_->End(ToGrpc(events.status()));
    } else if (events->empty()) {
      outgoing_->End(grpc::Status::OK);
    }
  }
  outgoing_->Release();
}

void WatchCall::Watch() {
  watch_ = rooms_.watches->Watch(
      job_id_, cursor_->load(),
      [outgoing = outgoing_, cursor = cursor_](const v1::Event& event, bool last) {
        const bool passing = event.seq() == 0;
        if (!outgoing->Push(event, passing)) return;
        if (!passing) *cursor = event.seq();
        if (last) outgoing->End(grpc::Status::OK);
      });
  rooms_.engine->Wake();
}

void WatchCall::OnWriteDone(bool ok) {
  if (outgoing_->Written(ok)) rooms_.executor->Post([this] { Resume(); });
}

void WatchCall::Resume() {
  rooms_.watches->Unwatch(watch_);
  outgoing_->GoOn();
  Watch();
  outgoing_->Release();
}

void WatchCall::OnCancel() { outgoing_->End(grpc::Status::CANCELLED, true); }

void WatchCall::OnDone() {
  rooms_.metrics->Called("WatchJob", outgoing_->ended(), absl::Now() - began_);
  rooms_.streams->Remove(stream_);
  if (watch_ != 0)
    rooms_.executor->Post([watches = rooms_.watches, watch = watch_] { watches->Unwatch(watch); });
  delete this;
}

}  // namespace sextant::rpc
