// What a stream still has to send: a bounded queue in front of gRPC's one write at a time, and an
// end that waits for it.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include <grpcpp/support/status.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/rpc/status.h"

namespace sextant::rpc {

// Shared by the stream's reactor, which gRPC deletes in its own time, and by the hub's callback,
// which may outlive it by a moment: hence held by shared_ptr. `Reactor` has StartWrite(const
// Message*) and Finish(grpc::Status). Thread-safe; gRPC does not call back from StartWrite or
// Finish, so both are called under the lock.
template <typename Message, typename Reactor>
class Outgoing {
 public:
  Outgoing(Reactor* reactor, size_t max_queued) : reactor_(reactor), max_queued_(max_queued) {}

  // False: too much is queued, or the stream ends. `message` is dropped then, and everything after
  // it until GoOn, unless it is `passing`: not worth coming back for.
  bool Push(const Message& message, bool passing = false) {
    absl::MutexLock lock(&mutex_);
    if (end_ || missed_) return false;
    if (queue_.size() >= max_queued_) {
      missed_ = !passing;
      return false;
    }
    queue_.push_back(message);
    Next();
    return true;
  }

  // From OnWriteDone. True: everything was sent but what did not fit; GoOn once its sender begins
  // again. The stream is held then.
  bool Written(bool ok) {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    queue_.pop_front();
    if (!ok) {
      queue_.clear();
      if (!end_) end_ = grpc::Status(grpc::StatusCode::CANCELLED, "the stream broke");
    }
    Next();
    if (!queue_.empty() || !missed_ || end_) return false;
    ++held_;
    return true;
  }
  void GoOn() {
    absl::MutexLock lock(&mutex_);
    missed_ = false;
  }

  // Ends the stream once what is queued was sent and nobody holds it; the first end counts.
  void End(grpc::Status status, bool drop_queued = false) {
    absl::MutexLock lock(&mutex_);
    if (drop_queued && !queue_.empty())
      queue_.erase(queue_.begin() + (writing_ ? 1 : 0), queue_.end());
    if (!end_) end_ = std::move(status);
    Next();
  }

  // How it ended; for OnDone.
  absl::Status ended() {
    absl::MutexLock lock(&mutex_);
    return end_ ? FromGrpc(*end_) : absl::OkStatus();
  }

  // While held the stream does not end, so the reactor lives. False: it has ended or is about to.
  bool Hold() {
    absl::MutexLock lock(&mutex_);
    if (end_) return false;
    ++held_;
    return true;
  }
  void Release() {
    absl::MutexLock lock(&mutex_);
    --held_;
    Next();
  }

 private:
  void Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (!queue_.empty()) {
      writing_ = true;
      reactor_->StartWrite(&queue_.front());
    } else if (end_ && held_ == 0) {
      finished_ = true;
      reactor_->Finish(*end_);
    }
  }

  Reactor* const reactor_;   // not touched once finished_
  const size_t max_queued_;
  absl::Mutex mutex_;
  std::deque<Message> queue_ ABSL_GUARDED_BY(mutex_);   // the first one is being written
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool missed_ ABSL_GUARDED_BY(mutex_) = false;
  int held_ ABSL_GUARDED_BY(mutex_) = 0;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::rpc
