#include "server/rpc/check.h"

#include <google/protobuf/text_format.h>

#include "absl/strings/str_cat.h"
#include "server/job/limits.h"
#include "server/rpc/addresses.h"
#include "server/rpc/status.h"
#include "tests/catch.h"

namespace sextant::rpc {
namespace {

template <typename Request>
std::string Complaint(const std::string& text) {
  Request request;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &request));
  const absl::Status status = Check(job::DefaultLimits(), request);
  return status.ok() ? "" : std::string(status.message());
}

}  // namespace

TEST_CASE("every wrong field of a request is named") {
  using Catch::StartsWith;
  CHECK_THAT(Complaint<v1::SubmitJobRequest>(""), StartsWith("graph: required"));
  CHECK_THAT(Complaint<v1::SubmitJobRequest>("graph {}"), StartsWith("request_id: required"));
  CHECK_THAT(Complaint<v1::SubmitJobRequest>("graph {} request_id: '" + std::string(200, 'x') + "'"),
             StartsWith("request_id: 200 bytes, at most 128"));
  CHECK_THAT(Complaint<v1::SubmitJobRequest>("graph {} request_id: 'a\\000b'"),
             StartsWith("request_id: must not contain control characters"));
  CHECK_THAT(Complaint<v1::CancelJobRequest>("job_id: 1 task: 'a\\000b'"),
             StartsWith("task: must not contain control characters"));
  CHECK_THAT(Complaint<v1::AddTasksRequest>("job_id: 1 request_id: 'a'"), StartsWith("tasks: "));
  CHECK_THAT(Complaint<v1::SealJobRequest>(""), StartsWith("job_id: required"));
  CHECK_THAT(Complaint<v1::GetJobRequest>("job_id: 1 wait_s: 61"), StartsWith("wait_s: 61"));
  CHECK_THAT(Complaint<v1::GetJobRequest>("job_id: 1 wait_s: nan"), StartsWith("wait_s: "));
  CHECK_THAT(Complaint<v1::GetJobRequest>("job_id: -1"), StartsWith("job_id: "));
  CHECK_THAT(Complaint<v1::WatchJobRequest>("job_id: 1 after_seq: -1"), StartsWith("after_seq: -1"));
  CHECK_THAT(Complaint<v1::ListJobsRequest>("states: 0"), StartsWith("states[0]: "));
  CHECK_THAT(Complaint<v1::ListJobsRequest>("page_size: 4000000000"),
             StartsWith("page_size: 4000000000, at most max_page_size = 10000"));
  CHECK_THAT(Complaint<v1::CompleteTaskRequest>("job_id: 1"), StartsWith("task: required"));
  CHECK_THAT(Complaint<v1::CompleteTaskRequest>("job_id: 1 task: 'a' artifacts { name: 'x' }"),
             StartsWith("artifacts[0].digest: a digest is the 32 raw bytes"));
  CHECK_THAT(Complaint<v1::ListPassesRequest>(""), StartsWith("job_id: required unless pass_id"));
  CHECK_THAT(Complaint<v1::FindMissingBlobsRequest>("digests: 'short'"),
             StartsWith("digests[0]: a digest"));
  CHECK_THAT(Complaint<v1::GetBlobRequest>(""), StartsWith("digest: "));
  CHECK_THAT(Complaint<v1::GetTimelineRequest>("job_id: 1 quantiles: [0.5, 0.5]"),
             StartsWith("quantiles[1]: 0.5 does not ascend from 0.5"));
  CHECK_THAT(Complaint<v1::GetTimelineRequest>("job_id: 1 quantiles: [0.5, 1.5]"),
             StartsWith("quantiles[1]: 1.5 is not within 0 and 1"));
  CHECK_THAT(Complaint<v1::GetTimelineRequest>("job_id: 1 quantiles: nan"),
             StartsWith("quantiles[0]: "));
  CHECK_THAT(Complaint<v1::GetTimelineRequest>("job_id: 1 buckets: 1000000"),
             StartsWith("buckets: 1000000, at most max_buckets = 4096"));
  CHECK_THAT(Complaint<v1::GetTimelineRequest>("job_id: 1 from_ns: 5 to_ns: 5"),
             StartsWith("to_ns: 5 must be greater than from_ns = 5"));
  using Occupancy = v1::GetOccupancyRequest;
  CHECK_THAT(Complaint<Occupancy>("subject { job_id: 1 } buckets: 1000000"),
             StartsWith("buckets: 1000000, at most max_buckets = 4096"));
  CHECK_THAT(Complaint<Occupancy>("subject { job_id: 1 } launch: 2 all_launches: true"),
             StartsWith("launch: 2 is one launch"));
  CHECK(Complaint<Occupancy>("subject { job_id: 1 } launch: 2").empty());
  CHECK_THAT(Complaint<v1::GetVariationRequest>(""), StartsWith("subject.job_id: required"));
  CHECK_THAT(Complaint<v1::GetTimelineRequest>("job_id: 1 kernel: 'a\\000b'"),
             StartsWith("kernel: must not contain control characters"));
  using Path = v1::GetCriticalPathRequest;
  CHECK_THAT(Complaint<Path>(""), StartsWith("subject.job_id: required"));
  CHECK(Complaint<Path>("subject { job_id: 1 } what_if { region: 'x' shorten_pct: 10 }").empty());
  CHECK_THAT(Complaint<Path>("subject { job_id: 1 quantiles: [0.5, 0.5] }"),
             StartsWith("subject.quantiles[1]: 0.5 does not ascend"));
  CHECK_THAT(Complaint<Path>("subject { job_id: 1 kernel: 'a\\000b' }"),
             StartsWith("subject.kernel: must not contain control characters"));
  CHECK_THAT(Complaint<Path>("subject { job_id: 1 } max_steps: 10001"),
             StartsWith("max_steps: 10001, at most 10000"));
  CHECK_THAT(Complaint<Path>("subject { job_id: 1 } what_if { shorten_pct: 10 }"),
             StartsWith("what_if[0].region: required"));
  for (const char* wrong : {"0", "101", "-1001", "nan"})
    CHECK_THAT(Complaint<Path>(absl::StrCat("subject { job_id: 1 } what_if { region: 'x' shorten_pct: ",
                                            wrong, " }")),
               StartsWith("what_if[0].shorten_pct: "));
  CHECK_THAT(Complaint<v1::GetRegionCostsRequest>(""), StartsWith("subject.job_id: required"));
  CHECK_THAT(Complaint<v1::GetRegistersRequest>(""), StartsWith("subject.job_id: required"));
  CHECK_THAT(Complaint<v1::GetRooflineRequest>(""), StartsWith("subject.job_id: required"));
  CHECK_THAT(Complaint<v1::GetHotspotsRequest>("subject { job_id: 1 } top: 1001"), StartsWith("top: 1001, at most 1000"));
  CHECK_THAT(Complaint<v1::GetHotspotsRequest>("subject { job_id: 1 } within: 'a\\nb'"),
             StartsWith("within: must not contain control characters"));
  CHECK(Complaint<v1::GetHotspotsRequest>("subject { job_id: 1 } by: 'line' top: 1000").empty());
  CHECK_THAT(Complaint<v1::GetDiagnosisRequest>("subject { job_id: 1 } top: 1001"), StartsWith("top: 1001"));
  CHECK_THAT(Complaint<v1::QueryRequest>(""), StartsWith("sql: required"));
  CHECK_THAT(Complaint<v1::QueryRequest>("sql: 'SELECT 1' timeout_s: -1"), StartsWith("timeout_s: "));
  CHECK_THAT(Complaint<v1::ExportTraceRequest>("job_id: 1"), StartsWith("format: 0 is unknown"));
  CHECK_THAT(Complaint<v1::CommitPassesRequest>(""), StartsWith("worker: required"));
}

