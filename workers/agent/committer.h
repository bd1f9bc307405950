// Brings finished passes home: uploads what they recorded, commits them in batches, and deletes
// their spool once the coordinator has answered.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "workers/agent/coordinator.h"
#include "workers/agent/options.h"
#include "workers/agent/spool.h"
#include "workers/agent/wakeup.h"

namespace sextant::agent {

using PassKey = std::pair<int64_t, int64_t>;  // pass id, epoch

inline PassKey KeyOf(const v1::PassRef& pass) { return {pass.pass_id(), pass.epoch()}; }

// Owns the entries from Add on. Thread-safe; one thread of its own takes everything that waits.
class Committer {
 public:
  // `settled` is called from the committer's thread for every entry that ends, with the answer.
  using Settled = std::function<void(const PassKey&, v1::CommitOutcome, const std::string&)>;

  Committer(Coordinator& coordinator, const AgentOptions& options, Settled settled);
  ~Committer();  // entries not yet settled stay in the spool

  // Uploads what the entry holds. False: the coordinator is away; Add tries again. A refusal is
  // written into the entry's result. From any thread, before Add.
  bool Upload(SpoolEntry& entry);

  void Add(std::unique_ptr<SpoolEntry> entry, bool uploaded);

  // The result is wanted no more. True: the entry is gone; false: it is not here, or its commit is
  // on the way and `settled` will tell.
  bool Drop(const PassKey& pass);

  // The coordinator is back: try at once.
  void Retry();

 private:
  struct Waiting {
    std::unique_ptr<SpoolEntry> entry;
    bool uploaded = false;
  };

  void Loop();
  std::vector<Waiting> Take();
  bool Commit(std::vector<Waiting>& batch);
  void Settle(Waiting& waiting, v1::CommitOutcome outcome, const std::string& message);

  Coordinator& coordinator_;
  const AgentOptions& options_;
  const Settled settled_;
  Wakeup wakeup_;

  absl::Mutex mutex_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sextant::agent
