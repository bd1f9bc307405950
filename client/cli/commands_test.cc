#include <google/protobuf/util/json_util.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "client/cli/app.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/fake_service.h"
#include "client/cli/test_program.h"
#include "client/cli/text.h"
#include "tests/catch.h"

namespace sextant::cli {
namespace {

v1::Event EventOf(int64_t seq, const std::string& what, v1::State state) {
  v1::Event event;
  event.set_seq(seq);
  event.set_job_id(7);
  event.set_what(what);
  event.set_state(state);
  return event;
}

v1::Timeline SmallTimeline() {
  v1::Timeline t;
  t.set_job_id(7);
  t.set_program("prog");
  t.add_quantiles(0.5);
  v1::RoleLane& lane = *t.add_lanes();
  lane.set_role("main");
  v1::InstanceStat& stat = *lane.add_instances();
  stat.set_region("work");
  stat.add_start_ns(0);
  stat.add_end_ns(1e6);
  return t;
}

// A service on which job 7 is accepted and ends as `state`.
void AnswerRun(FakeService& fake, v1::State state) {
  fake.submit = [](const v1::SubmitJobRequest&, v1::SubmitJobResponse& a) {
    a.set_job_id(7);
    return grpc::Status::OK;
  };
  fake.watch = [state](grpc::ServerContext&, const v1::WatchJobRequest&, grpc::ServerWriter<v1::Event>& writer) {
    writer.Write(EventOf(1, "accepted", v1::READY));
    writer.Write(EventOf(2, "finished", state));
    return grpc::Status::OK;
  };
  fake.get_job = [state](const v1::GetJobRequest& q, v1::GetJobResponse& a) {
    a.mutable_job()->set_job_id(7);
    a.mutable_job()->set_state(state);
    a.mutable_job()->set_passes(1);
    if (q.with_passes()) {
      v1::PassInfo& pass = *a.add_passes();
      pass.set_pass_id(70);
      pass.set_state(state);
      pass.mutable_result()->set_trace_digest(std::string(32, 't'));
      pass.mutable_result()->mutable_exit()->set_verdict(v1::SIGNALLED);
      pass.mutable_result()->mutable_exit()->set_signal(11);
    }
    return grpc::Status::OK;
  };
  fake.timeline = [](const v1::GetTimelineRequest&, v1::Timeline& a) {
    a = SmallTimeline();
    return grpc::Status::OK;
  };
}

TEST_CASE("without arguments it says how to begin, and whether a service answers") {
  const Ran nobody = Program("unix:///nonexistent/sextantd.sock")({});
  CHECK(nobody.code == kOk);
  CHECK(absl::StrContains(nobody.out, "sextant run -- ./program"));
  CHECK(absl::StrContains(nobody.out, "no service answers at unix:///nonexistent/sextantd.sock; start it: sextant up"));
}

TEST_CASE("every address stands with its use, those that nobody knows last") {
  v1::ServiceDescription service;
  auto& addresses = *service.mutable_addresses();
  addresses["grpc"] = "unix:///run/x.sock";
  addresses["odd"] = "odd://x";
  addresses["mcp"] = "http://127.0.0.1:1/mcp";
  addresses["web"] = "http://127.0.0.1:1/";
  const std::vector<std::string> lines = absl::StrSplit(DescribeAddresses("unix:///run/x.sock", service), '\n');
  REQUIRE(lines.size() == 5);
  CHECK(lines[1] == "  grpc     unix:///run/x.sock      sextant, and Python: sextant.connect()");
  CHECK(lines[2] == "  web      http://127.0.0.1:1/     the page, in a browser");
  CHECK(absl::StartsWith(lines[3], "  mcp      http://127.0.0.1:1/mcp  for agents"));
  CHECK(lines[4] == "  odd      odd://x");
}

TEST_CASE("usage errors exit with 2 and say where to read more") {
  Program program("");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"nonsense"}, {"job"}, {"job", "x"}, {"job", "-3"}, {"jobs", "--format", "xml"},
        {"run"}, {"run", "--pass", "host*", "--", "true"}, {"run", "--memory", "lots", "--", "true"},
        {"run", "--", "./does-not-exist"}, {"timeline", "7", "--quantiles", "2"}, {"blobs", "get", "abc"},
        {"logs", "seven"}, {"jobs", "--state", "happy"}, {"import"}, {"import", "/nonexistent.json"}, {"completion", "tcsh"}, {"submit", "/nonexistent.json"}}) {
    INFO(absl::StrCat(arguments.empty() ? "" : arguments[0], " …"));
    const Ran ran = program(arguments);
    CHECK(ran.code == kUsage);
    CHECK_FALSE(ran.err.empty());
  }
}

