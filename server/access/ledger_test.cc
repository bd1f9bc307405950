#include "server/access/ledger.h"

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "server/store/retention.h"
#include "server/job/limits.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::access {
namespace {

v1::AuditEntry Entry(uint64_t at_us, const std::string& tenant = "a") {
  v1::AuditEntry entry;
  entry.set_at_unix_ns(at_us * 1000);
  entry.set_tenant(tenant);
  entry.set_method("SubmitJob");
  entry.set_subject("job 1");
  entry.set_outcome("OK");
  entry.set_peer("\"quoted\" \\ and {braced}, NULL");
  return entry;
}

struct Scene {
  std::unique_ptr<store::Database> database = store::TestDatabase::New();
  store::AuditStore audit{database.get()};
  store::TokenStore tokens{database.get()};

  int Count() {
    v1::ListAuditRequest request;
    request.set_page_size(1000);
    const auto list = audit.List(request);
    REQUIRE(list.ok());
    return list->entries_size();
  }
};

}  // namespace

TEST_CASE("a stopping ledger writes what it was given") {
  Scene scene;
  {
    Ledger ledger(&scene.audit, &scene.tokens, {.gather = absl::Hours(1)});
    for (int i = 0; i < 300; ++i) ledger.Add(Entry(1'000'000 + i));
  }
  CHECK(scene.Count() == 300);
}

TEST_CASE("what does not fit is counted, and in the log") {
  spdlog::set_level(spdlog::level::off);
  Scene scene;
  Ledger ledger(&scene.audit, &scene.tokens, {.max_waiting = 10, .gather = absl::Hours(1)});
  for (int i = 0; i < 15; ++i) ledger.Add(Entry(1'000'000 + i));
  CHECK(ledger.overflown() == 5);
  ledger.Stop();
  CHECK(scene.Count() == 10);
}

TEST_CASE("pages of the trail are newest first and hold all entries of a moment") {
  Scene scene;
  REQUIRE(scene.audit.Write({Entry(5), Entry(7), Entry(7, "b"), Entry(7), Entry(9)}).ok());
  v1::ListAuditRequest request;
  request.set_page_size(2);
  auto page = *scene.audit.List(request);
  REQUIRE(page.entries_size() == 4);
  CHECK(page.entries(0).at_unix_ns() == 9000);
  CHECK(page.entries(0).peer() == "\"quoted\" \\ and {braced}, NULL");
  CHECK(page.more());
  request.set_before_unix_ns(page.entries(3).at_unix_ns());
  page = *scene.audit.List(request);
  REQUIRE(page.entries_size() == 1);
  CHECK(page.entries(0).at_unix_ns() == 5000);
  CHECK_FALSE(page.more());
  request.Clear();
  request.set_tenant("b");
  CHECK(scene.audit.List(request)->entries_size() == 1);
}

TEST_CASE("old entries go with retention, young ones stay") {
  Scene scene;
  const uint64_t now_us = absl::ToUnixMicros(absl::Now());
  REQUIRE(scene.audit.Write({Entry(1'000'000), Entry(now_us)}).ok());
  store::TraceStore traces(scene.database.get());
  store::BlobStore blobs(scene.database.get(), job::DefaultLimits());
  store::Retention retention(scene.database.get(), &traces, &blobs, &scene.audit);
  const auto report = retention.Run({.audit_days = 30});
  REQUIRE(report.ok());
  CHECK(report->audit_entries == 1);
  CHECK(scene.Count() == 1);
}

}  // namespace sextant::access
