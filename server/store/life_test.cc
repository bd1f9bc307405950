// Jobs from submission to end on a real database, without workers: the test is the worker.
#include <google/protobuf/text_format.h>
#include <openssl/sha.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/job/limits.h"
#include "server/job/plan.h"
#include "server/store/blobs.h"
#include "server/store/job_reads.h"
#include "server/store/jobs.h"
#include "server/store/pq.h"
#include "server/store/queue.h"
#include "server/store/steps.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::store {
namespace {

// Everything a coordinator has, and a worker in the test's hands.
struct Service {
  std::unique_ptr<Database> database = TestDatabase::New(8);
  JobStore jobs{database.get()};
  JobReads reads{database.get()};
  QueueStore queue{database.get()};
  StepStore steps{database.get()};
  v1::ServiceLimits limits = job::DefaultLimits();
  v1::WorkerInfo info;

  Service() {
    REQUIRE(google::protobuf::TextFormat::ParseFromString(
        "name: 'w' incarnation: '1' machine_class: 'cpu:x' cpu_slots: 4 "
        "devices { name: 'cpu' kind: 'host' } "
        "backends { name: 'run' available: true } backends { name: 'host' available: true }",
        &info));
    REQUIRE(queue.Register(info, job::SlotOffers(info), 60, {}).ok());
  }

  absl::StatusOr<int64_t> TrySubmit(const std::string& graph, const std::string& request_id,
                                    const std::string& submitter = "") {
    v1::SubmitJobRequest request;
    REQUIRE(google::protobuf::TextFormat::ParseFromString(graph, request.mutable_graph()));
    request.set_request_id(request_id);
    request.set_submitter(submitter);
    auto expanded = job::Expand(limits, request.mutable_graph());
    if (!expanded.ok()) return expanded.status();
    auto accepted = jobs.Submit(request, *expanded, limits, {"default", Reach::All()});
    if (!accepted.ok()) return accepted.status();
    return accepted->job_id;
  }
  int64_t Submit(const std::string& graph, const std::string& submitter = "") {
    static std::atomic<int> n{0};
    auto id = TrySubmit(graph, absl::StrCat("r", ++n), submitter);
    INFO(id.status());
    REQUIRE(id.ok());
    return *id;
  }

