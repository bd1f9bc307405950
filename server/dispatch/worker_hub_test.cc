#include "server/dispatch/worker_hub.h"

#include <google/protobuf/text_format.h>

#include "server/job/limits.h"
#include "server/store/job_reads.h"
#include "server/store/jobs.h"
#include "server/store/steps.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::dispatch {
namespace {

// One worker's end of a stream.
struct FakeWorker {
  v1::WorkerState state;
  std::vector<v1::DesiredState> told;
  FakeWorker() {
    REQUIRE(google::protobuf::TextFormat::ParseFromString(
        "info { name: 'w' incarnation: '1' machine_class: 'c' cpu_slots: 1 "
        "devices { name: 'cpu' kind: 'host' } backends { name: 'run' available: true } "
        "backends { name: 'host' available: true } }",
        &state));
  }
  WorkerHub::Send Sink() {
    return [this](const v1::DesiredState& desired) {
      told.push_back(desired);
      return true;
    };
  }
  std::vector<v1::PassRef> Started() const {
    std::vector<v1::PassRef> refs;
    for (const auto& desired : told)
      for (const auto& assignment : desired.start()) refs.push_back(assignment.pass());
    return refs;
  }
  std::vector<v1::PassRef> Stopped() const {
    std::vector<v1::PassRef> refs;
    for (const auto& desired : told)
      for (const auto& ref : desired.stop()) refs.push_back(ref);
    return refs;
  }
};

struct Service {
  std::unique_ptr<store::Database> database = store::TestDatabase::New();
  store::JobStore jobs{database.get()};
  store::QueueStore queue{database.get()};
  store::StepStore steps{database.get()};
  WorkerHub hub{&queue, {}};

  int64_t Submit(const std::string& graph) {
    static int n = 0;
    v1::SubmitJobRequest request;
    request.set_request_id(std::to_string(++n));
    REQUIRE(google::protobuf::TextFormat::ParseFromString(graph, request.mutable_graph()));
    const auto limits = job::DefaultLimits();
    auto expanded = job::Expand(limits, request.mutable_graph());
    REQUIRE(expanded.ok());
    auto accepted = jobs.Submit(request, *expanded, limits, {"default", store::Reach::All()});
    REQUIRE(accepted.ok());
    while (*steps.PlanReady() > 0) {
    }
    return accepted->job_id;
  }
};

const char kThree[] =
    "tasks { name: 'p' profile { workload { argv: 'x' } passes { backend: 'host' repeat: 3 } } }"
    "tasks { name: 'b' build { workload { argv: 'y' } } }";

TEST_CASE("a worker gets one measuring pass per device, and CPU tasks beside it") {
  Service s;
  FakeWorker w;
  REQUIRE(s.hub.Attach(w.state, w.Sink()).ok());
  s.Submit(kThree);
  CHECK(*s.hub.HandOut() == 2);
  CHECK(*s.hub.HandOut() == 0);
  REQUIRE(w.Started().size() == 2);
  v1::CommitPassesRequest commit;
  commit.set_worker("w");
  for (const auto& ref : w.Started()) *commit.add_commits()->mutable_pass() = ref;
  const auto response = s.hub.Commit({&commit})[0];
  REQUIRE(response.ok());
  for (const auto& outcome : response->outcomes()) CHECK(outcome.outcome() == v1::COMMITTED);
  CHECK(*s.hub.HandOut() == 1);
}

TEST_CASE("a commit that the database refuses does not harm those written with it") {
  Service s;
  FakeWorker w;
  REQUIRE(s.hub.Attach(w.state, w.Sink()).ok());
  s.Submit(kThree);
  REQUIRE(*s.hub.HandOut() == 2);
  v1::CommitPassesRequest good, bad;
  good.set_worker("w");
  *good.add_commits()->mutable_pass() = w.Started()[0];
  bad.set_worker("\xff");   // PostgreSQL takes no text that is not UTF-8
  *bad.add_commits()->mutable_pass() = w.Started()[1];
  const auto answers = s.hub.Commit({&bad, &good});
  REQUIRE(answers.size() == 2);
  CHECK_FALSE(answers[0].ok());
  REQUIRE(answers[1].ok());
  CHECK(answers[1]->outcomes(0).outcome() == v1::COMMITTED);
}

TEST_CASE("a pass that was cancelled is stopped") {
  Service s;
  FakeWorker w;
  REQUIRE(s.hub.Attach(w.state, w.Sink()).ok());
  const int64_t id = s.Submit(kThree);
  REQUIRE(*s.hub.HandOut() == 2);
  REQUIRE(s.hub.Reconcile(false).ok());
  CHECK(w.Stopped().empty());
  v1::CancelJobRequest cancel;
  cancel.set_job_id(id);
  REQUIRE(s.jobs.Cancel(cancel).ok());
  REQUIRE(s.hub.Reconcile(false).ok());
  CHECK(w.Stopped().size() == 2);
}

TEST_CASE("a worker that comes back learns again what it was given and did not get") {
  Service s;
  FakeWorker w;
  const auto session = s.hub.Attach(w.state, [](const v1::DesiredState&) { return false; });
  REQUIRE(session.ok());
  s.Submit(kThree);
  REQUIRE(*s.hub.HandOut() == 2);
  s.hub.Detach(*session);
  REQUIRE(s.hub.Attach(w.state, w.Sink()).ok());
  CHECK(w.Started().size() == 2);
  CHECK(*s.hub.HandOut() == 0);
}

TEST_CASE("a pass the worker shows but does not hold any more is stopped at once") {
  Service s;
  FakeWorker w;
  auto* progress = w.state.add_running();
  progress->mutable_pass()->set_pass_id(77);
  progress->mutable_pass()->set_epoch(1);
  REQUIRE(s.hub.Attach(w.state, w.Sink()).ok());
  REQUIRE(w.Stopped().size() == 1);
  CHECK(w.Stopped()[0].pass_id() == 77);
}

TEST_CASE("a lease is renewed in the database before the worker hears of it") {
  Service s;
  FakeWorker w;
  const auto session = s.hub.Attach(w.state, w.Sink());
  REQUIRE(session.ok());
  w.told.clear();
  REQUIRE(s.hub.Report(*session, w.state).ok());
  CHECK(w.told.empty());
  REQUIRE(s.hub.RenewLeases().ok());
  REQUIRE(w.told.size() == 1);
  CHECK(w.told[0].lease_s() == 60);
}

TEST_CASE("a draining worker gets no more work, and a worker without a name is refused") {
  Service s;
  FakeWorker w;
  w.state.set_draining(true);
  REQUIRE(s.hub.Attach(w.state, w.Sink()).ok());
  s.Submit(kThree);
  CHECK(*s.hub.HandOut() == 0);
  w.state.mutable_info()->clear_name();
  CHECK(s.hub.Attach(w.state, w.Sink()).status().message() ==
        "info.name: 1 to 256 bytes, unique among workers");
}

TEST_CASE("several GPUs of a class measure at once, one pass each; one that is not well gets none") {
  Service s;
  FakeWorker w;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(
      "info { name: 'w' incarnation: '1' machine_class: 'c' cpu_slots: 1 "
      "devices { name: 'cpu' kind: 'host' } "
      "devices { name: 'gpu0' kind: 'gpu' machine_class: 'g' } "
      "devices { name: 'gpu1' kind: 'gpu' machine_class: 'g' } "
      "devices { name: 'gpu2' kind: 'gpu' machine_class: 'g' unhealthy: 'Xid 79' } "
      "backends { name: 'run' available: true } }",
      &w.state));
  const auto session = s.hub.Attach(w.state, w.Sink());
  REQUIRE(session.ok());
  s.Submit("tasks { name: 'p' profile { workload { argv: 'x' device: 'gpu' } "
           "passes { backend: 'run' repeat: 4 } } }");
  CHECK(*s.hub.HandOut() == 2);
  CHECK(*s.hub.HandOut() == 0);