TEST_CASE("help lists the exit codes and every command") {
  Program program("");
  const Ran ran = program({"--help"});
  CHECK(ran.code == kOk);
  CHECK(absl::StrContains(ran.out, "3 service unreachable"));
  for (const char* command : {"up", "down", "run", "submit", "jobs", "job", "watch", "cancel", "logs", "timeline", "report",
                              "query", "export", "import", "doctor", "worker", "blobs", "version", "shell", "completion", "complete-task", "token", "tenant",
                              "audit", "whoami"}) {
    CHECK(absl::StrContains(ran.out, absl::StrCat("\n  ", command, " ")));
    CHECK(program({command, "--help"}).code == kOk);
  }
}

TEST_CASE("without a service the exit code is 3 and the remedy is sextant up") {
  Program program("");
  const Ran ran = program({"jobs"});
  CHECK(ran.code == kUnreachable);
  CHECK(absl::StrContains(ran.err, "sextant up"));
  CHECK(program({"run", "--", "/bin/true"}).code == kUnreachable);
  const Ran named = program({"--server", "unix:///nonexistent/socket", "jobs"});
  CHECK(named.code == kUnreachable);
  CHECK_FALSE(absl::StrContains(named.err, "sextant up"));
}

TEST_CASE("what the service answers decides the exit code") {
  FakeService fake;
  Program program(fake.address());
  struct Case {
    grpc::StatusCode code;
    int exit;
  };
  for (const Case c : {Case{grpc::StatusCode::NOT_FOUND, kNotFound}, Case{grpc::StatusCode::INVALID_ARGUMENT, kRefused},
                       Case{grpc::StatusCode::RESOURCE_EXHAUSTED, kRefused},
                       Case{grpc::StatusCode::FAILED_PRECONDITION, kRefused},
                       Case{grpc::StatusCode::DEADLINE_EXCEEDED, kTimeout},
                       Case{grpc::StatusCode::INTERNAL, kFailed}}) {
    fake.get_job = [&](const v1::GetJobRequest&, v1::GetJobResponse&) {
      return grpc::Status(c.code, "job_id: the reason\x1b[31m");
    };
    const Ran ran = program({"job", "9"});
    CHECK(ran.code == c.exit);
    CHECK(absl::StrContains(ran.err, "the reason"));
    CHECK_FALSE(absl::StrContains(ran.err, "\x1b"));
  }
}

TEST_CASE("run sends the files, submits the passes and shows the timeline") {
  FakeService fake;
  AnswerRun(fake, v1::DONE);
  v1::SubmitJobRequest seen;
  fake.submit = [&](const v1::SubmitJobRequest& q, v1::SubmitJobResponse& a) {
    seen = q;
    a.set_job_id(7);
    return grpc::Status::OK;
  };
  const std::string data = fake.directory() + "/big";
  const std::string content(3'000'000, 'x');
  std::ofstream(data) << content;
  Program program(fake.address());
  const Ran ran = program({"run", "--pass", "host*5", "--pass", "run", "--file", data + ":in/big", "--env", "A=b", "--wall", "2m",
                           "--", "/bin/echo", "--format", "x"});
  CHECK(ran.code == kOk);
  CHECK(absl::StrContains(ran.out, "work████"));
  CHECK(fake.Blobs().count(HashBytes(content)) == 1);
  const v1::ProfileTask& task = seen.graph().tasks(0).profile();
  REQUIRE(task.passes_size() == 2);
  CHECK(task.passes(0).repeat() == 5);
  CHECK(task.workload().files(0).path() == "in/big");
  CHECK(task.workload().argv_size() == 3);
  CHECK(task.workload().env().at("A") == "b");
  CHECK(task.workload().limits().wall_s() == 120);
  CHECK(seen.graph().name() == "echo");
  CHECK(seen.submitter() == "tester");
  CHECK_FALSE(seen.request_id().empty());
}