  void Step() {
    while (*steps.PlanReady() > 0) {
    }
    while (*steps.SettleMerged() > 0) {
    }
  }
  std::vector<v1::Assignment> Claim(Pool pool, int slots = 4) {
    std::vector<QueueStore::Slot> places;
    for (int i = 0; i < slots; ++i)
      places.push_back({"w", pool == Pool::kDevice ? absl::StrCat("cpu", i) : ""});
    auto claimed = queue.Claim(pool,
                               pool == Pool::kDevice ? job::DeviceOffers(info, info.devices(0))
                                                     : job::SlotOffers(info),
                               places);
    INFO(claimed.status());
    REQUIRE(claimed.ok());
    std::vector<v1::Assignment> assignments;
    for (auto& c : *claimed) assignments.push_back(c.assignment);
    return assignments;
  }
  v1::CommitPassesResponse::Outcome Commit(const v1::PassRef& pass, v1::Cause cause = {}) {
    v1::CommitPassesRequest request;
    request.set_worker("w");
    auto* commit = request.add_commits();
    *commit->mutable_pass() = pass;
    commit->mutable_result()->mutable_exit()->set_verdict(v1::EXITED);
    if (cause != v1::CAUSE_UNSPECIFIED) {
      commit->mutable_result()->mutable_failure()->set_cause(cause);
      commit->mutable_result()->mutable_failure()->set_message("it broke");
    }
    auto response = queue.Commit(request);
    INFO(response.status());
    REQUIRE(response.ok());
    return response->outcomes(0);
  }
  // Runs everything there is until nothing is ready.
  int RunAll() {
    int n = 0;
    while (true) {
      Step();
      auto work = Claim(Pool::kCpu);
      for (auto& a : Claim(Pool::kDevice)) work.push_back(a);
      if (work.empty()) return n;
      for (const auto& a : work) {
        CHECK(Commit(a.pass()).outcome() == v1::COMMITTED);
        ++n;
      }
    }
  }
  v1::JobInfo Job(int64_t id) { return *reads.Job(id); }
  v1::TaskInfo Task(int64_t id, const std::string& path) { return *reads.Task(id, path); }
};

std::string Build(const std::string& name, const std::string& more = "", const std::string& arg = "") {
  return absl::StrCat("tasks { name: '", name, "' ", more, " build { workload { argv: 'make' argv: '",
                      name, arg, "' } } } ");
}
std::string Profile(const std::string& name, int passes, const std::string& program = "p") {
  return absl::StrCat("tasks { name: '", name, "' profile { workload { argv: './", program,
                      "' } passes { backend: 'host' repeat: ", passes, " } } } ");
}

TEST_CASE("a failed optional pass is counted and does not fail its task") {
  Service s;
  const std::string graph =
      "tasks { name: 'p' profile { workload { argv: './p' } passes { backend: 'run' repeat: 2 } "
      "passes { backend: 'host' optional: true } } } ";
  const int64_t id = s.Submit(graph);
  for (int left = 3; left > 0; --left) {
    const auto work = s.Claim(Pool::kDevice, 1);
    REQUIRE(work.size() == 1);
    s.Commit(work[0].pass(), work[0].spec().backend() == "host" ? v1::EMPTY_CAPTURE : v1::Cause{});
  }
  CHECK(s.Task(id, "p").state() == v1::DONE);
  CHECK(s.Task(id, "p").passes_failed() == 1);
  CHECK(s.Job(id).state() == v1::DONE);
}

TEST_CASE("a task whose passes are all optional and all failed has failed") {
  Service s;
  const int64_t id = s.Submit(
      "tasks { name: 'p' profile { workload { argv: './p' } "
      "passes { backend: 'host' optional: true repeat: 2 } } } ");
  for (int left = 2; left > 0; --left)
    s.Commit(s.Claim(Pool::kDevice, 1).at(0).pass(), v1::EMPTY_CAPTURE);
  CHECK(s.Job(id).state() == v1::FAILED);
  CHECK(s.Task(id, "p").failure().message() == "it broke");
}

TEST_CASE("of a pass that hung it is said whether the program hangs without the instrument too") {
  for (const bool clean_hangs : {false, true}) {
    Service s;
    const int64_t id = s.Submit(
        "tasks { name: 'p' profile { workload { argv: './p' } passes { backend: 'run' optional: true } "
        "passes { backend: 'host' } } } ");
    for (int left = 2; left > 0; --left) {
      const auto work = s.Claim(Pool::kDevice, 1);
      REQUIRE(work.size() == 1);
      const bool hangs = work[0].spec().backend() == "host" || clean_hangs;
      v1::CommitPassesRequest request;
      request.set_worker("w");
      auto* commit = request.add_commits();
      *commit->mutable_pass() = work[0].pass();
      auto& result = *commit->mutable_result();
      result.mutable_exit()->set_verdict(hangs ? v1::HANG : v1::EXITED);
      result.mutable_exit()->set_wall_s(0.5);
      if (hangs) {
        result.mutable_failure()->set_cause(v1::PROGRAM_FAILED);
        result.mutable_failure()->set_message("the program did nothing for limits.hang_s");
      }
      REQUIRE(s.queue.Commit(request).ok());
    }
    const char* const said =
        clean_hangs ? "hangs without the instrument too (run)" : "the instrument causes it: without it the program ended";
    CHECK_THAT(s.Task(id, "p").failure().message(), Catch::Contains(said));
    CHECK_THAT(s.reads.Explain(id)->tasks(0).why(), Catch::Contains(said));
  }
}

TEST_CASE("what no live worker offers is said, also of passes that are queued") {
  Service s;
  const int64_t id = s.Submit(Profile("p", 2));
  CHECK_FALSE(s.reads.Explain(id)->tasks(0).nobody());
  s.info.mutable_backends(1)->set_available(false);
  REQUIRE(s.queue.Register(s.info, job::SlotOffers(s.info), 60, {}).ok());
  const auto explained = *s.reads.Explain(id);
  CHECK(explained.tasks(0).nobody());
  CHECK_THAT(explained.tasks(0).why(), Catch::Contains("no live worker offers backend:host"));
  CHECK(explained.tasks(0).waiting_for(0) == "backend:host");
  const int64_t unplanned = s.Submit(Profile("q", 1));
  CHECK(s.reads.Explain(unplanned)->tasks(0).nobody());
}

TEST_CASE("a plan says what would run, what is cached and what nobody can run") {
  Service s;
  const auto plan = [&](const std::string& text, bool fresh = false) {
    v1::JobGraph graph;
    REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &graph));
    graph.set_fresh(fresh);
    const auto expanded = job::Expand(s.limits, &graph);
    REQUIRE(expanded.ok());
    const auto preview = s.reads.PreviewPlan(graph, *expanded, "default");
    INFO(preview.status());
    REQUIRE(preview.ok());
    return *preview;
  };
  v1::PlanJobResponse before = plan(Profile("p", 4) + Build("b"));
  REQUIRE(before.passes_size() == 2);
  CHECK(before.passes(0).task() == "p");
  CHECK(before.passes(0).spec().repeat() == 4);
  CHECK(before.passes(0).pool() == "device");
  CHECK(before.passes(0).cached() == 0);
  CHECK_FALSE(before.passes(0).cost_known());
  CHECK(before.device_s() > 0);
  CHECK(before.passes(1).pool() == "cpu");

  s.Submit(Profile("p", 3));
  CHECK(s.RunAll() == 3);
  CHECK(plan(Profile("p", 4)).passes(0).cached() == 3);
  CHECK(plan(Profile("p", 4), true).passes(0).cached() == 0);

  const v1::PlanJobResponse none =
      plan("tasks { name: 'p' profile { workload { argv: './p' } passes { backend: 'ncu' } } } ");
  CHECK_FALSE(none.passes(0).problem().empty());
  CHECK(none.device_s() == 0);

  const v1::PlanJobResponse chosen =
      plan("tasks { name: 'p' profile { workload { argv: './q' } passes { backend: 'auto' "
           "options { key: 'question' value: 'quick' } } } } ");
  REQUIRE(chosen.passes_size() == 2);
  CHECK(chosen.passes(0).spec().backend() == "run");
  CHECK(chosen.passes(1).spec().optional());
}

