// The streams that are open, so that a stopping server can end them all: a watcher or an idle worker
// would otherwise keep it for ever.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sextant::rpc {

// Thread-safe.
class Streams {
 public:
  // `close` asks a stream to end; it must not block, nor call back.
  int64_t Add(std::function<void()> close) {
    absl::MutexLock lock(&mutex_);
    if (closed_) close();
    const int64_t id = next_id_++;
    open_[id] = std::move(close);
    return id;
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
    for (const auto& [id, close] : open_) close();
  }
  bool closed() const {
    absl::MutexLock lock(&mutex_);
    return closed_;
  }

 private:
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<int64_t, std::function<void()>> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::rpc
