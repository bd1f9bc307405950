// A job's row as a transaction found it, and what the transaction adds to it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sextant/v1/types.pb.h"

namespace sextant::store {

struct JobRow {
  v1::State state = v1::WAITING;
  bool open = false;
  bool fresh = false;
  std::string tenant, submitter, salt;
  int priority = 0;
  int tasks_open = 0, tasks_failed = 0, tasks_cancelled = 0;
  int64_t next_seq = 1;

  int added = 0, done = 0, failed = 0, cancelled = 0;   // tasks
  bool started = false;
  bool fails = false;          // even if no task was left to fail
  bool is_cancelled = false;   // even if no task was left to cancel
  v1::Failure first_failure;
  std::vector<v1::Event> events;

  // Moves `state` and `tasks_open` to where they stand after the change, and notes the event of the
  // job's end.
  void Settle(int64_t job_id);
};

}  // namespace sextant::store
