// What PassRunner holds of one run of a pass. Included by its two source files alone.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "workers/agent/pass_runner.h"
#include "workers/agent/warm_modules.h"
#include "workers/agent/warm_pool.h"

namespace sextant::agent {

// Set for each pass anew.
inline constexpr const char* kPassVariables[] = {"SEXTANT_PASS_ORDINAL", "SEXTANT_JOB", "SEXTANT_TASK"};

// Whether the pass may be forked as far as its assignment tells.
bool MayBeWarm(const v1::Assignment& assignment);

// What one run has gathered so far.
struct PassRunner::Attempt {
  Attempt(const v1::Assignment& a, const std::filesystem::path& passes)
      : assignment(a),
        in_job_directory(MayBeWarm(a)),
        root((in_job_directory ? passes / absl::StrCat("job-", a.job_id()) : passes) /
             AttemptName(a.pass())),
        work(root / "work"),
        results(root / "results"),
        out(root / "stdout"),
        err(root / "stderr") {
    // The worker's own option; backends do not know it.
    auto& options = *assignment.mutable_spec()->mutable_options();
    if (const auto option = options.find(kWarmOption); option != options.end()) {
      warm_option = option->second;
      options.erase(option);
    }
  }

  v1::Assignment assignment;      // as it came, but for options of the worker
  const bool in_job_directory;    // beside the job's other passes, for which one container may serve
  const std::filesystem::path root, work, results, out, err;
  const backends::Backend* backend = nullptr;
  sandbox::RunSpec spec;
  backends::RunRecord record;
  backends::Collected collected;
  v1::PassCommit commit;
  bool ran = false;
  std::string warm_option;
  std::optional<WarmRequest> warm;          // it may be forked
  std::vector<std::string> own_variables;   // that are this pass's alone
  bool forked = false;
  std::string recording;     // beneath /work; not empty: it is played instead of a program
  bool imports = false;      // the workload's files are collected, nothing is started
  v1::Assignment recorded;   // of the recording: what Collect is told

  v1::PassResult& result() { return *commit.mutable_result(); }
  bool Fail(v1::Failure failure) {
    if (!result().has_failure()) *result().mutable_failure() = std::move(failure);
    return false;
  }
};

}  // namespace sextant::agent