TEST_CASE("a job that failed exits with 1, says how its program ended and where the output is") {
  FakeService fake;
  AnswerRun(fake, v1::FAILED);
  Program program(fake.address());
  const Ran ran = program({"run", "--", "/bin/true"});
  CHECK(ran.code == kFailed);
  CHECK(absl::StrContains(ran.err, "signal 11"));
  CHECK(absl::StrContains(ran.err, "sextant logs p70"));
}

TEST_CASE("a submission in doubt is repeated with the same request id") {
  FakeService fake;
  AnswerRun(fake, v1::DONE);
  std::vector<std::string> ids;
  fake.submit = [&](const v1::SubmitJobRequest& q, v1::SubmitJobResponse& a) {
    ids.push_back(q.request_id());
    if (ids.size() == 1) return grpc::Status(grpc::StatusCode::UNKNOWN, "the commit is in doubt");
    if (ids.size() == 2) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the database went away");
    a.set_job_id(7);
    return grpc::Status::OK;
  };
  Program program(fake.address());
  CHECK(program({"run", "--detach", "--", "/bin/true"}).code == kOk);
  REQUIRE(ids.size() == 3);
  CHECK(ids[0] == ids[1]);
  CHECK(ids[1] == ids[2]);
}

TEST_CASE("a watch that breaks goes on after the last event seen") {
  FakeService fake;
  AnswerRun(fake, v1::DONE);
  std::vector<int64_t> cursors;
  fake.watch = [&](grpc::ServerContext&, const v1::WatchJobRequest& q, grpc::ServerWriter<v1::Event>& writer) {
    cursors.push_back(q.after_seq());
    if (cursors.size() == 1) {
      writer.Write(EventOf(1, "accepted", v1::READY));
      writer.Write(EventOf(2, "started", v1::RUNNING));
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the coordinator stops");
    }
    writer.Write(EventOf(2, "started", v1::RUNNING));
    writer.Write(EventOf(3, "finished", v1::DONE));
    return grpc::Status::OK;
  };
  Program program(fake.address());
  const Ran ran = program({"--format", "json", "watch", "7"});
  CHECK(ran.code == kOk);
  CHECK(cursors == std::vector<int64_t>{0, 2});
  std::vector<std::string> lines = absl::StrSplit(ran.out, '\n', absl::SkipEmpty());
  REQUIRE(lines.size() == 3);
  v1::Event last;
  REQUIRE(google::protobuf::util::JsonStringToMessage(lines[2], &last).ok());
  CHECK(last.seq() == 3);
}

TEST_CASE("following survives a coordinator that stops and comes back") {
  FakeService fake;
  AnswerRun(fake, v1::DONE);
  absl::Notification watching;
  std::atomic<int> watches{0};
  fake.watch = [&](grpc::ServerContext& context, const v1::WatchJobRequest& q, grpc::ServerWriter<v1::Event>& writer) {
    if (++watches == 1) {
      writer.Write(EventOf(1, "accepted", v1::READY));
      watching.Notify();
      while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
      return grpc::Status::CANCELLED;
    }
    writer.Write(EventOf(2, "finished", v1::DONE));
    return grpc::Status::OK;
  };
  std::thread restart([&] {
    watching.WaitForNotification();
    fake.Stop();
    fake.Start();
  });
  Program program(fake.address());
  const Ran ran = program({"watch", "7"});
  restart.join();
  CHECK(ran.code == kOk);
  CHECK(watches >= 2);
}

TEST_CASE("a service that stays away ends the watch with 3 and how to follow again") {
  FakeService fake;
  AnswerRun(fake, v1::DONE);
  fake.watch = [](grpc::ServerContext&, const v1::WatchJobRequest&, grpc::ServerWriter<v1::Event>&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no database");
  };
  Program program(fake.address());
  program.reconnect_s = 0;
  const Ran ran = program({"watch", "7"});
  CHECK(ran.code == kUnreachable);
  CHECK(absl::StrContains(ran.err, "sextant watch 7"));
}