TEST_CASE("auto becomes passes when its task is planned") {
  Service s;
  const int64_t id = s.Submit(
      "tasks { name: 'p' profile { workload { argv: './p' } passes { backend: 'auto' "
      "options { key: 'question' value: 'quick' } } } } ");
  CHECK(s.RunAll() == 7);
  CHECK(s.Job(id).state() == v1::DONE);
  CHECK(s.Job(id).passes() == 7);
}

TEST_CASE("tasks run in the order of the graph and the job ends with the last") {
  Service s;
  const int64_t id = s.Submit(Build("a") + Build("b", "after: 'a'") + Build("c", "after: 'b'"));
  CHECK(s.Job(id).state() == v1::WAITING);
  auto work = s.Claim(Pool::kCpu);
  REQUIRE(work.size() == 1);
  CHECK(work[0].task() == "a");
  CHECK(work[0].workload().argv(1) == "a");
  CHECK(work[0].workload().limits().wall_s() == 600);
  CHECK(s.Commit(work[0].pass()).outcome() == v1::COMMITTED);
  CHECK(s.Task(id, "a").state() == v1::DONE);
  CHECK(s.Task(id, "b").state() == v1::READY);
  CHECK(s.Task(id, "c").state() == v1::WAITING);
  CHECK(s.RunAll() == 2);
  CHECK(s.Job(id).state() == v1::DONE);
  const auto events = *s.reads.EventsAfter({{id, 0}}, 1000);
  CHECK(events.front().what() == "accepted");
  CHECK(events.back().what() == "finished");
  for (size_t i = 0; i < events.size(); ++i) CHECK(events[i].seq() == static_cast<int64_t>(i) + 1);
}

