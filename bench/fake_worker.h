// A worker that is only a stream: takes what it is given and runs nothing.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "sextant/v1/worker.grpc.pb.h"

namespace sextant::bench {

class FakeWorker : public grpc::ClientBidiReactor<v1::WorkerState, v1::DesiredState> {
 public:
  FakeWorker(v1::Workers::Stub* stub, v1::WorkerInfo info) {
    info.set_incarnation("1");
    *state_.mutable_info() = std::move(info);
    stub->async()->Attach(&context_, this);
    StartWrite(&state_);
    StartRead(&desired_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    {
      std::lock_guard lock(mutex_);
      answered_ = true;
      for (const auto& assignment : desired_.start()) given_.push_back(assignment);
    }
    StartRead(&desired_);
  }
  void OnDone(const grpc::Status&) override { done_ = true; }

  bool answered() {
    std::lock_guard lock(mutex_);
    return answered_ && !done_;
  }
  // All that was given so far, once it is as much as `n`.
  std::vector<v1::Assignment> WaitGiven(size_t n) {
    for (;;) {
      {
        std::lock_guard lock(mutex_);
        if (given_.size() >= n) return given_;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  void End() {
    context_.TryCancel();
    while (!done_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

 private:
  grpc::ClientContext context_;
  v1::WorkerState state_;
  v1::DesiredState desired_;
  std::mutex mutex_;
  bool answered_ = false;
  std::atomic<bool> done_{false};
  std::vector<v1::Assignment> given_;
};

}  // namespace sextant::bench
