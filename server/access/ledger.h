// What is written down about calls behind their backs: the audit trail of calls that changed nothing of
// who may call (those write their entry themselves), and when tokens were last used.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/store/audit.h"
#include "server/store/tokens.h"

namespace sextant::access {

// One thread writes. Thread-safe; what was added before Stop is written by it.
class Ledger {
 public:
  struct Options {
    size_t max_waiting = 20'000;   // more go to the log instead, and are counted
    absl::Duration gather = absl::Milliseconds(200);
    absl::Duration stop_within = absl::Seconds(5);
  };
  Ledger(store::AuditStore* audit, store::TokenStore* tokens, Options options);
  ~Ledger();   // Stop

  void Add(v1::AuditEntry entry);
  // That the token was used in this minute.
  void Used(const std::string& token_id);

  void Stop();

  // Entries that are in the log alone, because the database took none for long.
  uint64_t overflown() const;
  // Until what was added is in the database, or `time` is over.
  bool Flush(absl::Duration time);

 private:
  void Loop();
  // False: the database took nothing.
  bool WriteSome(const std::vector<v1::AuditEntry>& entries, const std::vector<std::string>& used);

  store::AuditStore* const audit_;
  store::TokenStore* const tokens_;
  const Options options_;
  mutable absl::Mutex mutex_;
  std::vector<v1::AuditEntry> waiting_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> used_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t overflown_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace sextant::access
