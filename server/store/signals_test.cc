#include "server/store/signals.h"

#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::store {
namespace {

// Counts how often it was woken.
class Listener {
 public:
  explicit Listener(Signals* signals)
      : signals_(signals), thread_([this] {
          signals_->Listen([this] {
            absl::MutexLock lock(&mutex_);
            ++woken_;
          });
        }) {}
  ~Listener() {
    signals_->StopListening();
    thread_.join();
  }

  int woken() {
    absl::MutexLock lock(&mutex_);
    return woken_;
  }
  // Until it was woken more than `before` times.
  bool WokenAfter(int before) {
    auto more = [this, before]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return woken_ > before; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&more), absl::Seconds(60));
  }

 private:
  Signals* const signals_;
  absl::Mutex mutex_;
  int woken_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace

TEST_CASE("a listener hears of others and not of itself") {
  const auto database = TestDatabase::New();
  Signals ours(database.get(), "a"), theirs(database.get(), "b");
  Listener listener(&ours);
  REQUIRE(listener.WokenAfter(0));  // it listens now
  const int before = listener.woken();
  REQUIRE(ours.Notify().ok());
  REQUIRE(theirs.Notify().ok());
  REQUIRE(listener.WokenAfter(before));  // signals arrive in order, so ours would have been first
  CHECK(listener.woken() == before + 1);
}

TEST_CASE("a listener that lost its connection looks, and listens again") {
  const auto database = TestDatabase::New();
  Signals ours(database.get(), "a"), theirs(database.get(), "b");
  Listener listener(&ours);
  REQUIRE(listener.WokenAfter(0));
  int before = listener.woken();
  TestCluster::Shared().Restart();
  REQUIRE(listener.WokenAfter(before));  // because signals may have been missed
  before = listener.woken();
  REQUIRE(theirs.Notify().ok());
  CHECK(listener.WokenAfter(before));
}

}  // namespace sextant::store
