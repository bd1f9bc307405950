#include "server/access/methods.h"

#include "sextant/v1/sextant.pb.h"
#include "server/access/subjects.h"
#include "tests/catch.h"

namespace sextant::access {

TEST_CASE("every method has a scope, and what has none is nobody's") {
  const MethodRules rules;
  const auto* service = v1::SubmitJobRequest::descriptor()->file()->FindServiceByName("Sextant");
  for (int i = 0; i < service->method_count(); ++i) {
    INFO(service->method(i)->name());
    CHECK(rules.Of(service->method(i)->name()).scope != v1::TOKEN_SCOPE_UNSPECIFIED);
  }
  CHECK(rules.Of("NoSuchMethod").scope == v1::TOKEN_SCOPE_UNSPECIFIED);
  CHECK(rules.Of("CommitPasses").scope == v1::WORKER);
  CHECK(rules.Of("Attach").audited);
  CHECK(rules.Of("SubmitJob").audited);
  CHECK_FALSE(rules.Of("GetJob").audited);
}

TEST_CASE("subjects are found wherever a request names them") {
  v1::GetHotspotsRequest hotspots;
  hotspots.mutable_subject()->set_job_id(7);
  auto found = SubjectsOf(hotspots);
  REQUIRE(found.size() == 1);
  CHECK(found[0].what == Names::kJob);
  CHECK(found[0].id == 7);
  CHECK(found[0].field == "subject.job_id");

  v1::CompareJobsRequest compare;
  compare.set_job_a(1);
  compare.set_job_b(2);
  found = SubjectsOf(compare);
  REQUIRE(found.size() == 2);
  CHECK(found[1].field == "job_b");

  v1::ExportTraceRequest trace;
  trace.set_job_id(3);
  trace.add_pass_ids(4);
  trace.add_pass_ids(5);
  found = SubjectsOf(trace);
  REQUIRE(found.size() == 3);
  CHECK(found[2].what == Names::kPass);
  CHECK(found[2].field == "pass_ids[1]");

  v1::SetQuotaRequest quota;
  quota.mutable_quota()->set_tenant("a");
  found = SubjectsOf(quota);
  REQUIRE(found.size() == 1);
  CHECK(found[0].tenant == "a");

  v1::ListJobsRequest list;
  list.set_before_job_id(9);   // the bound of a page
  CHECK(SubjectsOf(list).empty());
}

TEST_CASE("the trail says what a call was about") {
  v1::CancelJobRequest cancel;
  cancel.set_job_id(12);
  CHECK(AuditSubject(&cancel, nullptr) == "job 12");
  v1::SubmitJobRequest submit;
  v1::SubmitJobResponse accepted;
  accepted.set_job_id(13);
  CHECK(AuditSubject(&submit, &accepted) == "job 13");
  CHECK(AuditSubject(&submit, nullptr).empty());
  v1::ListTokensResponse tokens;
  tokens.add_tokens()->set_tenant("somebody");
  const v1::ListTokensRequest list;
  CHECK(AuditSubject(&list, &tokens).empty());
  v1::ListAuditRequest of_one;
  of_one.set_tenant("a");
  v1::ListAuditResponse trail;
  trail.add_entries()->set_tenant("somebody");
  CHECK(AuditSubject(&of_one, &trail) == "tenant a");
  v1::RevokeTokenRequest revoke;
  revoke.set_id("sx_\n" + std::string(1000, 'x'));
  const std::string shown = AuditSubject(&revoke, nullptr);
  CHECK(shown.size() < 200);
  CHECK(shown.find('\n') == std::string::npos);
}

}  // namespace sextant::access
