// A sandbox and a backend whose behaviour the test writes, for the worker's tests.
#pragma once

#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "workers/agent/machine.h"
#include "workers/backends/backend.h"
#include "workers/sandbox/sandbox.h"

namespace sextant::agent {

inline v1::ExitReport Exit(int code) {
  v1::ExitReport exit;
  exit.set_verdict(v1::EXITED);
  exit.set_exit_code(code);
  return exit;
}

inline void WriteFile(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

// The "program" runs inside Wait, on the pass's thread.
class FakeRunning : public sandbox::Running {
 public:
  using Program = std::function<v1::ExitReport(const sandbox::RunSpec&, FakeRunning&)>;

  FakeRunning(sandbox::RunSpec spec, Program program)
      : spec_(std::move(spec)), program_(std::move(program)), started_(NowUnixNs()) {}
  uint64_t started_unix_ns() const override { return started_; }
  uint64_t started_monotonic_ns() const override { return 1; }
  v1::ExitReport Wait() override { return program_(spec_, *this); }
  void Kill(const std::string& reason) override {
    if (!killing_.exchange(true)) {
      reason_ = reason;
      killed_.Notify();
    }
  }

  // For programs: waits to be killed and ends as the real sandbox would say.
  v1::ExitReport UntilKilled() {
    killed_.WaitForNotification();
    v1::ExitReport exit;
    exit.set_verdict(v1::KILLED);
    exit.set_detail(reason_);
    return exit;
  }

 private:
  const sandbox::RunSpec spec_;
  const Program program_;
  const uint64_t started_;
  std::atomic<bool> killing_{false};
  std::string reason_;  // written before killed_
  absl::Notification killed_;
};

class FakeSandbox : public sandbox::Sandbox {
 public:
  explicit FakeSandbox(FakeRunning::Program program) : program_(std::move(program)) {}
  std::string Description() const override { return "fake"; }
  absl::StatusOr<std::unique_ptr<sandbox::Running>> Start(const sandbox::RunSpec& spec) override {
    return std::make_unique<FakeRunning>(spec, program_);
  }

 private:
  const FakeRunning::Program program_;
};

// Named "fake"; its trace is two texts that are no real chunks, which only the coordinator checks.
class FakeBackend : public backends::Backend {
 public:
  std::string Name() const override { return "fake"; }
  v1::BackendOffer Probe() const override {
    v1::BackendOffer offer;
    offer.set_name(Name());
    offer.set_available(true);
    offer.set_tool_digest("abcd");
    return offer;
  }
  absl::StatusOr<backends::LaunchPlan> Prepare(const v1::Assignment& assignment) const override {
    backends::LaunchPlan plan;
    plan.argv = {"program"};
    plan.env["FAKE_RESULTS"] = "/results";
    return plan;
  }
  absl::StatusOr<backends::Collected> Collect(const backends::RunRecord& run) const override {
    if (!std::filesystem::exists(run.results_dir / "trace")) {
      return absl::FailedPreconditionError("the program recorded nothing");
    }
    backends::Collected collected;
    collected.chunks = {"first chunk", "second chunk"};
    collected.events = 2;
    collected.clock_hz = 3e9;
    return collected;
  }
};

}  // namespace sextant::agent