TEST_CASE("the first interrupt cancels the job, and the exit code is 130") {
  FakeService fake;
  AnswerRun(fake, v1::CANCELLED);
  absl::Notification watching, cancelled;
  v1::CancelJobRequest seen;
  fake.watch = [&](grpc::ServerContext&, const v1::WatchJobRequest&, grpc::ServerWriter<v1::Event>& writer) {
    writer.Write(EventOf(1, "started", v1::RUNNING));
    watching.Notify();
    cancelled.WaitForNotification();
    writer.Write(EventOf(2, "cancelled", v1::CANCELLED));
    return grpc::Status::OK;
  };
  fake.cancel = [&](const v1::CancelJobRequest& q, v1::JobInfo&) {
    seen = q;
    cancelled.Notify();
    return grpc::Status::OK;
  };
  Program program(fake.address());
  std::thread user([&] {
    watching.WaitForNotification();
    program.interrupts.Raise([] {});
  });
  const Ran ran = program({"run", "--", "/bin/true"});
  user.join();
  CHECK(ran.code == kInterrupted);
  CHECK(seen.job_id() == 7);
  CHECK(absl::StrContains(ran.err, "cancelling job 7"));
}

TEST_CASE("the second interrupt leaves at once and says how to follow") {
  FakeService fake;
  AnswerRun(fake, v1::RUNNING);
  absl::Notification watching, cancelled;
  fake.watch = [&](grpc::ServerContext& context, const v1::WatchJobRequest&, grpc::ServerWriter<v1::Event>& writer) {
    writer.Write(EventOf(1, "started", v1::RUNNING));
    watching.Notify();
    while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
    return grpc::Status::CANCELLED;
  };
  fake.cancel = [&](const v1::CancelJobRequest&, v1::JobInfo&) {
    cancelled.Notify();
    return grpc::Status::OK;
  };
  Program program(fake.address());
  std::thread user([&] {
    watching.WaitForNotification();
    program.interrupts.Raise([] {});
    cancelled.WaitForNotification();
    program.interrupts.Raise([] {});
  });
  const Ran ran = program({"run", "--", "/bin/true"});
  user.join();
  CHECK(ran.code == kInterrupted);
  CHECK(absl::StrContains(ran.err, "sextant watch 7"));
}

TEST_CASE("an interrupted watch detaches and cancels nothing") {
  FakeService fake;
  AnswerRun(fake, v1::RUNNING);
  absl::Notification watching;
  std::atomic<bool> cancelled{false};
  fake.watch = [&](grpc::ServerContext& context, const v1::WatchJobRequest&, grpc::ServerWriter<v1::Event>& writer) {
    writer.Write(EventOf(1, "started", v1::RUNNING));
    watching.Notify();
    while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
    return grpc::Status::CANCELLED;
  };
  fake.cancel = [&](const v1::CancelJobRequest&, v1::JobInfo&) {
    cancelled = true;
    return grpc::Status::OK;
  };
  Program program(fake.address());
  std::thread user([&] {
    watching.WaitForNotification();
    program.interrupts.Raise([] {});
  });
  CHECK(program({"watch", "7"}).code == kInterrupted);
  user.join();
  CHECK_FALSE(cancelled);
}

TEST_CASE("a graph's files without digest are found beside it, hashed and sent") {
  FakeService fake;
  v1::SubmitJobRequest seen;
  fake.submit = [&](const v1::SubmitJobRequest& q, v1::SubmitJobResponse& a) {
    seen = q;
    a.set_job_id(8);
    return grpc::Status::OK;
  };
  std::ofstream(fake.directory() + "/tool.sh") << "echo hi";
  std::ofstream(fake.directory() + "/graph.json")
      << R"({"name": "g", "tasks": [{"name": "t", "build": {"workload": {"argv": ["sh", "tool.sh"],
             "files": [{"path": "tool.sh"}]}}}]})";
  Program program(fake.address());
  const Ran ran = program({"submit", fake.directory() + "/graph.json", "--request-id", "mine"});
  CHECK(ran.code == kOk);
  CHECK(ran.out == "8\n");
  CHECK(seen.request_id() == "mine");
  CHECK(seen.graph().tasks(0).build().workload().files(0).digest() == HashBytes("echo hi"));
  CHECK(fake.Blobs().count(HashBytes("echo hi")) == 1);
  const Ran missing = program({"submit", "-"}, R"({"tasks": [{"name": "t", "build": {"workload": {"files": [{"path": "gone"}]}}}]})");
  CHECK(missing.code == kUsage);
  CHECK(absl::StrContains(missing.err, "\"gone\""));
  CHECK(program({"submit", "-"}, "{nonsense").code == kUsage);
}

