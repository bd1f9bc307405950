#include "server/store/signals.h"

#include <spdlog/spdlog.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

constexpr char kChannel[] = "sextant";
constexpr absl::Duration kReconnect = absl::Milliseconds(500);
constexpr long kWaitMicroseconds = 200'000;  // how long StopListening may take to be seen

class Receiver : public pqxx::notification_receiver {
 public:
  Receiver(pqxx::connection& connection, const std::string& self, const std::function<void()>& woken)
      : pqxx::notification_receiver(connection, kChannel), self_(self), woken_(woken) {}
  void operator()(const std::string& payload, int) override {
    if (payload != self_) woken_();
  }

 private:
  const std::string& self_;
  const std::function<void()>& woken_;
};

}  // namespace

absl::Status Signals::Notify() {
  return database_->Transact("notify", [&](pqxx::transaction_base& tx) {
    // A signal is a hint: nobody waits for the disk because of it.
    ExecPrepared(tx, "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
                 std::string(kChannel), self_);
    return absl::OkStatus();
  });
}

void Signals::Listen(const std::function<void()>& woken) {
  while (!stop_) {
    try {
      pqxx::connection connection(database_->conninfo());
      Receiver receiver(connection, self_, woken);
      woken();
      while (!stop_) connection.await_notification(0, kWaitMicroseconds);
    } catch (const std::exception& error) {
      spdlog::debug("listening interrupted error=\"{}\"", error.what());
      if (!stop_) absl::SleepFor(kReconnect);
    }
  }
}

}  // namespace sextant::store
