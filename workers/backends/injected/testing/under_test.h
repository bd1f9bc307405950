// A backend under test: what it makes of recordings, and of options.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tests/catch.h"
#include "workers/backends/injected/testing/recording.h"

namespace sextant::backends::injected {

// Owns the backend. Recordings lie in `testdata`, golden texts beside them.
class UnderTest {
 public:
  UnderTest(std::unique_ptr<Backend> backend, std::filesystem::path testdata)
      : backend_(std::move(backend)), testdata_(std::move(testdata)) {}

  const Backend& backend() const { return *backend_; }

  absl::StatusOr<Collected> CollectRecording(const std::string& name,
                                             const std::string& kernels = "") const {
    v1::Assignment assignment;
    assignment.mutable_workload()->set_kernels(kernels);
    return backend_->Collect(RecordedRun(testdata_ / name, &assignment));
  }

  void CheckRecording(const std::string& name, const std::string& kernels = "") const {
    CheckGolden(testdata_ / name, Describe(CollectRecording(name, kernels), 40));
  }

  absl::StatusOr<LaunchPlan> Prepare(const std::map<std::string, std::string>& options) const {
    v1::Assignment assignment;
    assignment.mutable_workload()->add_argv("program");
    for (const auto& [name, value] : options) {
      (*assignment.mutable_spec()->mutable_options())[name] = value;
    }
    return backend_->Prepare(assignment);
  }

  std::string Refusal(const std::map<std::string, std::string>& options) const {
    const auto plan = Prepare(options);
    REQUIRE(plan.status().code() == absl::StatusCode::kInvalidArgument);
    return std::string(plan.status().message());
  }

 private:
  const std::unique_ptr<Backend> backend_;
  const std::filesystem::path testdata_;
};

// The value of `counter` of the first kernel whose name begins with `kernel`.
inline double CounterOf(const Collected& collected, const std::string& kernel,
                        const std::string& counter) {
  for (const v1::Counter& one : collected.counters) {
    if (one.name() == counter && one.kernel().find(kernel) == 0) return one.value();
  }
  FAIL("no counter " << counter << " of " << kernel);
  return 0;
}

}  // namespace sextant::backends::injected
