#include "server/rpc/long_poll.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "proto/status/status.h"
#include "server/job/states.h"

namespace sextant::rpc {

void LongPoll::Begin(Rooms rooms, const access::Caller& caller, grpc::CallbackServerContext* context,
                     const v1::GetJobRequest& request, uint32_t max_page_size,
                     v1::GetJobResponse* response, Done done) {
  // End deletes it.
  std::make_unique<LongPoll>(Token{}, rooms, caller, context, request, max_page_size, response,
                             std::move(done)).release()->Look();
}

LongPoll::LongPoll(Token, Rooms rooms, const access::Caller& caller,
                   grpc::CallbackServerContext* context, const v1::GetJobRequest& request,
                   uint32_t max_page_size, v1::GetJobResponse* response, Done done)
    : rooms_(rooms),
      caller_(caller),
      context_(context),
      request_(request),
      max_page_size_(max_page_size),
      response_(response),
      done_(std::move(done)),
      deadline_(absl::Now() + absl::Seconds(request.wait_s())) {}

void LongPoll::Submit() {
  if (!rooms_.executor->Submit([this] { Look(); })) End(Overloaded());
}

void LongPoll::Look() {
  if (context_->IsCancelled()) return End(absl::CancelledError("the caller went away"));
  if (const absl::Status holds = rooms_.access->StillHolds(caller_); !holds.ok()) return End(holds);
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
  done_(status);
  delete this;
}

}  // namespace sextant::rpc
