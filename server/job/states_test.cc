#include "server/job/states.h"

#include "server/job/retry.h"
#include "tests/catch.h"

namespace sextant::job {

TEST_CASE("no state moves out of a final one") {
  for (auto from : {v1::DONE, v1::FAILED, v1::CANCELLED})
    for (int to = v1::WAITING; to <= v1::CANCELLED; ++to)
      CHECK_FALSE(CanMove(from, static_cast<v1::State>(to)));
}

TEST_CASE("a running pass goes back to ready and a ready one does not go back to waiting") {
  CHECK(CanMove(v1::RUNNING, v1::READY));
  CHECK(CanMove(v1::READY, v1::RUNNING));
  CHECK_FALSE(CanMove(v1::READY, v1::WAITING));
  CHECK_FALSE(CanMove(v1::READY, v1::DONE));
}

TEST_CASE("a lost worker is retried until attempts are used up, the tool once, the program never") {
  CHECK(RunsAgain(v1::WORKER_LOST, 1, 3));
  CHECK(RunsAgain(v1::WORKER_LOST, 2, 3));
  CHECK_FALSE(RunsAgain(v1::WORKER_LOST, 3, 3));
  CHECK(RunsAgain(v1::TOOL_FAILED, 1, 3));
  CHECK_FALSE(RunsAgain(v1::TOOL_FAILED, 2, 3));
  CHECK_FALSE(RunsAgain(v1::TOOL_FAILED, 1, 1));
  CHECK_FALSE(RunsAgain(v1::PROGRAM_FAILED, 1, 3));
}

}  // namespace sextant::job
