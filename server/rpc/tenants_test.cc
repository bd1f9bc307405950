// What one tenant learns of another: nothing. Over every method, found by what its request names.
#include <functional>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/access/subjects.h"
#include "server/rpc/test_generic_call.h"
#include "server/rpc/test_service.h"

namespace sextant::rpc {
namespace {

using S = v1::Sextant::Stub;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;

const google::protobuf::ServiceDescriptor& Clients() {
  return *v1::SubmitJobRequest::descriptor()->file()->FindServiceByName("Sextant");
}

std::unique_ptr<Message> NewMessage(const Descriptor* type) {
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

struct Ids {
  int64_t job_id = 0;
  int64_t pass_id = 0;
  std::string digest;
};

// Sets what names a job, a pass or a blob; how many fields.
int Name(const Ids& ids, Message* message) {
  const auto* reflection = message->GetReflection();
  int set = 0;
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->field(i);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (field->name() == "subject") set += Name(ids, reflection->MutableMessage(message, field));
      continue;
    }
    const access::Names what = access::WhatNames(*field);
    if (what == access::Names::kJob || what == access::Names::kPass) {
      const int64_t id = what == access::Names::kJob ? ids.job_id : ids.pass_id;
      field->is_repeated() ? reflection->AddInt64(message, field, id) : reflection->SetInt64(message, field, id);
      ++set;
    } else if (field->type() == FieldDescriptor::TYPE_BYTES && field->name() == "digest") {
      reflection->SetString(message, field, ids.digest);
      ++set;
    }
  }
  return set;
}

// Two tenants; "a" has a done job with two passes, a trace and a file.
struct TwoTenants {
  TwoTenants()
      : service(job::DefaultLimits(), true),
        a(service.Token({v1::SUBMIT}, "a")),
        b(service.Token({v1::SUBMIT}, "b")),
        worker(service.worker.get(), "w", service.Token({v1::WORKER})) {
    bytes = "the secret program of a";
    theirs.digest = chunk::Digest(bytes);
    CHECK(Upload(a, bytes).second.stored() == 1);
    v1::SubmitJobRequest request = ProfileJob("secret", 2);
    request.mutable_graph()->set_name("secretjob");
    auto* file = request.mutable_graph()->mutable_tasks(0)->mutable_profile()->mutable_workload()->add_files();
    file->set_path("program");
    file->set_digest(theirs.digest);
    theirs.job_id = Submit(a, request);
    for (int i = 0; i < 2; ++i) {
      const v1::Assignment assignment = worker.Next();
      theirs.pass_id = assignment.pass().pass_id();
      worker.Commit(assignment, worker.Upload(assignment, TilesTrace(4, assignment.ordinal())));
    }
    v1::GetJobRequest get;
    get.set_job_id(theirs.job_id);
    get.set_wait_s(60);
    v1::GetJobResponse job;
    REQUIRE(As(a, &S::GetJob, get, &job).ok());
    REQUIRE(job.job().state() == v1::DONE);
    CHECK(job.job().tenant() == "a");
  }