TEST_CASE("tables of untrusted text hold no control characters") {
  FakeService fake;
  fake.list_jobs = [](const v1::ListJobsRequest&, v1::ListJobsResponse& a) {
    v1::JobInfo& job = *a.add_jobs();
    job.set_job_id(1);
    job.set_name("evil\x1b]0;x\x07\nname");
    job.set_submitter("\x1b[2J");
    return grpc::Status::OK;
  };
  fake.query = [](const v1::QueryRequest&, v1::QueryResponse& a) {
    a.add_columns()->set_name("c\x1b");
    a.add_rows()->add_cells()->set_text("v\x1b");
    return grpc::Status::OK;
  };
  Program program(fake.address());
  for (const Ran& ran : {program({"jobs"}), program({"query", "SELECT 1"})}) {
    CHECK(ran.code == kOk);
    CHECK(ran.out.find('\x1b') == std::string::npos);
    CHECK(ran.out.find('\x07') == std::string::npos);
  }
}

TEST_CASE("compare fails when B is slower, differences first, and reads its gate") {
  FakeService fake;
  v1::CompareJobsRequest seen;
  std::string verdict = "slower";
  fake.compare = [&](const v1::CompareJobsRequest& q, v1::Comparison& a) {
    seen = q;
    v1::EnvironmentDifference& driver = *a.add_environment();
    driver.set_what("driver");
    driver.set_a("580\x1b[2J");
    driver.set_b("581");
    for (const double share : {0.9, 0.0001}) {
      v1::Delta& row = *a.add_deltas();
      row.set_kind("kernel");
      row.set_name(share > 0.5 ? "gemm" : "tiny");
      row.set_unit("ns");
      row.set_passes_a(5);
      row.set_passes_b(5);
      row.set_a(1000);
      row.set_b(1050);
      row.set_relative(0.05);
      row.set_low(0.04);
      row.set_high(0.06);
      row.set_noise_floor(0.01);
      row.set_share_a(share);
      row.set_verdict("slower");
    }
    v1::CodeDifference& code = *a.add_code();
    code.set_kernel("gemm");
    code.set_level("sass");
    code.set_removed(2);
    code.set_added(5);
    code.set_diff("@@ -1,1 +1,1 @@ gemm.cu:7\n-FADD R1\x1b\n+FMUL R1\n");
    code.set_shortened(true);
    code.add_regions("load");
    v1::NamedShare& mix = *code.add_mix_change();
    mix.set_name("FMUL");
    mix.set_value(3);
    v1::CodeDifference& same = *a.add_code();
    same.set_kernel("gemm");
    same.set_level("ttir");
    same.set_same(true);
    a.set_verdict(verdict);
    a.set_why("kernel gemm");
    return grpc::Status::OK;
  };
  Program program(fake.address());
  const Ran slower = program({"compare", "3", "4", "--gate", "2%", "--task", "p"});
  CHECK(slower.code == kFailed);
  CHECK(seen.job_a() == 3);
  CHECK(seen.job_b() == 4);
  CHECK(seen.gate() == Approx(0.02));
  CHECK(seen.task_b() == "p");
  CHECK(slower.out.find('\x1b') == std::string::npos);
  CHECK(slower.out.find("differs driver") == 0);
  CHECK(absl::StrContains(slower.out, "gemm"));
  CHECK(absl::StrContains(slower.out, "+4.00 % … +6.00 %"));
  CHECK_FALSE(absl::StrContains(slower.out, "tiny"));
  CHECK(absl::StrContains(slower.out, "1 more row,"));
  CHECK(absl::StrContains(slower.out, "slower: kernel gemm"));
  CHECK(absl::StrContains(slower.out, "code of gemm, sass: -2 +5 lines; +3 FMUL; in regions that moved: load\n"));
  CHECK(absl::StrContains(slower.out, "code of gemm, ttir: the same but for names\n"));
  CHECK_FALSE(absl::StrContains(slower.out, "+FMUL R1"));
  const Ran lines = program({"compare", "3", "4", "--code"});
  CHECK(absl::StrContains(lines.out, "  @@ -1,1 +1,1 @@ gemm.cu:7\n  -FADD R1"));
  CHECK(absl::StrContains(lines.out, "  +FMUL R1\n  … (shortened)\n"));
  CHECK(lines.out.find('\x1b') == std::string::npos);
  CHECK(absl::StrContains(program({"compare", "3", "4", "--all"}).out, "tiny"));
  CHECK(program({"--format", "json", "compare", "3", "4"}).code == kFailed);
  verdict = "inconclusive";
  CHECK(program({"compare", "3", "4"}).code == kOk);
  CHECK(program({"compare", "3", "4", "--strict"}).code == kFailed);
  verdict = "faster";
  CHECK(program({"compare", "3", "4", "--strict", "--gate", "0.5"}).code == kOk);
  CHECK(seen.gate() == 0.5);
  for (const char* gate : {"2", "100%", "-1%", "nan", "0", "x", "%"}) {
    INFO(gate);
    const Ran wrong = program({"compare", "3", "4", absl::StrCat("--gate=", gate)});
    CHECK(wrong.code == kUsage);
    CHECK(absl::StrContains(wrong.err, "--gate"));
  }
}