TEST_CASE("a profile task is done when all its passes are") {
  Service s;
  const int64_t id = s.Submit(Profile("p", 5));
  CHECK(s.RunAll() == 5);
  CHECK(s.Task(id, "p").passes_done() == 5);
  CHECK(s.Job(id).state() == v1::DONE);
}

TEST_CASE("the first failed pass fails the task, cancels its other passes and fails what waits") {
  Service s;
  const int64_t id =
      s.Submit(Profile("p", 5) + Build("b", "after: 'p'") + Build("c", "after: 'b'") + Build("d"));
  auto work = s.Claim(Pool::kDevice, 2);
  REQUIRE(work.size() == 2);
  CHECK(s.Commit(work[0].pass(), v1::PROGRAM_FAILED).outcome() == v1::COMMITTED);
  CHECK(s.Commit(work[1].pass()).outcome() == v1::PASS_CANCELLED);
  CHECK(s.Task(id, "p").state() == v1::FAILED);
  CHECK(s.Task(id, "p").failure().cause() == v1::PROGRAM_FAILED);
  CHECK(s.Task(id, "c").failure().cause() == v1::INPUT_FAILED);
  CHECK_THAT(s.Task(id, "c").failure().message(), Catch::Contains("task p"));
  CHECK(s.RunAll() == 1);
  CHECK(s.Task(id, "d").state() == v1::DONE);
  CHECK(s.Job(id).state() == v1::FAILED);
  CHECK(s.Job(id).tasks_failed() == 3);
}

TEST_CASE("a repeated job is answered from the cache, and more passes top it up") {
  Service s;
  s.Submit(Profile("p", 3));
  CHECK(s.RunAll() == 3);
  const int64_t again = s.Submit(Profile("p", 3));
  CHECK(s.Job(again).state() == v1::DONE);
  CHECK(s.Job(again).passes_cached() == 3);
  const int64_t more = s.Submit(Profile("p", 5));
  CHECK(s.RunAll() == 2);
  CHECK(s.Job(more).passes_cached() == 3);
  const int64_t fresh = s.Submit("fresh: true " + Profile("p", 3));
  CHECK(s.RunAll() == 3);
  CHECK(s.Job(fresh).passes_cached() == 0);
  const int64_t salted = s.Submit("salt: 'x' " + Profile("p", 3));
  CHECK(s.RunAll() == 3);
  CHECK(s.Job(salted).state() == v1::DONE);
  const auto explained = *s.reads.Explain(salted);
  std::string differs;
  for (const auto& c : explained.tasks(0).components())
    if (c.value() != c.nearest()) differs += c.name();
  CHECK(differs == "salt");
  CHECK(explained.tasks(0).cache() == "miss");
  CHECK(s.reads.Explain(again)->tasks(0).cache() == "hit");
}

TEST_CASE("identical passes in flight are one execution") {
  Service s;
  const int64_t first = s.Submit(Profile("p", 2));
  const int64_t second = s.Submit(Profile("q", 2));
  CHECK(s.RunAll() == 2);
  CHECK(s.Job(first).state() == v1::DONE);
  CHECK(s.Job(second).state() == v1::DONE);
  CHECK(s.Job(second).passes_cached() == 2);
}

TEST_CASE("when the one that runs is cancelled, one that was merged with it runs instead") {
  Service s;
  const int64_t first = s.Submit(Profile("p", 2));
  const int64_t second = s.Submit(Profile("q", 2));
  const int64_t third = s.Submit(Profile("r", 2));
  v1::CancelJobRequest cancel;
  cancel.set_job_id(first);
  REQUIRE(s.jobs.Cancel(cancel).ok());
  CHECK(s.Job(first).state() == v1::CANCELLED);
  CHECK(s.RunAll() == 2);
  CHECK(s.Job(second).state() == v1::DONE);
  CHECK(s.Job(third).state() == v1::DONE);
}