  // The GPU of the first turns out to be broken: the pass is ready again, for the other GPU alone.
  v1::CommitPassesRequest commit;
  commit.set_worker("w");
  *commit.add_commits()->mutable_pass() = w.Started()[0];
  auto& failure = *commit.mutable_commits(0)->mutable_result()->mutable_failure();
  failure.set_cause(v1::DEVICE_UNHEALTHY);
  failure.set_message("4 new uncorrectable ECC errors");
  REQUIRE(s.hub.Commit({&commit})[0].ok());
  CHECK(*s.hub.HandOut() == 0);

  // The database knows too, and forgets when the worker says so.
  v1::ServiceDescription described;
  REQUIRE(store::JobReads(s.database.get()).Describe(&described, store::Reach::All()).ok());
  int unhealthy = 0;
  for (const auto& device : described.workers(0).info().devices())
    unhealthy += device.unhealthy() == "4 new uncorrectable ECC errors";
  CHECK(unhealthy == 1);
  REQUIRE(s.hub.Report(*session, w.state).ok());
  CHECK(*s.hub.HandOut() == 1);
}

TEST_CASE("a backend that a worker offers later lets the tasks that wait for it be planned") {
  Service s;
  FakeWorker w;
  const auto session = s.hub.Attach(w.state, w.Sink());
  REQUIRE(session.ok());
  s.Submit("tasks { name: 'p' profile { workload { argv: 'x' } passes { backend: 'late' } } }");
  CHECK(*s.hub.HandOut() == 0);
  auto& offer = *w.state.mutable_info()->add_backends();
  offer.set_name("late");
  offer.set_available(true);
  REQUIRE(s.hub.Report(*session, w.state).ok());
  while (*s.steps.PlanReady() > 0) {
  }
  CHECK(*s.hub.HandOut() == 1);
}

}  // namespace
}  // namespace sextant::dispatch
