#include "server/store/job_row.h"

#include "server/job/states.h"

namespace sextant::store {

void JobRow::Settle(int64_t job_id) {
  tasks_open += added - done - failed - cancelled;
  const v1::State before = state;
  if (state == v1::WAITING && (started || done + failed > 0)) state = v1::RUNNING;
  if (tasks_open == 0 && !open && !job::IsFinal(before)) {
    if (fails || tasks_failed + failed > 0) {
      state = v1::FAILED;
    } else if (is_cancelled || tasks_cancelled + cancelled > 0) {
      state = v1::CANCELLED;
    } else {
      state = v1::DONE;
    }
  }
  if (state == before || !job::IsFinal(state)) return;
  v1::Event event;
  event.set_job_id(job_id);
  event.set_what(state == v1::DONE ? "finished" : state == v1::FAILED ? "failed" : "cancelled");
  event.set_state(state);
  event.set_message(first_failure.message());
  events.push_back(std::move(event));
}

}  // namespace sextant::store
