#include "server/job/auto_plan.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/catch.h"

namespace sextant::job {
namespace {

std::vector<v1::WorkerInfo> Workers(const std::vector<std::string>& backends) {
  v1::WorkerInfo worker;
  for (const std::string& name : backends) {
    auto* offer = worker.add_backends();
    offer->set_name(name);
    offer->set_available(true);
  }
  return {worker};
}

v1::TaskSpec Task(const std::string& program, const std::map<std::string, std::string>& options) {
  v1::TaskSpec task;
  task.mutable_profile()->mutable_workload()->add_argv(program);
  auto* pass = task.mutable_profile()->add_passes();
  pass->set_backend(kAutoBackend);
  for (const auto& [name, value] : options) (*pass->mutable_options())[name] = value;
  return task;
}

// "activity*3 counters*1"
std::string Text(const v1::TaskSpec& task) {
  return absl::StrJoin(task.profile().passes(), " ", [](std::string* out, const v1::PassSpec& pass) {
    absl::StrAppend(out, pass.backend(), "*", pass.repeat());
  });
}

const std::vector<std::string> kGpu = {"run",    "host",       "activity", "counters",
                                       "scopes", "pcsampling", "ir",       "proton"};

TEST_CASE("a question becomes passes that the workers offer, the clean ones first") {
  std::vector<std::string> notes;
  auto task = Task("./gemm", {{"question", "bottleneck"}});
  ExpandAuto(Workers(kGpu), 1, &task, &notes);
  CHECK(Text(task) == "activity*5 activity*1 counters*1 scopes*10 pcsampling*1 ir*1");
  CHECK(task.profile().passes(0).options().at("light") == "1");
  CHECK_FALSE(task.profile().passes(0).optional());
  CHECK(task.profile().passes(3).optional());
  CHECK(notes.empty());

  task = Task("python3", {});
  ExpandAuto(Workers(kGpu), 1, &task, &notes);
  CHECK(absl::StrContains(Text(task), "proton*10"));
  CHECK_FALSE(absl::StrContains(Text(task), "scopes"));
}

TEST_CASE("without a GPU the question is asked of CPU threads") {
  std::vector<std::string> notes;
  auto task = Task("./program", {{"question", "quick"}});
  ExpandAuto(Workers({"run", "host"}), 1, &task, &notes);
  CHECK(Text(task) == "run*2 host*5");
}

TEST_CASE("a timeline is many passes that see regions, and CI many clean ones") {
  std::vector<std::string> notes;
  auto timeline = Task("python3", {{"question", "timeline"}}), ci = Task("./gemm", {{"question", "ci"}});
  ExpandAuto(Workers(kGpu), 1, &timeline, &notes);
  ExpandAuto(Workers(kGpu), 1, &ci, &notes);
  CHECK(Text(timeline) == "activity*3 activity*1 proton*20");
  CHECK(Text(ci) == "activity*10 ir*1");
  ci = Task("./program", {{"question", "ci"}});
  ExpandAuto(Workers({"run", "host"}), 1, &ci, &notes);
  CHECK(Text(ci) == "run*10 host*10");
  CHECK(notes.empty());
}

TEST_CASE("what no worker offers is left out, and said") {
  std::vector<std::string> notes;
  auto task = Task("./gemm", {{"question", "quick"}});
  ExpandAuto(Workers({"activity"}), 1, &task, &notes);
  CHECK(Text(task) == "activity*3 activity*1");
  REQUIRE(notes.size() == 1);
  CHECK(notes[0] == "counters:set=ipc left out: no worker offers counters");
}

TEST_CASE("a budget shortens the plan from its end, and something is always left") {
  std::vector<std::string> notes;
  auto task = Task("./gemm", {{"question", "bottleneck"}, {"budget_s", "10"}});
  ExpandAuto(Workers(kGpu), 1, &task, &notes);
  // 5 × 1.1 s, 1.2 s; counters take 4 s and do not fit; 3 scopes passes do.
  CHECK(Text(task) == "activity*5 activity*1 scopes*3");
  CHECK(absl::StrContains(absl::StrJoin(notes, "\n"), "scopes: 3 passes instead of 10"));
  CHECK(absl::StrContains(absl::StrJoin(notes, "\n"), "ir left out"));

  task = Task("./gemm", {{"budget_s", "0.5"}});
  ExpandAuto(Workers(kGpu), 1, &task, &notes);
  CHECK(Text(task) == "activity*1");
}

TEST_CASE("other passes of the task stay as they are") {
  std::vector<std::string> notes;
  auto task = Task("./gemm", {{"question", "quick"}});
  task.mutable_profile()->add_passes()->set_backend("ir");
  ExpandAuto(Workers({"run", "host"}), 1, &task, &notes);
  CHECK(Text(task) == "run*2 host*5 ir*0");
}

TEST_CASE("a wrong option of auto is named") {
  const auto wrong = [](const std::map<std::string, std::string>& options) {
    return std::string(CheckAuto("passes[0]", Task("p", options).profile().passes(0)).message());
  };
  CHECK(wrong({{"question", "deep"}, {"budget_s", "2.5"}}).empty());
  CHECK(wrong({{"question", "why"}}) ==
        "passes[0].options[\"question\"]: \"why\"; there are quick, bottleneck, deep, timeline, ci");
  CHECK(absl::StrContains(wrong({{"budget_s", "-1"}}), "options[\"budget_s\"]"));
  CHECK(absl::StrContains(wrong({{"budget", "1"}}), "it has question, budget_s"));
}

}  // namespace
}  // namespace sextant::job
