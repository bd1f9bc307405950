// Who is let in: every method, every kind of token.

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/rpc/test_generic_call.h"
#include "server/rpc/test_service.h"

namespace sextant::rpc {
namespace {

using S = v1::Sextant::Stub;
using google::protobuf::MethodDescriptor;

std::vector<const MethodDescriptor*> AllMethods() {
  std::vector<const MethodDescriptor*> methods;
  for (const auto* service : {v1::SubmitJobRequest::descriptor()->file()->FindServiceByName("Sextant"),
                              v1::WorkerState::descriptor()->file()->FindServiceByName("Workers")})
    for (int i = 0; i < service->method_count(); ++i) methods.push_back(service->method(i));
  return methods;
}

}  // namespace

TEST_CASE("without a valid token no method answers") {
  TestService service(job::DefaultLimits(), true);
  const std::string admin = service.AdminHeader();
  const std::string expired = service.Token({v1::ADMIN}, "", 0.000'001);
  std::string revoked = service.Token({v1::ADMIN});
  v1::RevokeTokenRequest revoke;
  revoke.set_id(revoked.substr(0, revoked.rfind('_')));
  v1::Token gone;
  REQUIRE(service.CallAs(admin, &S::RevokeToken, revoke, &gone).ok());
  CHECK(gone.revoked_unix_ns() > 0);
  std::string wrong = service.Token({v1::ADMIN});
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  const std::string unknown = "sx_000000000000_" + std::string(64, 'a');
  std::string said_of_unknown, said_of_wrong;
  for (const MethodDescriptor* method : AllMethods()) {
    for (const std::string& authorization :
         {std::string(), std::string("Bearer "), "Bearer " + expired, "Bearer " + revoked, "Bearer " + wrong,
          "Bearer " + unknown, std::string("Basic YTpi")}) {
      INFO(method->name() << " with " << authorization);
      std::vector<std::string> answers;
      const grpc::Status status = CallGeneric(service.channel(), *method, "", authorization, &answers);
      CHECK(status.error_code() == grpc::StatusCode::UNAUTHENTICATED);
      CHECK(answers.empty());
      CHECK(absl::StrContains(status.error_message(), "token"));
      if (authorization == "Bearer " + unknown) said_of_unknown = status.error_message();
      if (authorization == "Bearer " + wrong) said_of_wrong = status.error_message();
    }
  }
  CHECK(said_of_unknown == said_of_wrong);
}

TEST_CASE("every method says which scope it takes, and a smaller one is refused by its name") {
  TestService service(job::DefaultLimits(), true);
  const std::map<v1::TokenScope, std::string> tokens = {{v1::READ, service.Token({v1::READ})},
                                                       {v1::SUBMIT, service.Token({v1::SUBMIT})},
                                                       {v1::ADMIN, service.Token({v1::ADMIN})},
                                                       {v1::WORKER, service.Token({v1::WORKER})}};
  const std::map<v1::TokenScope, std::set<v1::TokenScope>> may = {
      {v1::READ, {v1::READ}},
      {v1::SUBMIT, {v1::READ, v1::SUBMIT}},
      {v1::ADMIN, {v1::READ, v1::SUBMIT, v1::ADMIN}},
      {v1::WORKER, {v1::WORKER}}};
  for (const MethodDescriptor* method : AllMethods()) {
    const v1::TokenScope takes = method->options().GetExtension(v1::scope);
    REQUIRE(takes != v1::TOKEN_SCOPE_UNSPECIFIED);
    for (const auto& [scope, token] : tokens) {
      INFO(method->name() << " with " << v1::TokenScope_Name(scope));
      std::vector<std::string> answers;
      const grpc::Status status = CallGeneric(service.channel(), *method, "", "Bearer " + token, &answers);
      const bool moves_files = method->name() == "GetBlob" || method->name() == "UploadBlobs" ||
                               method->name() == "FindMissingBlobs";
      if (may.at(scope).contains(takes) || (scope == v1::WORKER && moves_files)) {
        CHECK(status.error_code() != grpc::StatusCode::PERMISSION_DENIED);
        CHECK(status.error_code() != grpc::StatusCode::UNAUTHENTICATED);
      } else {
        CHECK(status.error_code() == grpc::StatusCode::PERMISSION_DENIED);
        CHECK(answers.empty());
        CHECK(absl::StrContains(status.error_message(), v1::TokenScope_Name(takes)));
        CHECK(absl::StrContains(status.error_message(), v1::TokenScope_Name(scope)));
      }
    }
  }
}

TEST_CASE("an open service takes everybody for everything, and says so") {
  TestService service;
  v1::ServiceDescription about;
  REQUIRE(Call(*service.client, &S::DescribeService, v1::DescribeServiceRequest(), &about).ok());
  CHECK_FALSE(about.needs_token());
  CHECK(about.caller().by() == "open");
  CHECK(about.caller().tenant() == "default");
  v1::ListTokensResponse tokens;
  CHECK(Call(*service.client, &S::ListTokens, v1::ListTokensRequest(), &tokens).ok());
}

TEST_CASE("nobody keeps a way into an open service once it is closed, but from its own socket") {
  TestService service;
  v1::CreateTokenRequest request;
  request.add_scopes(v1::ADMIN);
  v1::CreateTokenResponse made;
  const grpc::Status status = Call(*service.client, &S::CreateToken, request, &made);
  CHECK(status.error_code() == grpc::StatusCode::PERMISSION_DENIED);
  CHECK(absl::StrContains(status.error_message(), "Unix socket"));
  grpc::ClientContext within;
  CHECK(v1::Sextant::NewStub(service.server().InProcess())->CreateToken(&within, request, &made).error_code() ==
        grpc::StatusCode::PERMISSION_DENIED);
  CHECK_FALSE(service.Token({v1::ADMIN}).empty());
}

TEST_CASE("the service's own socket needs no token, and calls from within it do") {
  TestService service(job::DefaultLimits(), true);
  v1::ServiceDescription about;
  grpc::ClientContext of_socket;
  REQUIRE(v1::Sextant::NewStub(service.socket())->DescribeService(&of_socket, {}, &about).ok());
  CHECK(about.needs_token());
  CHECK(about.caller().by() == "socket");
  CHECK(about.caller().tenant().empty());
  const auto within = v1::Sextant::NewStub(service.server().InProcess());
  grpc::ClientContext of_nobody;
  of_nobody.AddMetadata(kPeerMetadata, "unix:/somewhere");
  CHECK(within->DescribeService(&of_nobody, {}, &about).error_code() == grpc::StatusCode::UNAUTHENTICATED);
  grpc::ClientContext of_token;
  of_token.AddMetadata("authorization", "Bearer " + service.Token({v1::READ}, "a"));
  REQUIRE(within->DescribeService(&of_token, {}, &about).ok());
  CHECK(about.caller().by() == "token");
  CHECK(about.caller().tenant() == "a");
}

TEST_CASE("a revoked token ends what is under way within a second or so") {
  TestService service(job::DefaultLimits(), true);
  const std::string admin = service.AdminHeader();
  const std::string token = service.Token({v1::SUBMIT});
  v1::SubmitJobRequest submit;
  submit.set_request_id("open");
  submit.mutable_graph()->set_open(true);
  submit.mutable_graph()->add_tasks()->set_name("ask");
  submit.mutable_graph()->mutable_tasks(0)->mutable_external();
  v1::SubmitJobResponse job;
  REQUIRE(service.CallAs("Bearer " + token, &S::SubmitJob, submit, &job).ok());
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + token);
  v1::WatchJobRequest watch;
  watch.set_job_id(job.job_id());
  auto stream = service.client->WatchJob(&context, watch);
  v1::Event event;
  REQUIRE(stream->Read(&event));
  v1::RevokeTokenRequest revoke;
  revoke.set_id(token.substr(0, token.rfind('_')));
  v1::Token gone;
  REQUIRE(service.CallAs(admin, &S::RevokeToken, revoke, &gone).ok());
  while (stream->Read(&event)) {
  }
  CHECK(stream->Finish().error_code() == grpc::StatusCode::UNAUTHENTICATED);
}

TEST_CASE("tokens are listed without their secrets, with their use") {
  TestService service(job::DefaultLimits(), true);
  const std::string admin = service.AdminHeader();
  const std::string token = service.Token({v1::READ}, "a");
  v1::ListJobsResponse jobs;
  REQUIRE(service.CallAs("Bearer " + token, &S::ListJobs, v1::ListJobsRequest(), &jobs).ok());
  REQUIRE(service.ledger().Flush(absl::Seconds(60)));
  v1::ListTokensRequest list;
  list.set_tenant("a");
  v1::ListTokensResponse tokens;
  REQUIRE(service.CallAs(admin, &S::ListTokens, list, &tokens).ok());
  REQUIRE(tokens.tokens_size() == 1);
  CHECK(tokens.tokens(0).id() == token.substr(0, token.rfind('_')));
  CHECK(tokens.tokens(0).last_used_unix_ns() > 0);
  CHECK_FALSE(absl::StrContains(tokens.DebugString(), token.substr(token.rfind('_') + 1)));
}

TEST_CASE("what changes something leaves an entry in the audit trail, also what was refused") {
  TestService service(job::DefaultLimits(), true);
  const std::string admin = service.AdminHeader();
  const std::string token = service.Token({v1::SUBMIT}, "a");
  v1::SubmitJobRequest submit = ProfileJob("x", 1);
  v1::SubmitJobResponse job;
  REQUIRE(service.CallAs("Bearer " + token, &S::SubmitJob, submit, &job).ok());
  v1::ListTokensResponse tokens;
  CHECK_FALSE(service.CallAs("Bearer " + token, &S::ListTokens, v1::ListTokensRequest(), &tokens).ok());
  v1::ListJobsResponse jobs;
  REQUIRE(service.CallAs("Bearer " + token, &S::ListJobs, v1::ListJobsRequest(), &jobs).ok());
  v1::SubmitJobResponse none;
  CHECK_FALSE(service.CallAs("", &S::SubmitJob, submit, &none).ok());
  REQUIRE(service.ledger().Flush(absl::Seconds(60)));
  std::vector<std::string> lines;
  v1::ListAuditRequest request;
  request.set_page_size(1);   // pages, newest first
  for (bool more = true; more;) {
    v1::ListAuditResponse page;
    REQUIRE(service.CallAs(admin, &S::ListAudit, request, &page).ok());
    for (const auto& entry : page.entries()) {
      lines.push_back(absl::StrCat(entry.method(), "|", entry.subject(), "|", entry.outcome(), "|", entry.tenant(),
                                   "|", entry.token_id().empty() ? "" : "token"));
      CHECK_FALSE(entry.peer().empty());
      request.set_before_unix_ns(entry.at_unix_ns());
    }
    more = page.more();
  }
  // Reading the trail is an administrator's, so it is in it, as far as it was written.
  lines.erase(std::remove_if(lines.begin(), lines.end(),
                             [](const std::string& line) { return absl::StartsWith(line, "ListAudit"); }),
              lines.end());
  const std::string id = token.substr(0, token.rfind('_'));
  CHECK(lines == std::vector<std::string>{"SubmitJob||UNAUTHENTICATED||", "ListTokens||PERMISSION_DENIED|a|token",
                                          absl::StrCat("SubmitJob|job ", job.job_id(), "|OK|a|token"),
                                          absl::StrCat("CreateToken|token ", id, "|OK||"),
                                          absl::StrCat("CreateToken|token ", admin.substr(7, 15), "|OK||")});
}

TEST_CASE("calls that are refused, and looks at the metrics, are of the tenant's rate") {
  v1::ServiceLimits limits = job::DefaultLimits();
  limits.set_max_calls_per_s_per_tenant(1);
  TestService service(limits, true);
  const std::string a = service.Token({v1::READ}, "a"), b = service.Token({v1::READ}, "b");
  v1::CancelJobRequest cancel;
  cancel.set_job_id(1);
  v1::JobInfo job;
  grpc::Status status;
  do status = service.CallAs("Bearer " + a, &S::CancelJob, cancel, &job);
  while (status.error_code() == grpc::StatusCode::PERMISSION_DENIED);
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(absl::StrContains(status.error_message(), "calls_per_s"));
  const auto look = [&](const std::string& token) {
    absl::Status said;
    absl::Notification over;
    service.server().AdmitReader("Bearer " + token, "127.0.0.1:1", [&](const absl::Status& is) {
      said = is;
      over.Notify();
    });
    over.WaitForNotification();
    return said;
  };
  CHECK(look(b).ok());
  absl::Status said;
  do said = look(b);
  while (said.ok());
  CHECK(absl::IsResourceExhausted(said));
}

TEST_CASE("a tenant's refused calls do not fill the audit trail") {
  TestService service(job::DefaultLimits(), true);
  const std::string a = service.Token({v1::READ}, "a"), b = service.Token({v1::READ}, "b");
  v1::CancelJobRequest cancel;
  cancel.set_job_id(1);
  v1::JobInfo job;
  const auto left_out = [&] {
    const std::string page = service.server().metrics()->Page();
    const std::string name = "\nsextant_audit_left_out_total ";
    const size_t at = page.find(name);
    REQUIRE(at != std::string::npos);
    return std::stoi(page.substr(at + name.size()));
  };
  int calls = 0;
  do {
    CHECK(service.CallAs("Bearer " + a, &S::CancelJob, cancel, &job).error_code() ==
          grpc::StatusCode::PERMISSION_DENIED);
    ++calls;
  } while (left_out() == 0);
  CHECK(calls > 20);
  const int of_a = calls - left_out();
  CHECK_FALSE(service.CallAs("Bearer " + b, &S::CancelJob, cancel, &job).ok());   // has a bound of its own
  REQUIRE(service.ledger().Flush(absl::Seconds(60)));
  v1::ListAuditRequest request;
  request.set_page_size(1000);
  v1::ListAuditResponse trail;
  REQUIRE(service.CallAs(service.AdminHeader(), &S::ListAudit, request, &trail).ok());
  CHECK_FALSE(trail.more());
  std::map<std::string, int> noted;
  for (const auto& entry : trail.entries())
    if (entry.method() == "CancelJob") ++noted[entry.tenant()];
  CHECK(noted["a"] == of_a);
  CHECK(noted["b"] == 1);
}

}  // namespace sextant::rpc
