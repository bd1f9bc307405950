// The streams that are open, so that a stopping server can end them all (a watcher or an idle worker
// would otherwise keep it for ever), and those whose caller may not go on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace sextant::rpc {

// Thread-safe.
class Streams {
 public:
  using Close = std::function<void(const absl::Status& why)>;
  using Holds = std::function<absl::Status()>;

  // `close` asks a stream to end; it must not block, nor call back.
  int64_t Add(Close close) {
    absl::MutexLock lock(&mutex_);
    if (closed_) close(Stopping());
    const int64_t id = next_id_++;
    open_[id].close = std::move(close);
    return id;
  }
  // From now on CloseRefused asks whether its caller may go on. `holds` may block. `in_time` is asked first, must
  // not block, and ends the stream whatever it says but OK.
  void Guard(int64_t id, Holds holds, Holds in_time = {}) {
    absl::MutexLock lock(&mutex_);
    if (const auto found = open_.find(id); found != open_.end()) {
      found->second.holds = std::move(holds);
      found->second.in_time = std::move(in_time);
    }
  }
  // Afterwards the stream's `close` is not called any more.
  void Remove(int64_t id) {
    absl::MutexLock lock(&mutex_);
    open_.erase(id);
  }
  // Those that are open now and those to come.
  void CloseAll() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    for (const auto& [id, stream] : open_) stream.close(Stopping());
  }
  // Those whose caller has lost its right, or let its time pass.
  void CloseRefused() {
    std::vector<std::pair<int64_t, Holds>> guarded;
    {
      absl::MutexLock lock(&mutex_);
      for (const auto& [id, stream] : open_) {
        if (const absl::Status in_time = stream.in_time ? stream.in_time() : absl::OkStatus(); !in_time.ok()) {
          stream.close(in_time);
        } else if (stream.holds) {
          guarded.emplace_back(id, stream.holds);
        }
      }
    }
    for (const auto& [id, holds] : guarded) {
      const absl::Status status = holds();
      if (!absl::IsUnauthenticated(status)) continue;
      absl::MutexLock lock(&mutex_);
      if (const auto found = open_.find(id); found != open_.end()) found->second.close(status);
    }
  }
  bool closed() const {
    absl::MutexLock lock(&mutex_);
    return closed_;
  }

 private:
  struct Stream {
    Close close;
    Holds holds;     // empty: anybody
    Holds in_time;   // empty: it may take any time
  };
  static absl::Status Stopping() { return absl::UnavailableError("the coordinator stops; try again"); }

  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<int64_t, Stream> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::rpc