  template <typename Response, typename Request>
  grpc::Status As(const std::string& token,
                  grpc::Status (S::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request, Response* response) {
    return service.CallAs("Bearer " + token, method, request, response);
  }
  int64_t Submit(const std::string& token, const v1::SubmitJobRequest& request) {
    v1::SubmitJobResponse response;
    const grpc::Status status = As(token, &S::SubmitJob, request, &response);
    INFO(status.error_message());
    REQUIRE(status.ok());
    return response.job_id();
  }
  std::pair<grpc::Status, v1::UploadBlobsResponse> Upload(const std::string& token, const std::string& sent,
                                                          const std::string& as = "") {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + token);
    v1::UploadBlobsResponse response;
    auto writer = service.client->UploadBlobs(&context, &response);
    v1::UploadBlobsRequest message;
    message.set_digest(as.empty() ? chunk::Digest(sent) : as);
    message.set_size_bytes(sent.size());
    message.set_data(sent);
    message.set_last(true);
    writer->Write(message);
    writer->WritesDone();
    return {writer->Finish(), response};
  }
  grpc::Status Get(const std::string& token, const std::string& digest, std::string* got) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + token);
    v1::GetBlobRequest request;
    request.set_digest(digest);
    auto reader = service.client->GetBlob(&context, request);
    for (v1::GetBlobResponse piece; reader->Read(&piece);) *got += piece.data();
    return reader->Finish();
  }
  int Missing(const std::string& token, const std::string& digest) {
    v1::FindMissingBlobsRequest find;
    find.add_digests(digest);
    v1::FindMissingBlobsResponse missing;
    REQUIRE(As(token, &S::FindMissingBlobs, find, &missing).ok());
    return missing.missing_size();
  }

  TestService service;
  const std::string a, b;
  FakeWorker worker;
  std::string bytes;
  Ids theirs;
};

void Visit(const Descriptor* type, const std::function<void(const FieldDescriptor&)>& visit,
           std::set<const Descriptor*>* seen) {
  if (!seen->insert(type).second) return;
  for (int i = 0; i < type->field_count(); ++i) {
    visit(*type->field(i));
    if (type->field(i)->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
      Visit(type->field(i)->message_type(), visit, seen);
  }
}

}  // namespace

TEST_CASE("whatever a request may name is known to be a name") {
  // Bounds of pages and cursors name nothing; ids of the workers' port are theirs.
  const std::set<std::string> bounds = {"before_job_id", "after_pass_id", "after_seq"};
  // Each is held against the caller's reach where it is read: server/store/blobs.h and jobs.h.
  const std::set<std::string> of_blobs = {"digest", "digests"};
  const std::set<std::string> bytes = {"data", "after_digest"};
  for (int i = 0; i < Clients().method_count(); ++i) {
    const MethodDescriptor* method = Clients().method(i);
    std::set<const Descriptor*> seen;
    Visit(method->input_type(), [&](const FieldDescriptor& field) {
      INFO(method->name() << " " << field.full_name());
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT64)
        CHECK((access::WhatNames(field) != access::Names::kNothing || bounds.contains(field.name())));
      if (field.type() == FieldDescriptor::TYPE_BYTES)
        CHECK((of_blobs.contains(field.name()) || bytes.contains(field.name())));
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && absl::StrContains(field.name(), "tenant"))
        CHECK(access::WhatNames(field) == access::Names::kTenant);
    }, &seen);
  }
}

TEST_CASE("another tenant's job, pass and file are answered like none at all") {
  TwoTenants two;
  const Ids none{987'654, 987'655, std::string(32, '\x05')};
  int named = 0;
  for (int i = 0; i < Clients().method_count(); ++i) {
    const MethodDescriptor& method = *Clients().method(i);
    if (method.options().GetExtension(v1::scope) == v1::ADMIN || method.client_streaming()) continue;
    const auto theirs = NewMessage(method.input_type()), nobodys = NewMessage(method.input_type());
    if (Name(two.theirs, theirs.get()) == 0) continue;
    Name(none, nobodys.get());
    ++named;
    INFO(method.name());
    std::vector<std::string> answers;
    const grpc::Status of_theirs = CallGeneric(two.service.channel(), method, theirs->SerializeAsString(),
                                               "Bearer " + two.b, &answers);
    const grpc::Status of_none = CallGeneric(two.service.channel(), method, nobodys->SerializeAsString(),
                                             "Bearer " + two.b, &answers);
    CHECK(of_theirs.error_code() == grpc::StatusCode::NOT_FOUND);
    CHECK(of_none.error_code() == grpc::StatusCode::NOT_FOUND);
    CHECK(answers.empty());
    const auto without_ids = [](const std::string& text, const Ids& ids) {
      return absl::StrReplaceAll(text, {{absl::StrCat(ids.job_id), "#"},
                                        {absl::StrCat(ids.pass_id), "#"},
                                        {absl::BytesToHexString(ids.digest), "#"}});
    };
    CHECK(without_ids(of_theirs.error_message(), two.theirs) == without_ids(of_none.error_message(), none));
  }
  CHECK(named >= 20);
}

