// Tokens, tenants, audit; and how the service is reached.
#include <sys/stat.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/fake_service.h"
#include "client/cli/test_program.h"
#include "client/cli/text.h"
#include "proto/certificate/test_certificates.h"
#include "tests/catch.h"

namespace sextant::cli {
namespace {

using certificate::TestDirectory;

constexpr uint64_t kSecond = 1'000'000'000;

grpc::Status Made(const v1::CreateTokenRequest& q, v1::CreateTokenResponse& a) {
  v1::Token& token = *a.mutable_token();
  token.set_id("sx_4f3a");
  token.set_tenant(q.tenant());
  token.set_name(q.name());
  *token.mutable_scopes() = q.scopes();
  if (q.lifetime_s() > 0) token.set_expires_unix_ns(1'700'000'000 * kSecond);
  a.set_secret("sx_4f3a_secret");
  return grpc::Status::OK;
}

TEST_CASE("a token's secret is alone on standard output") {
  FakeService fake;
  v1::CreateTokenRequest asked;
  fake.create_token = [&](const v1::CreateTokenRequest& q, v1::CreateTokenResponse& a) {
    asked = q;
    return Made(q, a);
  };
  Program program(fake.address());
  const Ran ran = program({"token", "create", "--name", "CI", "--tenant", "red", "--scope", "submit,worker", "--scope", "read",
                           "--expires", "30d"});
  CHECK(ran.code == kOk);
  CHECK(ran.out == "sx_4f3a_secret\n");
  CHECK(absl::StrContains(ran.err, "token sx_4f3a: submit, worker, read, tenant red, ends 2023-11-14 22:13:20 UTC"));
  CHECK(asked.name() == "CI");
  CHECK(asked.tenant() == "red");
  CHECK(asked.lifetime_s() == 30 * 86400);
  CHECK(asked.scopes_size() == 3);
  CHECK(asked.scopes(1) == v1::WORKER);
  const Ran json = program({"--format", "json", "token", "create", "--name", "CI", "--scope", "admin"});
  CHECK(absl::StrContains(json.out, "\"secret\":\"sx_4f3a_secret\""));
  CHECK(json.err.empty());
}

TEST_CASE("a token written into a file is its owner's alone, and good for --token-file") {
  FakeService fake;
  const TestDirectory files;
  fake.create_token = Made;
  fake.describe = [](const v1::DescribeServiceRequest&, v1::ServiceDescription&) { return grpc::Status::OK; };
  Program program(fake.address());
  const std::string path = files.Path("token");
  const Ran ran = program({"token", "create", "--name", "w", "--scope", "worker", "-o", path});
  CHECK(ran.code == kOk);
  CHECK(ran.out.empty());
  struct stat info = {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(program({"--token-file", path, "whoami"}).code == kOk);
  CHECK(fake.Authorization() == "Bearer sx_4f3a_secret");
  // What cannot be written down is not made.
  bool made = false;
  fake.create_token = [&](const v1::CreateTokenRequest& q, v1::CreateTokenResponse& a) {
    made = true;
    return Made(q, a);
  };
  CHECK(program({"token", "create", "--name", "w", "--scope", "worker", "-o", "/nonexistent/token"}).code == kUsage);
  CHECK_FALSE(made);
}

TEST_CASE("tokens are listed with their state, and revoked") {
  FakeService fake;
  fake.list_tokens = [](const v1::ListTokensRequest& q, v1::ListTokensResponse& a) {
    CHECK(q.tenant() == "red");
    for (const char* id : {"sx_1", "sx_2", "sx_3"}) {
      v1::Token& token = *a.add_tokens();
      token.set_id(id);
      token.set_tenant("red");
      token.set_name("the \x1b[31mname");
      token.add_scopes(v1::READ);
      token.set_created_unix_ns(1'600'000'000 * kSecond);
    }
    a.mutable_tokens(1)->set_expires_unix_ns(1'700'000'000 * kSecond);
    a.mutable_tokens(2)->set_revoked_unix_ns(1'700'000'000 * kSecond);
    return grpc::Status::OK;
  };
  fake.revoke_token = [](const v1::RevokeTokenRequest& q, v1::Token& a) {
    if (q.id() != "sx_1") return grpc::Status(grpc::StatusCode::NOT_FOUND, "there is no token " + q.id());
    a.set_id(q.id());
    a.set_name("CI");
    return grpc::Status::OK;
  };
  Program program(fake.address());
  const Ran listed = program({"token", "list", "--tenant", "red"});
  CHECK(listed.code == kOk);
  for (const char* state : {"good", "ended", "revoked"}) CHECK(absl::StrContains(listed.out, state));
  CHECK_FALSE(absl::StrContains(listed.out, "\x1b[31m"));
  CHECK(program({"token", "revoke", "sx_1"}).out == "token sx_1 (CI) is revoked\n");
  CHECK(program({"token", "revoke", "sx_9"}).code == kNotFound);
}

TEST_CASE("a quota is shown beside what is in use, and what is not given stays") {
  FakeService fake;
  v1::TenantQuota in_force;
  in_force.set_queued_passes(1000);
  in_force.set_running_devices(2);
  const auto answer = [&](v1::QuotaUse& a) {
    *a.mutable_quota() = in_force;
    a.set_queued_passes(7);
    a.set_stored_bytes(3 << 20);
    return grpc::Status::OK;
  };
  fake.get_quota = [&](const v1::GetQuotaRequest&, v1::QuotaUse& a) { return answer(a); };
  fake.set_quota = [&](const v1::SetQuotaRequest& q, v1::QuotaUse& a) {
    in_force = q.quota();
    return answer(a);
  };
  Program program(fake.address());
  const Ran set = program({"tenant", "quota", "red", "--stored", "10GiB", "--running-devices", "4"});
  CHECK(set.code == kOk);
  CHECK(in_force.tenant() == "red");
  CHECK(in_force.queued_passes() == 1000);
  CHECK(in_force.running_devices() == 4);
  CHECK(in_force.stored_bytes() == 10ull << 30);
  const Ran shown = program({"tenant", "quota", "red"});
  for (const char* text : {"tenant red", "1,000", "3.0 MiB", "10.0 GiB", "no bound"}) {
    INFO(shown.out << text);
    CHECK(absl::StrContains(shown.out, text));
  }
  CHECK(program({"tenant", "quota", "red", "--stored", "much"}).code == kUsage);
}

TEST_CASE("the audit is read page by page, as far back as was asked for") {
  FakeService fake;
  const uint64_t now = NowUnixNs();
  std::vector<uint32_t> pages;
  fake.list_audit = [&](const v1::ListAuditRequest& q, v1::ListAuditResponse& a) {
    pages.push_back(q.page_size());
    // One entry a minute, newest first; three in an answer, whatever is asked for.
    const uint64_t before = q.before_unix_ns() == 0 ? now : q.before_unix_ns();
    for (uint64_t i = 1; i <= 3; ++i) {
      v1::AuditEntry& entry = *a.add_entries();
      entry.set_at_unix_ns(before - i * 60 * kSecond);
      entry.set_method("SubmitJob");
      entry.set_outcome("OK");
    }
    a.set_more(true);
    return grpc::Status::OK;
  };
  Program program(fake.address());
  const auto lines = [](const std::string& out) { return std::count(out.begin(), out.end(), '\n'); };
  CHECK(lines(program({"audit", "--limit", "7"}).out) == 8);
  CHECK(pages == std::vector<uint32_t>{7, 4, 1});
  CHECK(lines(program({"audit", "--since", "630s"}).out) == 11);
  CHECK(lines(program({"--format", "json", "audit"}).out) == 50);
  CHECK(program({"audit", "--since", "yesterday"}).code == kUsage);
}

TEST_CASE("whoami says for whom one is taken") {
  FakeService fake;
  fake.describe = [](const v1::DescribeServiceRequest&, v1::ServiceDescription& a) {
    a.set_needs_token(true);
    v1::Caller& caller = *a.mutable_caller();
    caller.set_tenant("red");
    caller.add_scopes(v1::SUBMIT);
    caller.set_token_id("sx_4f3a");
    caller.set_token_name("CI");
    caller.set_by("token");
    return grpc::Status::OK;
  };
  Program program(fake.address());
  program.variables["SEXTANT_TOKEN"] = "sx_4f3a_secret";
  const Ran ran = program({"whoami"});
  CHECK(ran.code == kOk);
  CHECK(absl::StrContains(ran.out, "tenant   red\nscopes   submit\nlet in   by token sx_4f3a, CI\n"));
  CHECK(fake.Authorization() == "Bearer sx_4f3a_secret");
  CHECK(absl::StrContains(program({"--format", "json", "whoami"}).out, "\"token_id\":\"sx_4f3a\""));
}

TEST_CASE("a refused token is told with the remedy and exits with 5") {
  FakeService fake;
  fake.describe = [](const v1::DescribeServiceRequest&, v1::ServiceDescription&) {
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "this service wants a token");
  };
  fake.submit = [](const v1::SubmitJobRequest&, v1::SubmitJobResponse&) {
    return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "token sx_1 may read, not submit");
  };
  Program program(fake.address());
  const Ran none = program({"whoami"});
  CHECK(none.code == kRefused);
  CHECK(absl::StrContains(none.err, "--token-file FILE (or SEXTANT_TOKEN"));
  const Ran less = program({"submit", "-"}, "{\"name\": \"x\"}");
  CHECK(less.code == kRefused);
  CHECK(absl::StrContains(less.err, "may read, not submit"));
  CHECK(absl::StrContains(less.err, "sextant whoami"));
}

TEST_CASE("what is wrong with files and addresses is said before anything is sent") {
  Program program("gpu7.example.org:7070");
  program.variables["SEXTANT_TOKEN"] = "sx_1_secret";
  const Ran plain = program({"jobs"});
  CHECK(plain.code == kUsage);
  CHECK(absl::StrContains(plain.err, "SEXTANT_TOKEN: the token would be sent unencrypted to gpu7.example.org:7070"));
  CHECK(program({"--ca", "/nonexistent/ca.pem", "jobs"}).code == kUsage);
  CHECK(program({"--token-file", "/nonexistent/token", "jobs"}).code == kUsage);
  CHECK(program({"--server", "gpu7", "jobs"}).code == kUsage);
  const Ran shown = program({"--token", "sx_1_secret", "jobs"});
  CHECK(shown.code == kUsage);
  CHECK(absl::StrContains(shown.err, "ps"));
  // What does not ask the service does not care.
  CHECK(program({"--ca", "/nonexistent/ca.pem", "completion", "bash"}).code == kOk);
}

}  // namespace
}  // namespace sextant::cli
