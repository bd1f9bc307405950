#include "workers/agent/attachment.h"

#include <utility>

#include "absl/time/time.h"
#include "spdlog/spdlog.h"
#include "workers/agent/log.h"

namespace sextant::agent {
namespace {

// A write on a stream that has ended fails at once; one that does not is ended.
constexpr absl::Duration kLastWrite = absl::Seconds(1);

}  // namespace

Attachment::Attachment(Coordinator& coordinator, const AgentTimes& times, Calls calls)
    : coordinator_(coordinator),
      times_(times),
      calls_(std::move(calls)),
      reader_([this] { ReadLoop(); }),
      writer_([this] { WriteLoop(); }) {}

Attachment::~Attachment() {
  std::shared_ptr<AttachStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    stream = stream_;
  }
  if (stream) stream->Cancel();
  write_wakeup_.Wake();
  reconnect_wakeup_.Wake();
  reader_.join();
  writer_.join();
}

void Attachment::Poke() { write_wakeup_.Wake(); }

void Attachment::ReadLoop() {
  Backoff backoff(times_.reconnect), refused(times_.refused);
  absl::StatusCode told = absl::StatusCode::kOk;
  for (;;) {
    std::shared_ptr<AttachStream> stream = coordinator_.Attach();
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) stream->Cancel();
      stream_ = stream;
      fresh_ = true;
      last_received_ = std::chrono::steady_clock::now();
    }
    write_wakeup_.Wake();
    v1::DesiredState desired;
    bool answered = false;
    while (stream->Read(&desired)) {
      {
        absl::MutexLock lock(&mutex_);
        last_received_ = std::chrono::steady_clock::now();
        if (desired.lease_s() > 0) {
          lease_ = std::chrono::nanoseconds(static_cast<int64_t>(desired.lease_s() * 1e9));
        }
      }
      const bool first = !std::exchange(answered, true);
      calls_.desired(std::move(desired));
      desired.Clear();
      if (first) {
        backoff.Reset();
        refused.Reset();
        told = absl::StatusCode::kOk;
        spdlog::info("msg=\"attached\"");
        calls_.attached();
      }
    }
    {
      // Finish must be the last call on the stream. To cancel what has ended would hide why it did.
      absl::MutexLock lock(&mutex_);
      stream_ = nullptr;
      auto out = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !writing_; };
      if (!mutex_.AwaitWithTimeout(absl::Condition(&out), kLastWrite)) {
        stream->Cancel();
        mutex_.Await(absl::Condition(&out));
      }
    }
    absl::Status end = stream->Finish();
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) return;
    }
    // After an answer the coordinator is the right one, and was merely lost.
    if (!answered && told != end.code()) end = coordinator_.Explain(end);
    if (std::exchange(told, end.code()) != end.code()) {
      spdlog::warn("msg=\"not attached; trying again\" code={} error={}", absl::StatusCodeToString(end.code()),
                   Quoted(end.message()));
    }
    const bool somebody_must_act =
        absl::IsUnauthenticated(end) || absl::IsPermissionDenied(end) || absl::IsFailedPrecondition(end);
    reconnect_wakeup_.WaitUntil(std::chrono::steady_clock::now() +
                                (somebody_must_act ? refused : backoff).Next());
  }
}

void Attachment::WriteLoop() {
  for (;;) {
    std::shared_ptr<AttachStream> stream;
    bool first;
    std::chrono::nanoseconds beat;
    bool silent;
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) return;
      stream = stream_;
      first = std::exchange(fresh_, false);
      // A quarter, where a third is asked for: a late thread is still in time.
      beat = lease_.count() > 0 ? lease_ / 4 : std::chrono::nanoseconds(times_.first_heartbeat);
      const std::chrono::nanoseconds patience = lease_.count() > 0 ? lease_ : times_.silence;
      silent = std::chrono::steady_clock::now() - last_received_ > patience;
      writing_ = stream != nullptr;
    }
    // A peer that went away without a word: its connection would hang for minutes.
    if (stream && (silent || !stream->Write(calls_.state(first)))) stream->Cancel();
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
    }
    write_wakeup_.WaitUntil(std::chrono::steady_clock::now() + beat);
  }
}

}  // namespace sextant::agent