TEST_CASE("lists, queries and descriptions hold the caller's tenant's alone") {
  TwoTenants two;
  v1::ListJobsResponse jobs;
  REQUIRE(two.As(two.b, &S::ListJobs, v1::ListJobsRequest(), &jobs).ok());
  CHECK(jobs.jobs().empty());
  REQUIRE(two.As(two.a, &S::ListJobs, v1::ListJobsRequest(), &jobs).ok());
  CHECK(jobs.jobs_size() == 1);
  v1::ListBlobsResponse blobs;
  REQUIRE(two.As(two.b, &S::ListBlobs, v1::ListBlobsRequest(), &blobs).ok());
  CHECK(blobs.blobs().empty());
  CHECK(blobs.used_bytes() == 0);
  REQUIRE(two.As(two.a, &S::ListBlobs, v1::ListBlobsRequest(), &blobs).ok());
  CHECK(blobs.blobs_size() == 1);
  v1::QueryRequest query;
  query.set_sql("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM passes), (SELECT count(*) FROM traces)");
  v1::QueryResponse rows;
  REQUIRE(two.As(two.b, &S::Query, query, &rows).ok());
  for (const auto& cell : rows.rows(0).cells()) CHECK(cell.text() == "0");
  REQUIRE(two.As(two.a, &S::Query, query, &rows).ok());
  CHECK(rows.rows(0).cells(0).text() == "1");
  CHECK(rows.rows(0).cells(1).text() == "2");
  CHECK(rows.rows(0).cells(2).text() == "2");
  v1::ServiceDescription about;
  REQUIRE(two.As(two.b, &S::DescribeService, v1::DescribeServiceRequest(), &about).ok());
  CHECK(about.caller().tenant() == "b");
  CHECK(about.workers_size() >= 1);
  CHECK(about.duplicate_commits() == 0);
  v1::GetQuotaRequest quota;
  quota.set_tenant("a");
  v1::QuotaUse use;
  CHECK(two.As(two.b, &S::GetQuota, quota, &use).error_code() == grpc::StatusCode::PERMISSION_DENIED);
  quota.clear_tenant();
  REQUIRE(two.As(two.b, &S::GetQuota, quota, &use).ok());
  CHECK(use.quota().tenant() == "b");
  CHECK(use.stored_bytes() == 0);
  const std::string admin = two.service.AdminHeader();
  REQUIRE(two.service.CallAs(admin, &S::ListJobs, v1::ListJobsRequest(), &jobs).ok());
  CHECK(jobs.jobs_size() == 1);
  v1::GetJobRequest get;
  get.set_job_id(two.theirs.job_id);
  v1::GetJobResponse job;
  CHECK(two.service.CallAs(admin, &S::GetJob, get, &job).ok());
}

