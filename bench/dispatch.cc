// From SubmitJob to the start of the program, with and without the sandbox; durable completions; a
// thousand idle workers and a thousand watchers at once. Beside it Graphile Worker on the same
// PostgreSQL (bench/peers/graphile.mjs).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/fake_worker.h"
#include "bench/service.h"

namespace sextant::bench {
namespace {

constexpr int kLatencyJobs = 300;
constexpr int kIdle = 1000;

v1::SubmitJobRequest OneTask(const std::string& id, int tasks = 1) {
  v1::SubmitJobRequest request;
  request.set_request_id(id);
  request.mutable_graph()->set_salt(id);  // never answered from the cache
  for (int i = 0; i < tasks; ++i) {
    auto* task = request.mutable_graph()->add_tasks();
    task->set_name("t" + std::to_string(i));
    auto* workload = task->mutable_build()->mutable_workload();
    workload->add_argv("/bin/true");
    workload->add_argv(std::to_string(i));
  }
  return request;
}

int64_t Submit(Service& service, const v1::SubmitJobRequest& request) {
  grpc::ClientContext context;
  v1::SubmitJobResponse response;
  Must(service.client().SubmitJob(&context, request, &response), "SubmitJob");
  return response.job_id();
}

double UnixSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Milliseconds from the call of SubmitJob to the start of the program, one job after another.
std::vector<double> SubmitToStart(Service& service, const std::string& prefix) {
  std::vector<double> latencies;
  for (int i = 0; i < kLatencyJobs + 20; ++i) {
    const auto request = OneTask(prefix + std::to_string(i));
    const double begin = UnixSeconds();
    const int64_t job = Submit(service, request);
    v1::GetJobRequest get;
    get.set_job_id(job);
    get.set_with_passes(true);
    get.set_wait_s(30);
    grpc::ClientContext context;
    v1::GetJobResponse response;
    Must(service.client().GetJob(&context, get, &response), "GetJob");
    if (response.job().state() != v1::DONE) {
      std::fprintf(stderr, "job %ld: %s\n", static_cast<long>(job),
                   response.job().failure().message().c_str());
      std::exit(1);
    }
    if (i >= 20)  // the first ones warm connections and caches
      latencies.push_back((response.passes(0).started_unix_ns() * 1e-9 - begin) * 1e3);
  }
  return latencies;
}

v1::WorkerInfo Idle(const std::string& name) {
  v1::WorkerInfo info;
  info.set_name(name);
  return info;
}

v1::WorkerInfo WorksOnAnything(const std::string& name) {
  v1::WorkerInfo info = Idle(name);
  info.set_cpu_slots(100'000);
  info.set_machine_class("bench");
  auto* backend = info.add_backends();
  backend->set_name("run");
  backend->set_available(true);
  return info;
}

class Watcher : public grpc::ClientReadReactor<v1::Event> {
 public:
  Watcher(v1::Sextant::Stub* stub, int64_t job_id) {
    request_.set_job_id(job_id);
    stub->async()->WatchJob(&context_, &request_, this);
    StartRead(&event_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    ++events_;
    StartRead(&event_);
  }
  void OnDone(const grpc::Status&) override { done_ = true; }
  int events() const { return events_; }
  void End() {
    context_.TryCancel();
    while (!done_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

 private:
  grpc::ClientContext context_;
  v1::WatchJobRequest request_;
  v1::Event event_;
  std::atomic<int> events_{0};
  std::atomic<bool> done_{false};
};

// Commits `passes` in requests of `batch`, from `threads` threads. Returns commits per second.
double Commit(Service& service, const std::vector<v1::PassRef>& passes, int batch, int threads) {
  std::atomic<size_t> next{0};
  const double begin = NowS();
  std::vector<std::thread> list;
  for (int t = 0; t < threads; ++t) {
    list.emplace_back([&] {
      auto stub = v1::Workers::NewStub(service.NewChannel());
      while (true) {
        const size_t from = next.fetch_add(batch);
        if (from >= passes.size()) return;
        v1::CommitPassesRequest request;
        request.set_worker("fake");
        for (size_t i = from; i < std::min(passes.size(), from + batch); ++i) {
          auto* commit = request.add_commits();
          *commit->mutable_pass() = passes[i];
          commit->mutable_result()->mutable_exit()->set_verdict(v1::EXITED);
        }
        grpc::ClientContext context;
        v1::CommitPassesResponse response;
        Must(stub->CommitPasses(&context, request, &response), "CommitPasses");
        for (const auto& outcome : response.outcomes())
          if (outcome.outcome() != v1::COMMITTED) {
            std::fprintf(stderr, "commit: %s\n", outcome.message().c_str());
            std::exit(1);
          }
      }
    });
  }
  for (auto& thread : list) thread.join();
  return static_cast<double>(passes.size()) / (NowS() - begin);
}

std::pair<double, double> Completions(Service& service) {
  constexpr int kClients = 16, kSingle = 4000, kBatched = 40'000, kPerJob = 2000;
  auto stub = v1::Workers::NewStub(service.NewChannel());
  FakeWorker worker(stub.get(), WorksOnAnything("fake"));
  for (int i = 0; i < (kSingle + kBatched) / kPerJob; ++i)
    Submit(service, OneTask("commit" + std::to_string(i), kPerJob));
  std::vector<v1::PassRef> passes;
  for (const auto& assignment : worker.WaitGiven(kSingle + kBatched))
    passes.push_back(assignment.pass());
  // Singly: passes of many jobs, as they come from many workers: a job's commits wait for one another.
  std::vector<v1::PassRef> mixed, batched;
  for (size_t n = 0; n < kPerJob; ++n)
    for (size_t job = 0; job * kPerJob + n < passes.size(); ++job)
      (mixed.size() < kSingle ? mixed : batched).push_back(passes[job * kPerJob + n]);
  const double singly = Commit(service, mixed, 1, kClients);
  const double in_batches = Commit(service, batched, 500, 2);
  worker.End();
  return {singly, in_batches};
}

// Returns how many idle workers and watchers were attached at once and served.
std::pair<int, int> Crowd(Service& service) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < 20; ++i) channels.push_back(service.NewChannel());
  std::vector<std::unique_ptr<v1::Workers::Stub>> worker_stubs;
  std::vector<std::unique_ptr<v1::Sextant::Stub>> watch_stubs;
  for (auto& channel : channels) {
    worker_stubs.push_back(v1::Workers::NewStub(channel));
    watch_stubs.push_back(v1::Sextant::NewStub(channel));
  }
  auto open = OneTask("watched");
  open.mutable_graph()->set_open(true);
  const int64_t job = Submit(service, open);
  std::vector<std::unique_ptr<FakeWorker>> workers;
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < kIdle; ++i) {
    workers.push_back(std::make_unique<FakeWorker>(worker_stubs[i % 20].get(),
                                                   Idle("idle" + std::to_string(i))));
    watchers.push_back(std::make_unique<Watcher>(watch_stubs[i % 20].get(), job));
  }
  int attached = 0, served = 0;
  for (int i = 0; i < 1000 && (attached < kIdle || served < kIdle); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    attached = static_cast<int>(std::count_if(workers.begin(), workers.end(),
                                              [](auto& w) { return w->answered(); }));
    served = static_cast<int>(std::count_if(watchers.begin(), watchers.end(),
                                            [](auto& w) { return w->events() > 0; }));
  }
  for (auto& worker : workers) worker->End();
  for (auto& watcher : watchers) watcher->End();
  return {attached, served};
}

// The peer's p50 in milliseconds, or NaN with a note when it cannot be had.
double Peer(Service& service) {
  const std::string out = service.directory() + "/peer.json";
  const std::string command = "bench/peers/graphile.sh '" + service.Conninfo() + "' " +
                              std::to_string(kLatencyJobs) + " >" + out;
  if (std::system(command.c_str()) != 0) {
    std::printf("Graphile Worker could not be run (see above)\n");
    return NAN;
  }
  FILE* file = std::fopen(out.c_str(), "r");
  char text[256] = {};
  if (file == nullptr || std::fgets(text, sizeof(text), file) == nullptr) return NAN;
  std::fclose(file);
  return nlohmann::json::parse(text)["p50_ms"].get<double>();
}

struct Row {
  const char* figure;
  const char* what;
  const char* unit;
  const char* target;
};
constexpr Row kRows[] = {
    {"submit_to_start_ms_p50", "submit → start, no sandbox, p50", "ms", "≤ 3"},
    {"submit_to_start_ms_p99", "submit → start, no sandbox, p99", "ms", "≤ 10"},
    {"sandbox_added_ms_p50", "added by the sandbox, p50", "ms", "≤ 15"},
    {"peer_submit_to_start_ms_p50", "Graphile Worker, submit → start, p50", "ms", ""},
    {"completions_per_s_core", "durable completions, singly, per core", "/s", "≥ 1000"},
    {"completions_batched_per_s_core", "durable completions, batches of 500, per core", "/s",
     "≥ 10000"},
    {"idle_workers", "idle workers attached at once", "", "1000"},
    {"watchers", "watchers served at once", "", "1000"},
};

// `only` empty: all parts.
void Main(const std::string& only) {
  std::map<std::string, double> figures;
  // The worker that is only a stream does not renew its lease.
  Service service({"--limit", "worker_lease_s=3600"});
  if (only.empty() || only == "start") {
    service.StartWorker("bare", {"--no-sandbox"});
    const auto bare = SubmitToStart(service, "bare");
    service.StopWorker("bare");
    service.StartWorker("boxed", {});
    const auto boxed = SubmitToStart(service, "boxed");
    service.StopWorker("boxed");
    figures["submit_to_start_ms_p50"] = Quantile(bare, 0.5);
    figures["submit_to_start_ms_p99"] = Quantile(bare, 0.99);
    figures["sandbox_added_ms_p50"] = Quantile(boxed, 0.5) - Quantile(bare, 0.5);
    figures["peer_submit_to_start_ms_p50"] = Peer(service);
  }
  // Of the whole machine: clients, coordinator and PostgreSQL share its cores.
  const double cores = std::max(1u, std::thread::hardware_concurrency());
  if (only.empty() || only == "completions") {
    const auto [singly, batched] = Completions(service);
    figures["completions_per_s_core"] = singly / cores;
    figures["completions_batched_per_s_core"] = batched / cores;
  }
  if (only.empty() || only == "crowd") {
    const auto [workers, watchers] = Crowd(service);
    figures["idle_workers"] = workers;
    figures["watchers"] = watchers;
  }
  std::printf("%-52s %10s %10s\n", "", "measured", "target");
  Figures line;
  for (const Row& row : kRows) {
    const auto figure = figures.find(row.figure);
    if (figure == figures.end()) continue;
    std::printf("%-52s %10.2f %-5s %s\n", row.what, figure->second, row.unit, row.target);
    line.Add(figure->first, figure->second);
  }
  line.Print("dispatch");
}

}  // namespace
}  // namespace sextant::bench

int main(int argc, char** argv) {
  CLI::App app("From submit to start, completions, and a crowd of workers and watchers");
  std::string only;
  app.add_option("--only", only, "one part: start, completions or crowd")
      ->check(CLI::IsMember({"start", "completions", "crowd"}));
  CLI11_PARSE(app, argc, argv);
  sextant::bench::Main(only);
  return 0;
}
