// Follows a job to its end: events as they come, over lost connections and coordinator restarts.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::cli {

struct FollowOptions {
  int64_t job_id = 0;
  int64_t after_seq = 0;
  bool cancel_on_interrupt = true;   // first Ctrl-C cancels the job; else it detaches at once
  bool progress = true;              // draw progress on standard error
  std::function<void(const v1::Event&)> on_event;   // on the main thread; may be empty
};

struct Followed {
  v1::JobInfo job;
  int interrupts = 0;
  bool detached = false;   // the second Ctrl-C: the job may still run
};

// OK when the job has ended or was detached from. UNAVAILABLE after context.reconnect_s without a
// service; the message says how to follow again.
absl::StatusOr<Followed> Follow(Context& context, const FollowOptions& options);

// True for states nothing follows.
bool IsFinal(v1::State state);

}  // namespace sextant::cli
