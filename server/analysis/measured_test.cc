#include "server/analysis/measured.h"

#include "absl/strings/match.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

class Job {
 public:
  Job& Pass(const std::string& backend, const std::string& machine = "m", v1::State state = v1::DONE) {
    v1::PassInfo& pass = passes_.emplace_back();
    pass.set_pass_id(passes_.size());
    pass.set_ordinal(passes_.size() - 1);
    pass.set_state(state);
    pass.mutable_spec()->set_backend(backend);
    if (state == v1::DONE) pass.mutable_result()->mutable_provenance()->set_machine_class(machine);
    if (state == v1::FAILED) pass.mutable_result()->mutable_failure()->set_message("it broke");
    return *this;
  }
  Job& Option(const std::string& name, const std::string& value) {
    (*passes_.back().mutable_spec()->mutable_options())[name] = value;
    return *this;
  }
  Job& Partial() {
    passes_.back().mutable_result()->set_partial(true);
    return *this;
  }
  JobPasses passes() const { return {passes_, {}}; }

 private:
  std::vector<v1::PassInfo> passes_;
};

TEST_CASE("passes are set against each other only with the same backend, options and class") {
  const Job a = Job().Pass("activity").Option("light", "1").Pass("activity").Pass("host").Pass("host", "other");
  const Job b = Job().Pass("activity").Option("light", "1").Pass("host").Pass("host").Partial().Pass("scopes");
  std::vector<std::string> notes;
  const auto pairs = PairPasses(a.passes(), b.passes(), &notes);
  REQUIRE(pairs.ok());
  REQUIRE(pairs->size() == 2);
  CHECK((*pairs)[0].kind == "activity:light=1");
  CHECK((*pairs)[1].kind == "host");
  REQUIRE((*pairs)[1].a.size() == 1);
  CHECK((*pairs)[1].a[0]->pass_id() == 3);
  CHECK((*pairs)[1].b.size() == 1);   // the partial one is left out
  REQUIRE(notes.size() == 3);
  CHECK(notes[0] == "B has no passes of kind activity: not compared");
  CHECK(notes[1] == "A: 1 passes of kind host are left out: another machine class");
  CHECK(notes[2] == "A has no passes of kind scopes: not compared");
}

TEST_CASE("without a common class each side's largest is taken, never a mixture") {
  const Job a = Job().Pass("host", "x").Pass("host", "y").Pass("host", "y"), b = Job().Pass("host", "z");
  std::vector<std::string> notes;
  const auto pairs = PairPasses(a.passes(), b.passes(), &notes);
  REQUIRE(pairs.ok());
  REQUIRE((*pairs)[0].a.size() == 2);
  CHECK((*pairs)[0].a[0]->result().provenance().machine_class() == "y");
  CHECK((*pairs)[0].b.size() == 1);
}

TEST_CASE("what cannot be compared says which job lacks what") {
  std::vector<std::string> notes;
  const Job host = Job().Pass("host"), scopes = Job().Pass("scopes"), failed = Job().Pass("host", "m", v1::FAILED),
            queued = Job().Pass("host", "m", v1::READY), none;
  const auto message = [&](const Job& a, const Job& b) {
    const auto status = PairPasses(a.passes(), b.passes(), &notes).status();
    CHECK(absl::IsFailedPrecondition(status));
    return std::string(status.message());
  };
  CHECK(message(host, scopes) ==
        "job_b: the jobs have no kind of pass in common: A has host, B has scopes; run both with the same --pass");
  CHECK(absl::StrContains(message(host, failed), "job_b: 1 of 1 passes failed"));
  CHECK(absl::StrContains(message(queued, host), "job_a: no pass has ended yet"));
  CHECK(absl::StrContains(message(none, host), "job_a: no pass is planned yet"));
}

}  // namespace
}  // namespace sextant::analysis
