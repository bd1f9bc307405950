#include "server/job/graph.h"

#include <google/protobuf/text_format.h>

#include "absl/strings/str_cat.h"
#include "server/job/limits.h"
#include "tests/catch.h"

namespace sextant::job {
namespace {

v1::JobGraph Parse(const std::string& text) {
  v1::JobGraph graph;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &graph));
  return graph;
}

std::string Build(absl::string_view name, absl::string_view more = "") {
  return absl::StrCat("tasks { name: '", name, "' ", more,
                      " build { workload { argv: 'true' } } } ");
}

std::string ErrorOf(v1::JobGraph graph) {
  return std::string(Expand(DefaultLimits(), &graph).status().message());
}

}  // namespace

TEST_CASE("a graph becomes tasks with parents first and names as indices") {
  auto graph = Parse(Build("c", "parent: 'g/h' after: 'b'") + Build("b", "parent: 'g/h'") +
                     "tasks { name: 'h' parent: 'g' group {} } tasks { name: 'g' group {} }" +
                     Build("z", "after: 'g'"));
  auto expanded = Expand(DefaultLimits(), &graph);
  REQUIRE(expanded.ok());
  std::vector<std::string> paths;
  for (const auto& task : expanded->tasks) paths.push_back(task.path);
  CHECK(paths == std::vector<std::string>{"g", "z", "g/h", "g/h/c", "g/h/b"});
  CHECK(expanded->tasks[3].after == std::vector<int>{4});
  CHECK(expanded->tasks[3].parent == 2);
  CHECK(expanded->tasks[1].after == std::vector<int>{0});
}

TEST_CASE("defaults of a run are filled in") {
  auto graph = Parse(Build("a"));
  REQUIRE(Expand(DefaultLimits(), &graph).ok());
  CHECK(graph.tasks(0).build().workload().limits().wall_s() == 600);
  CHECK(graph.tasks(0).max_attempts() == 3);
}

TEST_CASE("a bad graph gets an error that begins with the field") {
  struct Case {
    std::string graph;
    std::string begins;
  };
  const std::string digest(32, 'x');
  const std::vector<Case> cases = {
      {"", "graph.tasks: at least one"},
      {Build("a b"), "graph.tasks[0].name: must be"},
      {Build("a/b"), "graph.tasks[0].name: must be"},
      {Build(std::string(300, 'a')), "graph.tasks[0].name: 300 bytes, at most max_name_bytes = 256"},
      {Build("a") + Build("a"), "graph.tasks[1].name: the task \"a\" is there twice"},
      {Build("a", "after: 'a'"), "graph.tasks[0].after[0]: a task cannot wait for itself"},
      {Build("a", "after: 'x'"), "graph.tasks[0].after[0]: there is no task \"x\""},
      {Build("a", "after: 'b'") + Build("b", "after: 'a'"), "graph.tasks: a cycle"},
      {"tasks { name: 'g' after: 'g/a' group {} }" + Build("a", "parent: 'g'"),
       "graph.tasks: a cycle"},
      {Build("a") + Build("b", "parent: 'a'"), "graph.tasks[1].parent: \"a\" is not a group"},
      {Build("b", "parent: 'x'"), "graph.tasks[0].parent: there is no task"},
      {Build("b", "parent: 'a//b'"), "graph.tasks[0].parent: must be one or more of"},
      {Build("b", "after: 'a\\000b'"), "graph.tasks[0].after[0]: must be one or more of"},
      {Build("b", "inputs { artifact: 'x' }"), "graph.tasks[0].inputs[0].task: must be one or more"},
      {"name: 'a\\033[2J' " + Build("a"), "graph.name: must not contain control characters"},
      {"labels { key: 'a' value: '\\000' } " + Build("a"),
       "graph.labels[\"a\"]: must not contain control characters"},
      {"tasks { name: 'a' }", "graph.tasks[0]: has no kind"},
      {"tasks { name: 'a' build {} }", "graph.tasks[0].build.workload.argv: must name a program"},
      {"tasks { name: 'a' profile { workload { argv: 'x' } } }",
       "graph.tasks[0].profile.passes: at least one"},
      {"tasks { name: 'a' profile { workload { argv: 'x' } passes { backend: 'host' repeat: 10001 "
       "} } }",
       "graph.tasks[0].profile.passes: 10001 in all, at most max_passes_per_task = 10000"},
      {"tasks { name: 'a' build { workload { argv: 'x' files { path: '../x' } } } }",
       "graph.tasks[0].build.workload.files[0].path: must not contain"},
      {"tasks { name: 'a' build { workload { argv: 'x' files { path: '/x' } } } }",
       "graph.tasks[0].build.workload.files[0].path: must be relative"},
      {"tasks { name: 'a' build { workload { argv: 'x' files { path: 'x' digest: 'abc' } } } }",
       "graph.tasks[0].build.workload.files[0].digest: must be the 32 bytes"},
      {"tasks { name: 'a' build { workload { argv: 'x' limits { wall_s: 1e9 } } } }",
       "graph.tasks[0].build.workload.limits.wall_s is 1e+09, at most max_run.wall_s"},
      {"tasks { name: 'a' build { workload { argv: 'x' limits { wall_s: nan } } } }",
       "graph.tasks[0].build.workload.limits.wall_s must not be negative"},
      {"tasks { name: 'a' build { workload { argv: 'x' env { key: 'SEXTANT_X' value: '1' } } } }",
       "graph.tasks[0].build.workload.env[\"SEXTANT_X\"]"},
      {Build("a") + Build("b", "inputs { task: 'a' artifact: 'bin' }"),
       "graph.tasks[1].inputs[0].artifact: task \"a\" has no output \"bin\""},
      {"priority: 101 " + Build("a"), "graph.priority: 101"},
      {"deadline_s: -1 " + Build("a"), "graph.deadline_s"},
      {"tasks { name: 'a' analyze { builtin: 'magic' of_task: 'b' } }",
       "graph.tasks[0].analyze.builtin: \"magic\" is unknown"},
  };
  for (const auto& c : cases) {
    INFO(c.graph);
    CHECK_THAT(ErrorOf(Parse(c.graph)), Catch::StartsWith(c.begins));
  }
}