TEST_CASE("right requests pass") {
  CHECK(Complaint<v1::SubmitJobRequest>("graph {} request_id: 'a'").empty());
  CHECK(Complaint<v1::GetTimelineRequest>("job_id: 1 quantiles: [0, 0.5, 1] buckets: 8").empty());
  CHECK(Complaint<v1::ListPassesRequest>("pass_id: 3").empty());
  CHECK(Complaint<v1::ExportTraceRequest>("job_id: 1 format: CSV").empty());
}

TEST_CASE("addresses are understood, and those that others reach are refused") {
  const auto text = [](const char* address) { return ParseAddress(address)->text; };
  CHECK(text("127.0.0.1:7070") == "127.0.0.1:7070");
  CHECK(text(":0") == "127.0.0.1:0");
  CHECK(text("[::1]:7070") == "[::1]:7070");
  CHECK(text("unix:///run/s.sock") == "unix:/run/s.sock");
  CHECK_FALSE(ParseAddress("localhost:1")->anywhere);
  CHECK_FALSE(ParseAddress("127.8.0.1:1")->anywhere);
  for (const char* reachable : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "127.example.org:1", "host:1"}) {
    INFO(reachable);
    CHECK(absl::IsInvalidArgument(CheckReach("--listen", *ParseAddress(reachable), {})));
    CHECK(CheckReach("--listen", *ParseAddress(reachable), {.anywhere = true}).ok());
    CHECK(CheckReach("--http", *ParseAddress(reachable), {.tls = true}).ok());
  }
  for (const char* wrong : {"", "7070", "host:", "host:70000", "::1:80", "unix://relative"}) {
    INFO(wrong);
    CHECK(absl::IsInvalidArgument(ParseAddress(wrong).status()));
  }
}

TEST_CASE("a status keeps its code both ways, and a long message is cut between characters") {
  const absl::Status status = absl::AlreadyExistsError("request_id: used");
  CHECK(FromGrpc(ToGrpc(status)) == status);
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "ä";
  const std::string cut = ToGrpc(absl::InternalError(text)).error_message();
  CHECK(cut.size() <= kMaxMessageBytes);
  CHECK(cut.substr(0, 2) == "ä");
  CHECK_THAT(cut, Catch::EndsWith("ä …"));
}

}  // namespace sextant::rpc
