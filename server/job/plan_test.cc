#include "server/job/plan.h"

#include <google/protobuf/text_format.h>

#include "tests/catch.h"

namespace sextant::job {
namespace {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

const char kWorker[] =
    "name: 'w' machine_class: 'cpu:x' devices { name: 'cpu' kind: 'host' machine_class: 'cpu:x' } "
    "backends { name: 'run' available: true tool_digest: '1' } "
    "backends { name: 'host' available: true tool_digest: '2' } "
    "backends { name: 'activity' reason: 'no GPU' } rootfs_allowed: '/roots'";

PlanContext Context() {
  return {{Parse<v1::WorkerInfo>(kWorker)}, ""};
}

}  // namespace

TEST_CASE("a profile task is planned onto a device of one machine class") {
  auto task = Parse<v1::TaskSpec>(
      "name: 't' profile { workload { argv: './p' } passes { backend: 'host' repeat: 20 } }");
  auto planned = PlanTask(Context(), task);
  REQUIRE(planned.ok());
  REQUIRE(planned->size() == 1);
  CHECK((*planned)[0].pool == 1);
  CHECK((*planned)[0].spec.repeat() == 20);
  CHECK((*planned)[0].needs ==
        std::vector<std::string>{"backend:host", "class:cpu:x", "device:host"});
  CHECK((*planned)[0].key.digest.size() == 32);
}

TEST_CASE("a program whose kernels are looked into takes the GPU in its clean pass too") {
  PlanContext context{{Parse<v1::WorkerInfo>(
                          std::string(kWorker) +
                          " backends { name: 'counters' available: true device_kind: 'gpu' } "
                          "devices { name: 'gpu0' kind: 'gpu' machine_class: 'gpu:a' unhealthy: 'Xid 79' } "
                          "devices { name: 'gpu1' kind: 'gpu' machine_class: 'gpu:b' }")},
                      ""};
  auto task = Parse<v1::TaskSpec>(
      "name: 't' profile { workload { argv: './p' } passes { backend: 'counters' } "
      "passes { backend: 'run' } passes { backend: 'host' options { key: 'device' value: 'host' } } }");
  auto planned = PlanTask(context, task);
  REQUIRE(planned.ok());
  REQUIRE(planned->size() == 3);
  CHECK((*planned)[0].needs ==
        std::vector<std::string>{"backend:counters", "class:gpu:b", "device:gpu"});
  CHECK((*planned)[1].needs == std::vector<std::string>{"backend:run", "class:gpu:b", "device:gpu"});
  CHECK((*planned)[2].needs ==
        std::vector<std::string>{"backend:host", "class:cpu:x", "device:host"});
  CHECK((*planned)[2].spec.options().empty());  // not the backend's to read
}

TEST_CASE("a GPU is asked for by a pass's option or by the workload, in every kind of task") {
  PlanContext context{{Parse<v1::WorkerInfo>(
                          std::string(kWorker) +
                          " devices { name: 'gpu0' kind: 'gpu' machine_class: 'gpu:a' }")},
                      ""};
  auto task = Parse<v1::TaskSpec>(
      "name: 't' profile { workload { argv: './p' } passes { backend: 'run' "
      "options { key: 'device' value: 'gpu' } } }");
  auto planned = PlanTask(context, task);
  REQUIRE(planned.ok());
  CHECK((*planned)[0].needs == std::vector<std::string>{"backend:run", "class:gpu:a", "device:gpu"});
  task = Parse<v1::TaskSpec>("name: 't' verify { workload { argv: './p' device: 'gpu' } }");
  planned = PlanTask(context, task);
  REQUIRE(planned.ok());
  CHECK((*planned)[0].pool == 1);
  CHECK((*planned)[0].needs == std::vector<std::string>{"backend:run", "class:gpu:a", "device:gpu"});
  CHECK_THAT(std::string(PlanTask(Context(), task).status().message()),
             Catch::Contains("w: it has no device of kind gpu"));
}

TEST_CASE("a backend nobody offers is refused with the workers' reasons") {
  auto task = Parse<v1::TaskSpec>(
      "name: 't' profile { workload { argv: './p' } passes { backend: 'activity' } }");
  CHECK_THAT(std::string(PlanTask(Context(), task).status().message()),
             Catch::Contains("w: no GPU"));
  (*task.mutable_profile()->mutable_passes(0)).set_backend("magic");
  CHECK_THAT(std::string(PlanTask(Context(), task).status().message()),
             Catch::Contains("w does not have it"));
}

TEST_CASE("a backend is refused beside a tool that it cannot share a process with") {
  PlanContext context = Context();
  context.workers[0].mutable_backends(1)->add_features("excludes-env:CUDA_INJECTION64_PATH");
  auto task = Parse<v1::TaskSpec>(
      "name: 't' profile { workload { argv: './p' env { key: 'CUDA_INJECTION64_PATH' value: '/x.so' } }"
      " passes { backend: 'host' } }");
  CHECK_THAT(std::string(PlanTask(context, task).status().message()),
             Catch::Contains("workload.env[\"CUDA_INJECTION64_PATH\"]: backend host cannot share"));
  task.mutable_profile()->mutable_passes(0)->set_backend("run");
  CHECK(PlanTask(context, task).ok());
  task.mutable_profile()->mutable_passes(0)->set_backend("host");
  task.mutable_profile()->mutable_workload()->clear_env();
  CHECK(PlanTask(context, task).ok());
}

TEST_CASE("a key changes with each thing that decides a result, and with nothing else") {
  const auto base = Parse<v1::Workload>(
      "argv: 'a' argv: 'b' env { key: 'K' value: 'V' } limits { pids: 5 wall_s: 3 }");
  const auto spec = Parse<v1::PassSpec>("backend: 'host' options { key: 'o' value: '1' }");
  const std::string key = MakeCacheKey({base, spec, "profile", "t", "m", ""}).digest;
  auto changed = base;
  changed.set_argv(0, "a b");
  changed.mutable_argv()->RemoveLast();
  CHECK(MakeCacheKey({changed, spec, "profile", "t", "m", ""}).digest != key);
  changed = base;
  (*changed.mutable_env())["K"] = "W";
  CHECK(MakeCacheKey({changed, spec, "profile", "t", "m", ""}).digest != key);
  changed = base;
  changed.mutable_limits()->set_wall_s(99);
  CHECK(MakeCacheKey({changed, spec, "profile", "t", "m", ""}).digest == key);
  CHECK(MakeCacheKey({base, spec, "profile", "t2", "m", ""}).digest != key);
  CHECK(MakeCacheKey({base, spec, "profile", "t", "m2", ""}).digest != key);
  CHECK(MakeCacheKey({base, spec, "profile", "t", "m", "s"}).digest != key);
}

TEST_CASE("a root file system is matched by the prefix a worker allows") {
  auto task = Parse<v1::TaskSpec>(
      "name: 't' build { workload { argv: './p' rootfs: '/roots/debian' } }");
  auto planned = PlanTask(Context(), task);
  REQUIRE(planned.ok());
  CHECK((*planned)[0].needs == std::vector<std::string>{"backend:run", "rootfs:/roots"});
  task.mutable_build()->mutable_workload()->set_rootfs("/rootsother");
  CHECK_FALSE(PlanTask(Context(), task).ok());
}

TEST_CASE("optional passes that nobody offers are left out, but not all of a task's") {
  auto task = Parse<v1::TaskSpec>(
      "name: 't' profile { workload { argv: './p' } passes { backend: 'host' } "
      "passes { backend: 'activity' optional: true } }");
  const auto planned = PlanTask(Context(), task);
  REQUIRE(planned.ok());
  REQUIRE(planned->size() == 1);
  CHECK((*planned)[0].spec.backend() == "host");

  task.mutable_profile()->mutable_passes()->DeleteSubrange(0, 1);
  const auto status = PlanTask(Context(), task).status();
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(status.message().find("no GPU") != std::string::npos);
}

}  // namespace sextant::job