TEST_CASE("64 levels of nesting and 10,000 tasks are taken, one more is refused with the limit") {
  v1::JobGraph deep;
  std::string parent;
  for (int level = 0; level < 64; ++level) {
    auto* group = deep.add_tasks();
    group->set_name("g");
    group->set_parent(parent);
    group->mutable_group();
    parent += parent.empty() ? "g" : "/g";
  }
  auto* leaf = deep.add_tasks();
  leaf->set_name("leaf");
  leaf->set_parent(parent);
  leaf->mutable_build()->mutable_workload()->add_argv("true");
  CHECK(Expand(DefaultLimits(), &deep).ok());
  leaf->set_parent(parent + "/g");
  auto* more = deep.add_tasks();
  more->set_name("g");
  more->set_parent(parent);
  more->mutable_group();
  CHECK_THAT(ErrorOf(deep), Catch::Contains("max_nesting = 64"));

  v1::JobGraph wide;
  for (int i = 0; i < 10'000; ++i) {
    auto* task = wide.add_tasks();
    task->set_name(absl::StrCat("t", i));
    if (i > 0) task->add_after(absl::StrCat("t", i - 1));
    task->mutable_build()->mutable_workload()->add_argv("true");
  }
  CHECK(Expand(DefaultLimits(), &wide).ok());
  *wide.add_tasks() = wide.tasks(0);
  CHECK_THAT(ErrorOf(wide), Catch::Contains("max_tasks_per_job = 10000"));
}

TEST_CASE("tasks added to a job may name tasks that are already there") {
  v1::JobGraph graph = Parse(Build("b", "after: 'a'") + Build("c", "parent: 'g' after: 'b'"));
  auto expanded = ExpandAdded(DefaultLimits(), graph.mutable_tasks());
  REQUIRE(expanded.ok());
  CHECK(expanded->tasks[0].outer_after == std::vector<std::string>{"a"});
  CHECK(expanded->tasks[1].outer_parent == "g");
  CHECK(expanded->tasks[1].after == std::vector<int>{0});
}

TEST_CASE("the digest of a graph does not depend on the order of map entries") {
  v1::JobGraph a, b;
  (*a.mutable_labels())["x"] = "1";
  (*a.mutable_labels())["y"] = "2";
  (*b.mutable_labels())["y"] = "2";
  (*b.mutable_labels())["x"] = "1";
  CHECK(GraphDigest(a) == GraphDigest(b));
  auto& env_a = *a.add_tasks()->mutable_build()->mutable_workload()->mutable_env();
  auto& env_b = *b.add_tasks()->mutable_build()->mutable_workload()->mutable_env();
  for (const char* name : {"p", "q", "r", "s"}) env_a[name] = "1";
  for (const char* name : {"s", "r", "q", "p"}) env_b[name] = "1";
  CHECK(TasksDigest(a.tasks()) == TasksDigest(b.tasks()));
  b.set_priority(1);
  CHECK(GraphDigest(a) != GraphDigest(b));
}

}  // namespace sextant::job
