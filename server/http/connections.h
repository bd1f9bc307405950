// The connections that are open, so that a stopping server can end them.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sextant::http {

class Connection {
 public:
  virtual ~Connection() = default;
  // Any thread. Drain: no further request. Cut: closes now.
  virtual void Drain() = 0;
  virtual void Cut() = 0;
};

// Thread-safe.
class Connections {
 public:
  void Add(const std::shared_ptr<Connection>& connection);
  void Remove(const Connection* connection);
  size_t size() const;
  std::vector<std::shared_ptr<Connection>> all() const;
  // Waits until none is left, or for this long.
  void AwaitNone(double seconds) const;

 private:
  mutable absl::Mutex mutex_;
  std::unordered_map<const Connection*, std::weak_ptr<Connection>> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::http