TEST_CASE("logs are raw in a pipe") {
  FakeService fake;
  fake.Put("out\x1b[31m\n");
  fake.Put("err\n");
  fake.list_passes = [](const v1::ListPassesRequest& q, v1::ListPassesResponse& a) {
    v1::PassInfo& pass = *a.add_passes();
    pass.set_pass_id(q.pass_id());
    for (const auto& [name, text] : {std::pair<std::string, std::string>{"stdout", "out\x1b[31m\n"}, {"stderr", "err\n"}}) {
      v1::Artifact& artifact = *pass.mutable_result()->add_artifacts();
      artifact.set_name(name);
      artifact.set_digest(HashBytes(text));
    }
    return grpc::Status::OK;
  };
  Program program(fake.address());
  const Ran ran = program({"logs", "p3"});
  CHECK(ran.code == kOk);
  CHECK(ran.out == "out\x1b[31m\n");
  CHECK(ran.err == "err\n");
  CHECK(program({"logs", "p3", "--stderr"}).out == "err\n");
}

TEST_CASE("query prints CSV as asked, and says when the answer was cut") {
  FakeService fake;
  fake.query = [](const v1::QueryRequest& q, v1::QueryResponse& a) {
    CHECK(q.sql() == "SELECT 2");
    a.add_columns()->set_name("n");
    a.add_rows()->add_cells()->set_text("a,b");
    a.add_rows()->add_cells()->set_is_null(true);
    a.set_truncated(true);
    a.set_truncated_by("max_rows");
    return grpc::Status::OK;
  };
  Program program(fake.address());
  const Ran ran = program({"query", "--csv", "-"}, "SELECT 2");
  CHECK(ran.out == "n\r\n\"a,b\"\r\n\r\n");
  CHECK(absl::StrContains(ran.err, "max_rows"));
}

TEST_CASE("completion offers every command and its options") {
  Program program("");
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Ran ran = program({"completion", shell});
    CHECK(ran.code == kOk);
    for (const CommandNames& command : AllCommands()) CHECK(absl::StrContains(ran.out, command.name));
    CHECK(absl::StrContains(ran.out, "rootfs"));
  }
}

TEST_CASE("clean passes come before those that disturb kernels, unless they are there or not wanted") {
  Program program("");
  const auto passes = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"run", "--graph"});
    arguments.insert(arguments.end(), {"--", "/bin/true"});
    const Ran ran = program(arguments);
    v1::JobGraph graph;
    REQUIRE(google::protobuf::util::JsonStringToMessage(ran.out, &graph).ok());
    return graph.tasks(0).profile();
  };
  const v1::ProfileTask beside = passes({"--pass", "scopes*20"});
  REQUIRE(beside.passes_size() == 2);
  CHECK(beside.passes(0).backend() == "activity");
  CHECK(beside.passes(0).options().at("light") == "1");
  CHECK(beside.passes(0).optional());
  CHECK(beside.passes(1).backend() == "scopes");
  CHECK(passes({"--pass", "scopes*20", "--no-clean"}).passes_size() == 1);
  CHECK(passes({"--pass", "scopes", "--pass", "activity"}).passes_size() == 2);
  CHECK(passes({"--pass", "host*2"}).passes_size() == 1);
}

TEST_CASE("a graph is printed as JSON and needs no service") {
  Program program("");
  const Ran ran = program({"run", "--graph", "--pass", "run*3", "--", "/bin/true"});
  CHECK(ran.code == kOk);
  v1::JobGraph graph;
  REQUIRE(google::protobuf::util::JsonStringToMessage(ran.out, &graph).ok());
  CHECK(graph.tasks(0).profile().passes(0).repeat() == 3);
}

}  // namespace
}  // namespace sextant::cli
