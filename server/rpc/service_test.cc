// The whole service through real gRPC, with a worker in the test's hands.
#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/rpc/test_service.h"

namespace sextant::rpc {
namespace {

using S = v1::Sextant::Stub;

int64_t Submit(TestService& service, const v1::SubmitJobRequest& request) {
  v1::SubmitJobResponse response;
  const grpc::Status status = Call(*service.client, &S::SubmitJob, request, &response);
  INFO(status.error_message());
  REQUIRE(status.ok());
  return response.job_id();
}

v1::JobInfo WaitForEnd(TestService& service, int64_t job_id) {
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  request.set_wait_s(60);
  v1::GetJobResponse response;
  const grpc::Status status = Call(*service.client, &S::GetJob, request, &response);
  INFO(status.error_message());
  REQUIRE(status.ok());
  return response.job();
}

std::vector<v1::Event> Watch(TestService& service, int64_t job_id, int64_t after_seq) {
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_job_id(job_id);
  request.set_after_seq(after_seq);
  auto stream = service.client->WatchJob(&context, request);
  std::vector<v1::Event> events;
  for (v1::Event event; stream->Read(&event);) events.push_back(event);
  const grpc::Status status = stream->Finish();
  INFO(status.error_message());
  CHECK(status.ok());
  return events;
}

void RunPasses(FakeWorker& worker, int passes) {
  for (int i = 0; i < passes; ++i) {
    const v1::Assignment assignment = worker.Next();
    const auto receipt = worker.Upload(assignment, TilesTrace(4, assignment.ordinal()));
    CHECK(worker.Commit(assignment, receipt).outcomes(0).outcome() == v1::COMMITTED);
  }
}

}  // namespace

TEST_CASE("a job goes from submission to timeline, report, export and query") {
  TestService service;
  FakeWorker worker(service.worker.get(), "w");
  v1::SubmitJobRequest request = ProfileJob("life", 5);
  v1::TaskSpec* analyze = request.mutable_graph()->add_tasks();
  analyze->set_name("answer");
  analyze->mutable_analyze()->set_builtin("report");
  analyze->mutable_analyze()->set_of_task("p");
  const int64_t job_id = Submit(service, request);
  CHECK(Submit(service, request) == job_id);
  RunPasses(worker, 5);
  const v1::JobInfo job = WaitForEnd(service, job_id);
  CHECK(job.state() == v1::DONE);
  CHECK(job.passes_done() == 6);

  v1::GetTimelineRequest timeline_request;
  timeline_request.set_job_id(job_id);
  timeline_request.set_buckets(16);
  v1::Timeline timeline;
  REQUIRE(Call(*service.client, &S::GetTimeline, timeline_request, &timeline).ok());
  CHECK(timeline.passes() == 5);
  CHECK(timeline.events() == 40);
  CHECK(timeline.program() == "program");
  REQUIRE(timeline.lanes_size() == 1);
  CHECK(timeline.lanes(0).alignment() == "exact");
  REQUIRE(timeline.lanes(0).instances_size() == 8);
  const v1::InstanceStat& tile = timeline.lanes(0).instances(0);
  CHECK(tile.region() == "tile");
  CHECK(tile.count() == 5);
  CHECK(tile.duration_ns(1) == 102);
  CHECK(timeline.lanes(0).instances(1).depth() == 1);
  CHECK(timeline.buckets_size() == 2);
  CHECK(timeline.span_ns(1) == 3132);
  CHECK(timeline.provenance_size() == 1);

  timeline_request.set_exact(true);
  v1::Timeline exact;
  REQUIRE(Call(*service.client, &S::GetTimeline, timeline_request, &exact).ok());
  REQUIRE(exact.regions_size() == 2);
  REQUIRE(timeline.regions_size() == 2);
  for (int i = 0; i < 2; ++i) {
    CHECK(exact.regions(i).region() == timeline.regions(i).region());
    CHECK(exact.regions(i).relative_error() == 0);
    CHECK(exact.regions(i).sum_ns() == timeline.regions(i).sum_ns());
  }
  // 20 tiles: the median lies between 114 and 120; a rollup gives the lower one within 1 %.
  CHECK(exact.regions(1).duration_ns(1) == 117);
  CHECK(timeline.regions(1).duration_ns(1) == Approx(114).epsilon(0.01));

  v1::GetReportRequest report_request;
  report_request.set_job_id(job_id);
  v1::Report report;
  REQUIRE(Call(*service.client, &S::GetReport, report_request, &report).ok());
  CHECK_THAT(report.markdown(), Catch::Contains("Region tile takes the largest share"));

  grpc::ClientContext context;
  v1::ExportTraceRequest export_request;
  export_request.set_job_id(job_id);
  export_request.set_format(v1::CSV);
  auto stream = service.client->ExportTrace(&context, export_request);
  std::string csv;
  for (v1::ExportTraceResponse piece; stream->Read(&piece);) csv += piece.data();
  CHECK(stream->Finish().ok());
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 41);