TEST_CASE("a file is a tenant's once it has sent it whole, whoever sent it before") {
  TwoTenants two;
  CHECK(two.Missing(two.a, two.theirs.digest) == 0);
  CHECK(two.Missing(two.b, two.theirs.digest) == 1);
  std::string got;
  CHECK(two.Get(two.b, two.theirs.digest, &got).error_code() == grpc::StatusCode::NOT_FOUND);
  // Its digest alone gives nobody a file.
  v1::SubmitJobRequest request = ProfileJob("thief", 1);
  auto* file = request.mutable_graph()->mutable_tasks(0)->mutable_profile()->mutable_workload()->add_files();
  file->set_path("program");
  file->set_digest(two.theirs.digest);
  v1::SubmitJobResponse refused;
  CHECK(two.As(two.b, &S::SubmitJob, request, &refused).error_code() == grpc::StatusCode::FAILED_PRECONDITION);
  CHECK_FALSE(two.Upload(two.b, "something else that is sent", two.theirs.digest).first.ok());
  CHECK(two.Missing(two.b, two.theirs.digest) == 1);
  CHECK(got.empty());
  const auto [sent, response] = two.Upload(two.b, two.bytes);
  CHECK(sent.ok());
  CHECK(response.stored() == 1);          // nothing tells that it was there
  CHECK(response.already_there() == 0);
  CHECK(two.Missing(two.b, two.theirs.digest) == 0);
  CHECK(two.Get(two.b, two.theirs.digest, &got).ok());
  CHECK(got == two.bytes);
  v1::ListBlobsResponse blobs;
  REQUIRE(two.As(two.b, &S::ListBlobs, v1::ListBlobsRequest(), &blobs).ok());
  REQUIRE(blobs.blobs_size() == 1);
  CHECK(blobs.used_bytes() == two.bytes.size());
}

TEST_CASE("results of one tenant answer no other, and equal request ids are two jobs") {
  TwoTenants two;
  CHECK(two.Upload(two.b, two.bytes).first.ok());
  v1::SubmitJobRequest request = ProfileJob("secret", 2);
  request.mutable_graph()->set_name("secretjob");
  auto* file = request.mutable_graph()->mutable_tasks(0)->mutable_profile()->mutable_workload()->add_files();
  file->set_path("program");
  file->set_digest(two.theirs.digest);
  const int64_t own = two.Submit(two.b, request);
  CHECK(own != two.theirs.job_id);
  v1::GetJobRequest get;
  get.set_job_id(own);
  v1::GetJobResponse job;
  REQUIRE(two.As(two.b, &S::GetJob, get, &job).ok());
  CHECK(job.job().passes() == 2);
  CHECK(job.job().passes_cached() == 0);
  v1::ExplainJobRequest explain;
  explain.set_job_id(own);
  v1::ExplainJobResponse why;
  REQUIRE(two.As(two.b, &S::ExplainJob, explain, &why).ok());
  REQUIRE(why.tasks_size() == 1);
  CHECK(why.tasks(0).cache() == "miss");
  for (const auto& component : why.tasks(0).components()) CHECK(component.nearest() == component.value());
  // Within a tenant they do.
  request.set_request_id("again");
  const int64_t again = two.Submit(two.a, request);
  get.set_job_id(again);
  REQUIRE(two.As(two.a, &S::GetJob, get, &job).ok());
  CHECK(job.job().passes_cached() == 2);
}

TEST_CASE("no more passes are queued than a tenant's quota, and the answer names it") {
  TwoTenants two;
  const std::string admin = two.service.AdminHeader();
  v1::SetQuotaRequest set;
  set.mutable_quota()->set_tenant("a");
  set.mutable_quota()->set_queued_passes(3);
  v1::QuotaUse use;
  REQUIRE(two.service.CallAs(admin, &S::SetQuota, set, &use).ok());
  CHECK(use.quota().queued_passes() == 3);
  const auto fresh = [](const std::string& id, int passes) {
    v1::SubmitJobRequest request = ProfileJob(id, passes);
    request.mutable_graph()->set_salt(id);
    return request;
  };
  v1::SubmitJobResponse response;
  const grpc::Status status = two.As(two.a, &S::SubmitJob, fresh("four", 4), &response);
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(absl::StartsWith(status.error_message(), "queued_passes: tenant a"));
  CHECK(absl::StrContains(status.error_message(), "max_queued_passes_per_tenant"));
  CHECK(absl::StrContains(status.error_message(), "sextant tenant quota"));
  CHECK(two.As(two.a, &S::SubmitJob, fresh("three", 3), &response).ok());
  CHECK(two.As(two.b, &S::SubmitJob, fresh("four", 4), &response).ok());
}

