#include "server/rpc/executor.h"

#include <atomic>
#include <numeric>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "tests/catch.h"

namespace sextant::rpc {

TEST_CASE("one key's long work leaves a thread to the others, and is done in the end") {
  Executor executor(4, 100);
  absl::Notification go_on;
  absl::BlockingCounter three_run(3), all_ran(10);
  std::atomic<int> running = 0, most = 0;
  for (int i = 0; i < 10; ++i) {
    REQUIRE(executor.Submit(
        [&] {
          const int now = ++running;
          if (now > most) most = now;
          if (!go_on.HasBeenNotified()) three_run.DecrementCount();
          go_on.WaitForNotification();
          --running;
          all_ran.DecrementCount();
        },
        "a"));
  }
  three_run.Wait();
  for (int i = 0; i < 5; ++i) {   // one after the other, while a's wait
    absl::Notification ran;
    REQUIRE(executor.Submit([&] { ran.Notify(); }, i % 2 == 0 ? "b" : ""));
    ran.WaitForNotification();
  }
  CHECK(running == 3);
  go_on.Notify();
  all_ran.Wait();
  CHECK(most == 3);
}

TEST_CASE("work without a key has all threads") {
  absl::Barrier* const meet = new absl::Barrier(3);   // whoever leaves last deletes it
  absl::BlockingCounter over(3);
  Executor executor(3, 100);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(executor.Submit([&] {
      if (meet->Block()) delete meet;
      over.DecrementCount();
    }));
  }
  over.Wait();   // they have met, so they ran at once
}

TEST_CASE("a key's work is begun in its order") {
  Executor executor(1, 100);
  absl::Notification begun, go_on;
  REQUIRE(executor.Submit(
      [&] {
        begun.Notify();
        go_on.WaitForNotification();
      },
      "first"));
  begun.WaitForNotification();
  std::vector<int> ran;   // of the one thread
  for (int i = 0; i < 50; ++i) REQUIRE(executor.Submit([&ran, i] { ran.push_back(i); }, "a"));
  go_on.Notify();
  executor.Stop();
  std::vector<int> wanted(50);
  std::iota(wanted.begin(), wanted.end(), 0);
  CHECK(ran == wanted);
}

TEST_CASE("too much is refused, and what is queued runs before the end") {
  absl::Notification begun, go_on;
  int ran = 0;
  {
    Executor executor(1, 2);
    REQUIRE(executor.Submit(
        [&] {
          begun.Notify();
          go_on.WaitForNotification();
        },
        "a"));
    begun.WaitForNotification();
    CHECK(executor.Submit([&] { ++ran; }, "a"));
    CHECK(executor.Submit([&] { ++ran; }, "b"));
    CHECK_FALSE(executor.Submit([&] { ++ran; }, "c"));
    go_on.Notify();
  }
  CHECK(ran == 2);
}

}  // namespace sextant::rpc
