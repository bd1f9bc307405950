#include "server/rpc/long_poll.h"

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"
#include "proto/status/status.h"
#include "server/job/states.h"
#include "server/rpc/calls.h"

namespace sextant::rpc {

LongPoll* LongPoll::Begin(Rooms rooms, grpc::CallbackServerContext* context,
                          const v1::GetJobRequest& request, uint32_t max_page_size,
                          v1::GetJobResponse* response) {
  LongPoll* const call = std::make_unique<LongPoll>(
      Token{}, rooms, context, request, max_page_size, response).release();   // OnDone deletes it
  call->Submit();
  return call;
}

LongPoll::LongPoll(Token, Rooms rooms, grpc::CallbackServerContext* context,
                   const v1::GetJobRequest& request, uint32_t max_page_size,
                   v1::GetJobResponse* response)
    : rooms_(rooms),
      context_(context),
      request_(request),
      max_page_size_(max_page_size),
      response_(response),
      began_(absl::Now()),
      deadline_(began_ + absl::Seconds(request.wait_s())) {}

void LongPoll::Submit() {
  if (!rooms_.executor->Submit([this] { Look(); })) End(Overloaded());
}

void LongPoll::Look() {
  if (context_->IsCancelled()) return End(absl::CancelledError("the caller went away"));
  auto job = rooms_.reads->Job(request_.job_id());
  if (!job.ok()) return End(job.status());
  const absl::Time now = absl::Now();
  if (job::IsFinal(job->state()) || now >= deadline_ || rooms_.streams->closed()) {
    auto answer = rooms_.reads->Get(request_, max_page_size_);
    if (answer.ok()) *response_ = *std::move(answer);
    return End(answer.status());
  }
  const absl::Duration pause = std::min(pause_, deadline_ - now);
  pause_ = std::min(pause_ * 1.5, kLongestPause);
  alarm_.Set(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(pause),
             [this](bool) { Submit(); });
}

void LongPoll::End(const absl::Status& status) {
  rooms_.metrics->Called("GetJob", status, absl::Now() - began_);
  Finish(ToGrpc(status));
}

void LongPoll::OnDone() { delete this; }

}  // namespace sextant::rpc