TEST_CASE("a tenant runs on no more devices than its quota, and the others go on") {
  TwoTenants two;
  const std::string admin = two.service.AdminHeader();
  v1::SetQuotaRequest set;
  set.mutable_quota()->set_tenant("a");
  set.mutable_quota()->set_running_devices(1);
  v1::QuotaUse use;
  REQUIRE(two.service.CallAs(admin, &S::SetQuota, set, &use).ok());
  FakeWorker second(two.service.worker.get(), "w2", two.service.Token({v1::WORKER}));
  FakeWorker third(two.service.worker.get(), "w3", two.service.Token({v1::WORKER}));
  v1::SubmitJobRequest many = ProfileJob("many", 6);
  many.mutable_graph()->set_salt("many");
  two.Submit(two.a, many);
  v1::SubmitJobRequest other = ProfileJob("other", 2);
  other.mutable_graph()->set_salt("other");
  two.Submit(two.b, other);
  std::multiset<int64_t> jobs;
  for (FakeWorker* worker : {&two.worker, &second, &third}) jobs.insert(worker->Next().job_id());
  CHECK(std::set<int64_t>(jobs.begin(), jobs.end()).size() == 2);
  REQUIRE(two.service.CallAs(admin, &S::GetQuota, [] {
    v1::GetQuotaRequest get;
    get.set_tenant("a");
    return get;
  }(), &use).ok());
  CHECK(use.running_devices() == 1);
  CHECK(use.queued_passes() == 5);
}

TEST_CASE("what a tenant stores ends at its quota, uploads and results alike") {
  TwoTenants two;
  const std::string admin = two.service.AdminHeader();
  v1::SetQuotaRequest set;
  set.mutable_quota()->set_tenant("a");
  set.mutable_quota()->set_stored_bytes(10);
  v1::QuotaUse use;
  REQUIRE(two.service.CallAs(admin, &S::SetQuota, set, &use).ok());
  CHECK(use.stored_bytes() > two.bytes.size());   // its traces count, too
  const auto [status, response] = two.Upload(two.a, "more");
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(absl::StartsWith(status.error_message(), "stored_bytes: tenant a"));
  CHECK(two.Upload(two.b, "more").first.ok());
  v1::SubmitJobRequest request = ProfileJob("next", 1);
  request.mutable_graph()->set_salt("next");
  const int64_t job_id = two.Submit(two.a, request);
  const v1::Assignment assignment = two.worker.Next();
  two.worker.Commit(assignment, two.worker.Upload(assignment, TilesTrace(4, 77)));
  v1::GetJobRequest get;
  get.set_job_id(job_id);
  get.set_wait_s(60);
  v1::GetJobResponse job;
  REQUIRE(two.As(two.a, &S::GetJob, get, &job).ok());
  CHECK(job.job().state() == v1::FAILED);
  CHECK(absl::StrContains(job.job().failure().message(), "stored_bytes: tenant a"));
}

TEST_CASE("calls beyond a tenant's rate are refused by its name, another's are not") {
  TwoTenants two;
  const std::string admin = two.service.AdminHeader();
  v1::SetQuotaRequest set;
  set.mutable_quota()->set_tenant("a");
  set.mutable_quota()->set_calls_per_s(0.001);
  v1::QuotaUse use;
  REQUIRE(two.service.CallAs(admin, &S::SetQuota, set, &use).ok());
  v1::ListJobsResponse jobs;
  // The bucket that was filled under the larger quota holds one call of the new one.
  grpc::Status status;
  for (int i = 0; i < 3; ++i) status = two.As(two.a, &S::ListJobs, v1::ListJobsRequest(), &jobs);
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(absl::StartsWith(status.error_message(), "calls_per_s: tenant a"));
  CHECK(two.As(two.b, &S::ListJobs, v1::ListJobsRequest(), &jobs).ok());
  CHECK(two.service.CallAs(admin, &S::ListJobs, v1::ListJobsRequest(), &jobs).ok());
}

}  // namespace sextant::rpc