  v1::QueryRequest query;
  query.set_sql("SELECT count(*) AS n FROM passes WHERE backend = 'host'");
  v1::QueryResponse rows;
  const grpc::Status queried = Call(*service.client, &S::Query, query, &rows);
  INFO(queried.error_message());
  REQUIRE(queried.ok());
  CHECK(rows.rows(0).cells(0).text() == "5");

  v1::GetJobRequest with_tasks;
  with_tasks.set_job_id(job_id);
  with_tasks.set_with_tasks(true);
  v1::GetJobResponse tasks;
  REQUIRE(Call(*service.client, &S::GetJob, with_tasks, &tasks).ok());
  bool kept = false;
  for (const auto& task : tasks.tasks())
    for (const auto& artifact : task.artifacts()) kept |= artifact.name() == "report.md";
  CHECK(kept);
}

TEST_CASE("a watcher that comes back with its cursor misses nothing and sees nothing twice") {
  TestService service;
  FakeWorker worker(service.worker.get(), "w");
  const int64_t job_id = Submit(service, ProfileJob("watch", 3));
  RunPasses(worker, 3);
  const auto all = Watch(service, job_id, 0);
  std::vector<v1::Event> stored;
  for (const auto& event : all)
    if (event.seq() != 0) stored.push_back(event);
  REQUIRE(stored.size() > 4);
  CHECK(stored.front().what() == "accepted");
  CHECK(stored.back().state() == v1::DONE);
  for (size_t i = 1; i < stored.size(); ++i) CHECK(stored[i].seq() == stored[i - 1].seq() + 1);
  const auto rest = Watch(service, job_id, stored[2].seq());
  REQUIRE(rest.size() == stored.size() - 3);
  CHECK(rest.front().seq() == stored[3].seq());
  CHECK(Watch(service, job_id, stored.back().seq()).empty());
}

TEST_CASE("a watcher that reads late gets every event of a large job") {
  TestService service;
  v1::SubmitJobRequest request;
  request.set_request_id("many");
  for (int i = 0; i < 3000; ++i) {
    v1::TaskSpec* task = request.mutable_graph()->add_tasks();
    task->set_name(absl::StrCat("t", i));
    task->mutable_external();
  }
  const int64_t job_id = Submit(service, request);
  grpc::ClientContext context;
  v1::WatchJobRequest watch;
  watch.set_job_id(job_id);
  auto stream = service.client->WatchJob(&context, watch);
  v1::CancelJobRequest cancel;
  cancel.set_job_id(job_id);
  v1::JobInfo job;
  REQUIRE(Call(*service.client, &S::CancelJob, cancel, &job).ok());
  CHECK(job.state() == v1::CANCELLED);
  int64_t last = 0;
  for (v1::Event event; stream->Read(&event);) {
    if (event.seq() == 0) continue;
    INFO("after " << last << " came " << event.seq() << " " << event.what());
    CHECK(event.seq() == last + 1);
    last = event.seq();
  }
  CHECK(stream->Finish().ok());
  CHECK(last >= 1024);
}