TEST_CASE("a thousand identical submissions at once execute exactly once") {
  Service s;
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 125; ++i)
        if (!s.TrySubmit(Profile("p", 1), absl::StrCat("same-", t, "-", i)).ok()) ++failed;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(failed == 0);
  CHECK(s.RunAll() == 1);
  v1::ListJobsRequest list;
  list.set_page_size(2000);
  const auto jobs = *s.reads.List(list, 2000, Reach::All());
  CHECK(jobs.jobs_size() == 1000);
  for (const auto& job : jobs.jobs()) REQUIRE(job.state() == v1::DONE);
}

TEST_CASE("submissions at once queue no more passes than the bound") {
  Service s;
  s.limits.set_max_queued_passes_per_tenant(10);
  std::atomic<int> accepted{0}, refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 20; ++t) {
    threads.emplace_back([&, t] {
      const auto id = s.TrySubmit(Profile("p", 4, absl::StrCat("program", t)), absl::StrCat("at-once-", t));
      if (id.ok()) ++accepted;
      if (id.status().code() == absl::StatusCode::kResourceExhausted) ++refused;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(accepted == 2);
  CHECK(refused == 18);
  s.Step();
  CHECK((*s.queue.ReadyCounts())[static_cast<int>(Pool::kDevice)] == 8);
}

TEST_CASE("artifacts that a tenant holds already take no room of its quota again") {
  Service s;
  QueueStore bounded(s.database.get(), {.stored_bytes = 100});
  BlobStore blobs(s.database.get(), s.limits);
  v1::Artifact first, second;
  for (auto& [artifact, byte] : {std::pair{&first, 'x'}, {&second, 'y'}}) {
    const std::string bytes(60, byte);
    artifact->set_name("out");
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
    artifact->set_digest(digest, sizeof digest);
    artifact->set_size_bytes(bytes.size());
    REQUIRE(blobs.Put(artifact->digest(), bytes, "worker").ok());
  }
  const int64_t job = s.Submit(Profile("p", 4));
  s.Step();
  const auto passes = s.Claim(Pool::kDevice);
  REQUIRE(passes.size() == 4);
  v1::CommitPassesRequest request;
  const auto add = [&request](const v1::Assignment& assignment, const v1::Artifact& artifact) {
    auto* commit = request.add_commits();
    *commit->mutable_pass() = assignment.pass();
    commit->mutable_result()->mutable_exit()->set_verdict(v1::EXITED);
    *commit->mutable_result()->add_artifacts() = artifact;
  };
  const auto commit = [&] {
    request.set_worker("w");
    const auto response = bounded.Commit(request);
    INFO(response.status());
    REQUIRE(response.ok());
    request.Clear();
  };
  add(passes[0], first);
  add(passes[1], first);   // the same at once
  commit();
  add(passes[2], first);   // and again
  commit();
  CHECK(s.Job(job).passes_done() == 3);
  CHECK(s.Job(job).passes_failed() == 0);
  add(passes[3], second);
  commit();
  CHECK(s.Job(job).passes_failed() == 1);
}

TEST_CASE("one request id is one job, with another graph it is refused") {
  Service s;
  const auto first = s.TrySubmit(Build("a"), "same");
  const auto second = s.TrySubmit(Build("a"), "same");
  CHECK(*first == *second);
  CHECK(s.TrySubmit(Build("b"), "same").status().code() == absl::StatusCode::kAlreadyExists);
}

TEST_CASE("an old epoch is refused and a repeated commit is answered alike") {
  Service s;
  s.Submit(Build("a"));
  const auto first = s.Claim(Pool::kCpu);
  REQUIRE(first.size() == 1);
  s.info.set_incarnation("2");
  REQUIRE(s.queue.Register(s.info, job::SlotOffers(s.info), 60, {}).ok());
  const auto second = s.Claim(Pool::kCpu);
  REQUIRE(second.size() == 1);
  CHECK(second[0].pass().epoch() == first[0].pass().epoch() + 1);
  CHECK(s.Commit(first[0].pass()).outcome() == v1::STALE_EPOCH);
  CHECK(s.Commit(second[0].pass()).outcome() == v1::COMMITTED);
  CHECK(s.Commit(second[0].pass()).outcome() == v1::COMMITTED);
  v1::PassRef unknown;
  unknown.set_pass_id(1 << 30);
  CHECK(s.Commit(unknown).outcome() == v1::UNKNOWN_PASS);
  v1::ServiceDescription description;
  REQUIRE(s.reads.Describe(&description, Reach::All()).ok());
  CHECK(description.duplicate_commits() == 2);
}

TEST_CASE("commits of several workers in one transaction are each answered as if alone") {
  Service s;
  const int64_t one = s.Submit(Build("a")), two = s.Submit(Build("b") + Build("c"));
  const auto work = s.Claim(Pool::kCpu, 3);
  REQUIRE(work.size() == 3);
  const auto request = [](const std::string& worker, const v1::PassRef& pass) {
    v1::CommitPassesRequest made;
    made.set_worker(worker);
    auto* commit = made.add_commits();
    *commit->mutable_pass() = pass;
    commit->mutable_result()->mutable_exit()->set_verdict(v1::EXITED);
    return made;
  };
  v1::PassRef unknown = work[0].pass(), old = work[2].pass();
  unknown.set_pass_id(unknown.pass_id() + 1000);
  old.set_epoch(old.epoch() - 1);
  auto traceless = request("w", work[2].pass());
  traceless.mutable_commits(0)->mutable_result()->set_trace_digest(std::string(32, 'x'));
  const std::vector<v1::CommitPassesRequest> requests = {
      request("w", work[0].pass()), request("w", work[1].pass()), request("w", work[0].pass()),
      request("stranger", work[2].pass()), request("w", unknown), request("w", old), traceless};
  std::vector<const v1::CommitPassesRequest*> together;
  for (const auto& each : requests) together.push_back(&each);
  const auto responses = s.queue.CommitAll(together);
  INFO(responses.status());
  REQUIRE(responses.ok());
  std::vector<v1::CommitOutcome> outcomes;
  for (const auto& response : *responses) {
    REQUIRE(response.outcomes_size() == 1);
    outcomes.push_back(response.outcomes(0).outcome());
  }
  CHECK(outcomes == std::vector<v1::CommitOutcome>{v1::COMMITTED, v1::COMMITTED, v1::COMMITTED,
                                                   v1::STALE_EPOCH, v1::UNKNOWN_PASS,
                                                   v1::STALE_EPOCH, v1::REFUSED});
  CHECK((*responses)[2].outcomes(0).message() == "committed before");
  CHECK(s.Job(one).state() == v1::DONE);
  CHECK(s.Job(two).state() == v1::RUNNING);
  CHECK(s.Commit(work[2].pass()).outcome() == v1::COMMITTED);
  CHECK(s.Job(two).state() == v1::DONE);
}

TEST_CASE("two equal tasks of one job are one execution") {
  Service s;
  const int64_t id = s.Submit(Profile("p", 3) + Profile("q", 4));
  CHECK(s.RunAll() == 4);
  s.Step();
  CHECK(s.Job(id).state() == v1::DONE);
  CHECK(s.Task(id, "p").passes_done() == 3);
  CHECK(s.Task(id, "q").passes_done() == 4);
}

TEST_CASE("an expired lease returns the pass to ready, until attempts are used up") {
  Service s;
  const int64_t id = s.Submit(Build("a"));
  for (int attempt = 1; attempt <= 3; ++attempt) {
    REQUIRE(s.Claim(Pool::kCpu).size() == 1);
    CHECK(*s.queue.TakeBackExpired() == 0);
    REQUIRE(s.queue.Renew({"w"}, -1).ok());
    CHECK(*s.queue.TakeBackExpired() == 1);
    REQUIRE(s.queue.Renew({"w"}, 60).ok());
  }
  CHECK(s.Claim(Pool::kCpu).empty());
  CHECK(s.Task(id, "a").failure().cause() == v1::WORKER_LOST);
  CHECK(s.Job(id).state() == v1::FAILED);
}

TEST_CASE("a failing tool is tried once more") {
  Service s;
  const int64_t id = s.Submit(Build("a"));
  CHECK(s.Commit(s.Claim(Pool::kCpu).at(0).pass(), v1::TOOL_FAILED).outcome() == v1::COMMITTED);
  CHECK(s.Commit(s.Claim(Pool::kCpu).at(0).pass(), v1::TOOL_FAILED).outcome() == v1::COMMITTED);
  CHECK(s.Claim(Pool::kCpu).empty());
  CHECK(s.Task(id, "a").failure().cause() == v1::TOOL_FAILED);
}

TEST_CASE("a group ends with its tasks, and what waits for it starts then") {
  Service s;
  const int64_t id = s.Submit(
      "tasks { name: 'g' group {} } tasks { name: 'h' parent: 'g' group {} } "
      "tasks { name: 'e' parent: 'g' group {} } " +
      Build("a", "parent: 'g/h'") + Build("b", "after: 'g'"));
  auto work = s.Claim(Pool::kCpu);
  REQUIRE(work.size() == 0);  // the group's tasks are planned by the engine
  s.Step();
  work = s.Claim(Pool::kCpu);
  REQUIRE(work.size() == 1);
  CHECK(work[0].task() == "g/h/a");
  CHECK(s.Task(id, "g/e").state() == v1::DONE);
  CHECK(s.Task(id, "g").state() == v1::RUNNING);
  s.Commit(work[0].pass());
  CHECK(s.Task(id, "g").state() == v1::DONE);
  CHECK(s.RunAll() == 1);
  CHECK(s.Job(id).state() == v1::DONE);
}

TEST_CASE("cancelling a group cancels all below it and what waits for it") {
  Service s;
  const int64_t id = s.Submit("tasks { name: 'g' group {} } tasks { name: 'h' parent: 'g' group {} }" +
                              Build("a", "parent: 'g/h'") + Build("b", "after: 'g'") + Build("c"));
  v1::CancelJobRequest cancel;
  cancel.set_job_id(id);
  cancel.set_task("g");
  REQUIRE(s.jobs.Cancel(cancel).ok());
  CHECK(s.Task(id, "g/h/a").state() == v1::CANCELLED);
  CHECK(s.Task(id, "b").state() == v1::CANCELLED);
  CHECK(s.RunAll() == 1);
  CHECK(s.Job(id).state() == v1::CANCELLED);
}

TEST_CASE("tasks added to an open job start at once, and sealing ends it") {
  Service s;
  const int64_t id = s.Submit("open: true " + Build("a"));
  CHECK(s.RunAll() == 1);
  CHECK(s.Job(id).state() == v1::RUNNING);
  v1::AddTasksRequest add;
  add.set_job_id(id);
  add.set_request_id("add-1");
  v1::JobGraph more;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(
      Build("b", "after: 'a'") + Build("c", "after: 'b'"), &more));
  *add.mutable_tasks() = more.tasks();
  auto expanded = job::ExpandAdded(s.limits, add.mutable_tasks());
  REQUIRE(expanded.ok());
  const auto added = s.jobs.AddTasks(add, *expanded, s.limits, Reach::All());
  REQUIRE(added.ok());
  CHECK(s.Claim(Pool::kCpu).at(0).task() == "b");
  const auto repeated = s.jobs.AddTasks(add, *expanded, s.limits, Reach::All());
  CHECK(repeated->existing());
  CHECK(repeated->task_ids(1) == added->task_ids(1));
  v1::SealJobRequest seal;
  seal.set_job_id(id);
  REQUIRE(s.jobs.Seal(seal).ok());
  add.set_request_id("add-2");
  CHECK(s.jobs.AddTasks(add, *expanded, s.limits, Reach::All()).status().code() ==
        absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("an open job that is sealed when empty is done") {
  Service s;
  const int64_t id = s.Submit("open: true");
  CHECK(s.Job(id).state() == v1::WAITING);
  v1::SealJobRequest seal;
  seal.set_job_id(id);
  REQUIRE(s.jobs.Seal(seal).ok());
  CHECK(s.Job(id).state() == v1::DONE);
}

TEST_CASE("a client supplies the result of an external task") {
  Service s;
  const int64_t id = s.Submit("tasks { name: 'x' external { instructions: 'look' } }" +
                              Build("b", "after: 'x'"));
  CHECK(s.Task(id, "x").state() == v1::RUNNING);
  v1::CompleteTaskRequest complete;
  complete.set_job_id(id);
  complete.set_task("b");
  CHECK(s.jobs.CompleteExternal(complete, Reach::All()).code() == absl::StatusCode::kFailedPrecondition);
  complete.set_task("x");
  CHECK(s.jobs.CompleteExternal(complete, Reach::All()).ok());
  CHECK(s.jobs.CompleteExternal(complete, Reach::All()).ok());  // repeated, as after a commit in doubt
  complete.set_failed(true);
  CHECK(s.jobs.CompleteExternal(complete, Reach::All()).code() == absl::StatusCode::kFailedPrecondition);
  CHECK(s.RunAll() == 1);
  CHECK(s.Job(id).state() == v1::DONE);
}

TEST_CASE("what is past its deadline fails") {
  Service s;
  const int64_t id = s.Submit("deadline_s: 0.001 " + Build("a"));
  while (*s.jobs.FailOverdue() == 0) {
  }
  CHECK(s.Job(id).state() == v1::FAILED);
  CHECK(s.Task(id, "a").failure().cause() == v1::DEADLINE_PASSED);
  CHECK(s.Claim(Pool::kCpu).empty());
}

TEST_CASE("a task no worker can run stays ready, says why, and runs once one can") {
  Service s;
  const int64_t id = s.Submit(
      "tasks { name: 'p' profile { workload { argv: 'x' } passes { backend: 'activity' } } }");
  s.Step();
  CHECK(s.Task(id, "p").state() == v1::READY);
  CHECK_THAT(s.reads.Explain(id)->tasks(0).why(), Catch::Contains("no worker offers backend activity"));
  const v1::Event told = s.reads.EventsAfter({{id, 0}}, 1000)->back();
  CHECK(told.what() == "waiting");
  CHECK_THAT(told.message(), Catch::Contains("no worker offers backend activity"));
  auto* offer = s.info.add_backends();
  offer->set_name("activity");
  offer->set_available(true);
  REQUIRE(s.queue.Register(s.info, job::SlotOffers(s.info), 60, {}).ok());
  CHECK(s.RunAll() == 1);
  CHECK(s.Job(id).state() == v1::DONE);
}

TEST_CASE("submitters take turns, and higher priorities go first") {
  Service s;
  std::string many;
  for (int i = 0; i < 6; ++i) many += Build(absl::StrCat("m", i));
  s.Submit(many, "greedy");
  s.Submit(Build("one") + Build("two"), "modest");
  s.Submit("priority: 5 " + Build("urgent"), "greedy");
  std::vector<std::string> order;
  for (int i = 0; i < 5; ++i) {
    auto work = s.Claim(Pool::kCpu, 1);
    REQUIRE(work.size() == 1);
    order.push_back(work[0].task());
  }
  CHECK(order == std::vector<std::string>{"urgent", "m0", "one", "m1", "two"});
}

TEST_CASE("two passes never measure on one device of a worker") {
  Service s;
  s.Submit(Profile("p", 3));
  auto slots = std::vector<QueueStore::Slot>{{"w", "cpu"}};
  const auto offers = job::DeviceOffers(s.info, s.info.devices(0));
  REQUIRE(s.queue.Claim(Pool::kDevice, offers, slots)->size() == 1);
  CHECK(s.queue.Claim(Pool::kDevice, offers, slots).status().code() ==
        absl::StatusCode::kAlreadyExists);
}

TEST_CASE("a 10,000-task graph is taken in one transaction") {
  Service s;
  std::string graph;
  for (int i = 0; i < 10'000; ++i)
    graph += Build(absl::StrCat("t", i), i >= 100 ? absl::StrCat("after: 't", i - 100, "'") : "");
  const int64_t id = s.Submit(graph);
  CHECK(s.Job(id).tasks() == 10'000);
  v1::CancelJobRequest cancel;
  cancel.set_job_id(id);
  REQUIRE(s.jobs.Cancel(cancel).ok());
  CHECK(s.Job(id).tasks_cancelled() == 10'000);
  CHECK(s.Job(id).state() == v1::CANCELLED);
}

}  // namespace
}  // namespace sextant::store
