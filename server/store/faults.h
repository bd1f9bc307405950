// Named points at which a test makes this process fail. A production process has none: the object
// is made from the command line alone (`--fault POINT=ACTION[@N]`, may be repeated).
//
// Every Database::Transact("submit", …) passes the points "submit.before_commit" and
// "submit.after_commit"; other code may name its own with Hit. A point "*.after_commit" stands for
// every one that ends so. With @N the fault happens at the Nth hit alone (1…), else at every one.
//
//   crash      the process dies of SIGKILL, as if the machine had gone
//   error      UNAVAILABLE and rolled back (after the commit: UNKNOWN)
//   drop       the connection is lost before the commit is sent
//   drop-after the commit happens, its reply is lost: in doubt
//   pause-MS   the thread sleeps MS milliseconds and goes on
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace sextant::store {

// Thread-safe.
class Faults {
 public:
  // INVALID_ARGUMENT names the spec and what is wrong with it.
  static absl::StatusOr<std::unique_ptr<Faults>> Parse(const std::vector<std::string>& specs);

  enum class Effect { kNone, kError, kDrop, kDropAfter };
  // Crashes and pauses happen inside; the rest is the caller's to do.
  Effect At(absl::string_view point);

  // For points without a connection: UNAVAILABLE for any effect.
  absl::Status Hit(absl::string_view point);

  // How often any of the faults happened.
  int64_t happened() const;

 private:
  enum class Action { kCrash, kError, kDrop, kDropAfter, kPause };
  struct Fault {
    std::string point;
    Action action = Action::kError;
    int64_t pause_ms = 0;
    int64_t only_hit = 0;  // 0: every one
    int64_t hits = 0;
  };
  static absl::StatusOr<Fault> ParseOne(absl::string_view spec);

  mutable absl::Mutex mutex_;
  std::vector<Fault> faults_ ABSL_GUARDED_BY(mutex_);
  int64_t happened_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sextant::store
