// NOTIFY and LISTEN on one channel: "something changed, look". No content, so that nothing depends
// on its arrival.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "server/store/database.h"

namespace sextant::store {

class Signals {
 public:
  // `self` is a name of this process: its own signals are not delivered to it.
  Signals(Database* database, std::string self) : database_(database), self_(std::move(self)) {}

  absl::Status Notify();

  // Blocks until StopListening. Calls `woken` for each signal of another process, and after every
  // reconnection, since signals may have been missed meanwhile.
  void Listen(const std::function<void()>& woken);
  void StopListening() { stop_ = true; }

 private:
  Database* const database_;
  const std::string self_;
  std::atomic<bool> stop_{false};
};

}  // namespace sextant::store
