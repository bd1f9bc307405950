// What PassRunner holds of one run of a pass. Included by its two source files alone.
#pragma once

#include <filesystem>
#include <utility>

#include "workers/agent/pass_runner.h"

namespace sextant::agent {

// What one run has gathered so far.
struct PassRunner::Attempt {
  Attempt(const v1::Assignment& a, const std::filesystem::path& passes)
      : assignment(a),
        root(passes / AttemptName(a.pass())),
        work(root / "work"),
        results(root / "results"),
        out(root / "stdout"),
        err(root / "stderr") {}

  const v1::Assignment& assignment;
  const std::filesystem::path root, work, results, out, err;
  const backends::Backend* backend = nullptr;
  sandbox::RunSpec spec;
  backends::RunRecord record;
  backends::Collected collected;
  v1::PassCommit commit;
  bool ran = false;
  std::string recording;     // beneath /work; not empty: it is played instead of a program
  v1::Assignment recorded;   // of the recording: what Collect is told

  v1::PassResult& result() { return *commit.mutable_result(); }
  bool Fail(v1::Failure failure) {
    if (!result().has_failure()) *result().mutable_failure() = std::move(failure);
    return false;
  }
};

}  // namespace sextant::agent
