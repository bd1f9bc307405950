// One connection of the HTTP server. Everything here runs on its strand unless it says otherwise.
// Included by server.cc and connection.cc alone: it brings Boost's headers.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/http/server.h"

namespace sextant::http {

class Connection {
 public:
  virtual ~Connection() = default;
  // Any thread. Drain: no further request. Cut: closes now.
  virtual void Drain() = 0;
  virtual void Cut() = 0;
};

// The connections that are open, so that a stopping server can end them. Thread-safe.
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

// What the connections of a server share; outlives them.
struct ConnectionContext {
  Server::Options options;
  Handler handler;
  Connections connections;
};

// Serves a socket until it closes.
void Serve(ConnectionContext* context, boost::asio::ip::tcp::socket socket);

}  // namespace sextant::http
