#include "client/cli/follow.h"

#include <algorithm>
#include <deque>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/cli/progress.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(250);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);
constexpr absl::Duration kLongestBackoff = absl::Seconds(3);

// What the watching thread hands to the main thread.
struct Mailbox {
  absl::Mutex mutex;
  std::deque<v1::Event> events ABSL_GUARDED_BY(mutex);
  bool stream_ended ABSL_GUARDED_BY(mutex) = false;
  absl::Status stream_status ABSL_GUARDED_BY(mutex);
  int interrupts ABSL_GUARDED_BY(mutex) = 0;
  int interrupts_seen ABSL_GUARDED_BY(mutex) = 0;

  bool Something() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return !events.empty() || stream_ended || interrupts > interrupts_seen;
  }
};

class Follower {
 public:
  Follower(Context& context, const FollowOptions& options)
      : context_(context),
        options_(options),
        progress_(context.err, context.err_terminal, context.json || !options.progress),
        after_seq_(options.after_seq) {}

  absl::StatusOr<Followed> Run() {
    Interrupts::Scope scope(context_.interrupts, [this](int count) {
      absl::MutexLock lock(&mailbox_.mutex);
      mailbox_.interrupts = count;
    });
    absl::Duration backoff = kFirstBackoff;
    absl::Time lost = absl::InfiniteFuture();
    while (true) {
      const int64_t seq_before = after_seq_;
      const absl::Status status = WatchOnce();
      if (detached_) return Result();
      if (status.ok()) {
        // The stream ends when the job has; the job's own row has the last word.
        const absl::Status refreshed = Refresh();
        if (refreshed.ok() && IsFinal(job_.state())) return Result();
        if (!refreshed.ok() && !absl::IsUnavailable(refreshed)) return refreshed;
      } else if (!absl::IsUnavailable(status) && !absl::IsCancelled(status) &&
                 !absl::IsInternal(status) && !absl::IsUnknown(status)) {
        return status;
      }
      if (after_seq_ != seq_before) {
        lost = absl::InfiniteFuture();
        backoff = kFirstBackoff;
      }
      const absl::Time now = absl::Now();
      if (!status.ok() && lost == absl::InfiniteFuture()) {
        lost = now;
        progress_.Say("the service does not answer; the job goes on, trying again …");
      }
      if (!status.ok() && now - lost > absl::Seconds(context_.reconnect_s)) {
        return absl::UnavailableError(
            absl::StrCat(status.message(), "\n  The job goes on without this program. Follow it again:",
                         "  sextant watch ", options_.job_id));
      }
      if (!Pause(backoff)) return Result();
      backoff = std::min(backoff * 2, kLongestBackoff);
    }
  }

 private:
  Followed Result() {
    progress_.Clear();
    absl::MutexLock lock(&mailbox_.mutex);
    return Followed{job_, mailbox_.interrupts, detached_};
  }

  absl::Status Refresh() {
    v1::GetJobRequest request;
    request.set_job_id(options_.job_id);
    auto response = context_.service().GetJob(request);
    if (!response.ok()) return response.status();
    job_ = response->job();
    return absl::OkStatus();
  }

  // One stream, to its end. Draws, hands events on and reacts to interrupts meanwhile.
  absl::Status WatchOnce() {
    {
      absl::MutexLock lock(&mailbox_.mutex);
      mailbox_.stream_ended = false;
    }
    Canceller canceller;
    v1::WatchJobRequest request;
    request.set_job_id(options_.job_id);
    request.set_after_seq(after_seq_);
    std::thread watcher([&] {
      const absl::Status status =
          context_.service().WatchJob(request, canceller, [&](const v1::Event& event) {
            absl::MutexLock lock(&mailbox_.mutex);
            mailbox_.events.push_back(event);
          });
      absl::MutexLock lock(&mailbox_.mutex);
      mailbox_.stream_ended = true;
      mailbox_.stream_status = status;
    });
    absl::Status status;
    bool ended = false;
    absl::Time next_draw = absl::InfinitePast();
    while (!ended) {
      std::deque<v1::Event> events;
      bool interrupted = false;
      {
        absl::MutexLock lock(&mailbox_.mutex);
        mailbox_.mutex.AwaitWithTimeout(absl::Condition(&mailbox_, &Mailbox::Something), kRedraw);
        events.swap(mailbox_.events);
        ended = mailbox_.stream_ended;
        if (ended) status = mailbox_.stream_status;
        interrupted = TakeInterrupt();
      }
      for (const v1::Event& event : events) {
        if (event.seq() <= after_seq_) continue;
        after_seq_ = event.seq();
        if (options_.on_event) {
          progress_.Clear();
          options_.on_event(event);
        } else if (event.what() == "waiting") {
          progress_.Say(absl::StrCat(Escape(event.task(), 100), " waits: ", Escape(event.message())));
        }
      }
      if (interrupted) Interrupted();
      if (detached_) canceller.Cancel();
      const absl::Time now = absl::Now();
      if (options_.progress && !context_.json && !ended && now >= next_draw) {
        if (Refresh().ok()) progress_.Show(job_, NowUnixNs());
        next_draw = now + kRedraw;
      }
    }
    watcher.join();
    if (status.ok() && options_.progress && !context_.json && Refresh().ok()) {
      progress_.Show(job_, NowUnixNs());
    }
    return status;
  }

  bool TakeInterrupt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mailbox_.mutex) {
    const bool news = mailbox_.interrupts > mailbox_.interrupts_seen;
    mailbox_.interrupts_seen = mailbox_.interrupts;
    if (mailbox_.interrupts >= 2 || (news && !options_.cancel_on_interrupt)) detached_ = true;
    return news;
  }

  void Interrupted() {
    if (detached_) {
      progress_.Say(absl::StrCat("detached from job ", options_.job_id, "; follow it again:  sextant watch ",
                                 options_.job_id));
      return;
    }
    progress_.Say(absl::StrCat("cancelling job ", options_.job_id,
                               " … (Ctrl-C again leaves it alone and exits)"));
    v1::CancelJobRequest request;
    request.set_job_id(options_.job_id);
    request.set_reason("interrupted by the user");
    const auto response = context_.service().CancelJob(request);
    if (!response.ok()) {
      progress_.Say(absl::StrCat("the job was not cancelled: ", Escape(response.status().message())));
    }
  }

  // Waits before the next attempt; false when an interrupt says to stop trying.
  bool Pause(absl::Duration time) {
    bool interrupted = false;
    {
      absl::MutexLock lock(&mailbox_.mutex);
      mailbox_.mutex.AwaitWithTimeout(
          absl::Condition(
              +[](Mailbox* m) ABSL_EXCLUSIVE_LOCKS_REQUIRED(m->mutex) {
                return m->interrupts > m->interrupts_seen;
              },
              &mailbox_),
          time);
      interrupted = TakeInterrupt();
    }
    if (interrupted) Interrupted();
    return !detached_;
  }

  Context& context_;
  const FollowOptions& options_;
  Progress progress_;
  int64_t after_seq_;
  v1::JobInfo job_;
  bool detached_ = false;
  Mailbox mailbox_;
};

}  // namespace

bool IsFinal(v1::State state) {
  return state == v1::DONE || state == v1::FAILED || state == v1::CANCELLED;
}

absl::StatusOr<Followed> Follow(Context& context, const FollowOptions& options) {
  return Follower(context, options).Run();
}

}  // namespace sextant::cli