TEST_CASE("what is not there is said by its name") {
  TestService service;
  v1::GetJobRequest get;
  get.set_job_id(77);
  v1::GetJobResponse job;
  CHECK(Call(*service.client, &S::GetJob, get, &job).error_code() == grpc::StatusCode::NOT_FOUND);
  get.set_wait_s(30);
  CHECK(Call(*service.client, &S::GetJob, get, &job).error_code() == grpc::StatusCode::NOT_FOUND);

  grpc::ClientContext context;
  v1::WatchJobRequest watch;
  watch.set_job_id(77);
  auto stream = service.client->WatchJob(&context, watch);
  v1::Event event;
  CHECK_FALSE(stream->Read(&event));
  CHECK(stream->Finish().error_code() == grpc::StatusCode::NOT_FOUND);

  v1::GetTimelineRequest request;
  request.set_job_id(Submit(service, ProfileJob("empty", 2)));
  v1::Timeline timeline;
  const grpc::Status early = Call(*service.client, &S::GetTimeline, request, &timeline);
  CHECK(early.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  request.set_task("q");
  CHECK(Call(*service.client, &S::GetTimeline, request, &timeline).error_code() ==
        grpc::StatusCode::NOT_FOUND);

  v1::SubmitJobRequest other = ProfileJob("empty", 3);
  v1::SubmitJobResponse response;
  CHECK(Call(*service.client, &S::SubmitJob, other, &response).error_code() ==
        grpc::StatusCode::ALREADY_EXISTS);
}

TEST_CASE("two jobs are compared, or it is said which one cannot be") {
  TestService service;
  FakeWorker worker(service.worker.get(), "w");
  const auto job = [&](const std::string& id, int passes, uint64_t slower_ns) {
    v1::SubmitJobRequest request = ProfileJob(id, passes);
    request.mutable_graph()->set_salt(id);   // nothing from the cache
    const int64_t job_id = Submit(service, request);
    for (int i = 0; i < passes; ++i) {
      const v1::Assignment assignment = worker.Next();
      worker.Commit(assignment, worker.Upload(assignment, TilesTrace(4, slower_ns + assignment.ordinal() % 2)));
    }
    CHECK(WaitForEnd(service, job_id).state() == v1::DONE);
    return job_id;
  };
  v1::CompareJobsRequest request;
  request.set_job_a(job("a", 5, 0));
  request.set_job_b(job("b", 5, 50));
  v1::Comparison comparison;
  const grpc::Status status = Call(*service.client, &S::CompareJobs, request, &comparison);
  INFO(status.error_message());
  REQUIRE(status.ok());
  CHECK(comparison.environment().empty());
  CHECK(comparison.gate() == 0.01);
  REQUIRE(comparison.deltas_size() == 3);
  CHECK(comparison.deltas(0).name() == "span");
  const v1::Delta& tile = comparison.deltas(1);
  CHECK(tile.name() == "tile");
  CHECK(tile.role() == "worker");
  CHECK(tile.a() == 460);    // 4 tiles of 100 … 130 ns
  CHECK(tile.b() == 660);
  CHECK(tile.verdict() == "slower");
  CHECK(comparison.deltas(2).name() == "load");
  CHECK(comparison.deltas(2).verdict() == "no difference");
  CHECK(comparison.verdict() == "slower");

  const auto refused = [&](const v1::CompareJobsRequest& wrong) {
    v1::Comparison none;
    return Call(*service.client, &S::CompareJobs, wrong, &none);
  };
  v1::CompareJobsRequest wrong = request;
  wrong.set_job_b(request.job_a());
  CHECK(refused(wrong).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK_THAT(refused(wrong).error_message(), Catch::StartsWith("task_b: "));
  wrong = request;
  wrong.set_gate(1.5);
  CHECK(refused(wrong).error_message() == "gate: 1.5, must be a fraction from 0 to below 1: 0.02 is 2 %");
  wrong.set_gate(0);
  wrong.set_job_a(0);
  CHECK_THAT(refused(wrong).error_message(), Catch::StartsWith("job_a: required"));
  wrong.set_job_a(9999);
  CHECK(refused(wrong).error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK_THAT(refused(wrong).error_message(), Catch::StartsWith("job_a: "));
  wrong = request;
  wrong.set_backend("scopes");
  CHECK(refused(wrong).error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK_THAT(refused(wrong).error_message(), Catch::StartsWith("backend: "));
  wrong = request;
  wrong.set_job_b(Submit(service, ProfileJob("queued", 2)));
  CHECK(refused(wrong).error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK_THAT(refused(wrong).error_message(), Catch::StartsWith("job_b: no pass has ended yet"));
}

TEST_CASE("blobs go there and back, and a stream that breaks off stores nothing") {
  TestService service;
  std::string bytes(3'000'000, 'x');
  for (size_t i = 0; i < bytes.size(); i += 7) bytes[i] = static_cast<char>(i);
  const std::string digest = chunk::Digest(bytes);
  const auto upload = [&](bool finish) {
    grpc::ClientContext context;
    v1::UploadBlobsResponse response;
    auto writer = service.client->UploadBlobs(&context, &response);
    for (size_t at = 0; at < bytes.size(); at += 1 << 20) {
      v1::UploadBlobsRequest message;
      if (at == 0) {
        message.set_digest(digest);
        message.set_size_bytes(bytes.size());
      }
      message.set_data(bytes.substr(at, 1 << 20));
      message.set_last(finish && at + (1 << 20) >= bytes.size());
      writer->Write(message);
    }
    writer->WritesDone();
    return std::make_pair(writer->Finish(), response);
  };
  const auto [broken, nothing] = upload(false);
  CHECK(broken.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK_THAT(broken.error_message(), Catch::StartsWith("last: "));
  v1::FindMissingBlobsRequest find;
  find.add_digests(digest);
  v1::FindMissingBlobsResponse missing;
  REQUIRE(Call(*service.client, &S::FindMissingBlobs, find, &missing).ok());
  CHECK(missing.missing_size() == 1);

  CHECK(upload(true).second.stored() == 1);
  CHECK(upload(true).second.already_there() == 1);
  v1::FindMissingBlobsResponse none;
  REQUIRE(Call(*service.client, &S::FindMissingBlobs, find, &none).ok());
  CHECK(none.missing().empty());
  grpc::ClientContext context;
  v1::GetBlobRequest get;
  get.set_digest(digest);
  auto reader = service.client->GetBlob(&context, get);
  std::string back;
  for (v1::GetBlobResponse piece; reader->Read(&piece);) back += piece.data();
  CHECK(reader->Finish().ok());
  CHECK(back == bytes);
}

TEST_CASE("a chunk that is not what its digest says is refused") {
  TestService service;
  grpc::ClientContext context;
  v1::TraceReceipt receipt;
  auto writer = service.worker->UploadTrace(&context, &receipt);
  v1::TraceUpload message;
  message.mutable_pass()->set_pass_id(1);
  message.set_chunk("not a chunk");
  message.set_digest(chunk::Digest("something else"));
  writer->Write(message);
  writer->WritesDone();
  CHECK(writer->Finish().error_code() == grpc::StatusCode::DATA_LOSS);
}

TEST_CASE("the service describes its limits") {
  v1::ServiceLimits limits = job::DefaultLimits();
  limits.set_max_quantiles(3);
  TestService service(limits);
  v1::ServiceDescription about;
  REQUIRE(Call(*service.client, &S::DescribeService, v1::DescribeServiceRequest(), &about).ok());
  CHECK(about.limits().max_quantiles() == 3);
  CHECK(about.schema_version() > 0);
  v1::GetTimelineRequest request;
  request.set_job_id(1);
  for (double q : {0.1, 0.2, 0.3, 0.4}) request.add_quantiles(q);
  v1::Timeline timeline;
  CHECK(Call(*service.client, &S::GetTimeline, request, &timeline).error_message() ==
        "quantiles: 4, at most max_quantiles = 3");
}

}  // namespace sextant::rpc
