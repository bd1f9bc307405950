// Writes the passes that a plan made of the tasks of one job: answered from the cache, merged with
// one in flight, or queued.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/job/plan.h"
#include "server/store/job_change.h"
#include "server/store/planning.h"

namespace sextant::store {

// Used inside a transaction that holds the job's lock. A few statements, whatever the number of tasks
// and passes.
class PassWriter {
 public:
  explicit PassWriter(JobChange& change) : change_(change) {}

  // `task` stays where it is until Write. `changed`: its spec is no longer what its row says.
  void Add(const TaskToPlan& task, bool changed, std::vector<job::PlannedPasses> planned);

  size_t passes() const { return passes_.size(); }   // added and not yet written

  // Writes what was added, and forgets it.
  void Write();

 private:
  struct Entry {
    const TaskToPlan* task = nullptr;
    bool changed = false;
    int passes = 0, queued = 0, merged = 0, cached = 0;
  };
  struct Pass {
    size_t task = 0, group = 0;   // indices
    int ordinal = 0, sample = 0;
    int64_t pass_id = 0;
    v1::State state = v1::READY;
    v1::Source source = v1::EXECUTED;
    int64_t source_pass_id = 0;
  };
  using Sample = std::pair<std::string, int>;   // cache key, number

  void NumberPasses();
  void RememberKeys();
  // Takes samples nobody has; the others are cached or merged. The lock on a sample in flight makes
  // its commit wait until these passes can be seen to follow it.
  void ShareSamples();
  void WritePasses();
  void WriteTasks();
  void NoteGroup(const TaskToPlan& task, const char* what, v1::State state, int n);
  void EndFromCache();

  JobChange& change_;
  std::vector<Entry> tasks_;
  std::vector<job::PlannedPasses> groups_;   // passes that differ in nothing but their sample
  std::vector<Pass> passes_;
};

// Puts passes into the queue. `epoch` and attempts start at 0.
struct PassToQueue {
  int64_t pass_id = 0;
  int64_t task_id = 0;
  int pool = 0;
  std::vector<std::string> needs;
  int priority = 0;
};
void Enqueue(JobChange& change, const std::vector<PassToQueue>& passes);

}  // namespace sextant::store
