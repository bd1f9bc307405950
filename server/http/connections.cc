#include "server/http/connections.h"

#include "absl/time/time.h"

namespace sextant::http {

void Connections::Add(const std::shared_ptr<Connection>& connection) {
  absl::MutexLock lock(&mutex_);
  open_[connection.get()] = connection;
}

void Connections::Remove(const Connection* connection) {
  absl::MutexLock lock(&mutex_);
  open_.erase(connection);
}

size_t Connections::size() const {
  absl::MutexLock lock(&mutex_);
  return open_.size();
}

std::vector<std::shared_ptr<Connection>> Connections::all() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& [key, weak] : open_)
    if (auto connection = weak.lock()) all.push_back(std::move(connection));
  return all;
}

void Connections::AwaitNone(double seconds) const {
  absl::MutexLock lock(&mutex_);
  const auto none = +[](const std::unordered_map<const Connection*, std::weak_ptr<Connection>>* open) {
    return open->empty();
  };
  mutex_.AwaitWithTimeout(absl::Condition(none, &open_), absl::Seconds(seconds));
}

}  // namespace sextant::http
