#include "server/store/retention.h"

#include <openssl/sha.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/job/limits.h"
#include "server/store/pq.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::store {
namespace {

struct Scene {
  Scene()
      : database(TestDatabase::New()),
        traces(database.get()),
        blobs(database.get(), job::DefaultLimits()),
        audit(database.get()),
        retention(database.get(), &traces, &blobs, &audit) {}
  void Exec(const std::string& sql) {
    CHECK(database->Transact("exec", [&](pqxx::transaction_base& tx) {
      tx.exec(sql);
      return absl::OkStatus();
    }) == absl::OkStatus());
  }
  int Count(const std::string& from) {
    int count = -1;
    CHECK(database->Read("count", [&](pqxx::transaction_base& tx) {
      count = tx.exec(absl::StrCat("SELECT count(*) FROM ", from)).at(0).at(0).as<int>();
      return absl::OkStatus();
    }) == absl::OkStatus());
    return count;
  }
  // A job that ended `days` ago (0: runs) with one task and pass of the same number, one event, one
  // cached sample.
  void Job(int id, int days) {
    const std::string ended =
        days > 0 ? absl::StrCat("now() - interval '", days, " days'") : "NULL";
    const int state = days > 0 ? 4 : 3;
    Exec(absl::StrCat(
        "INSERT INTO jobs (job_id, submitter, request_id, graph_digest, name, state, open, priority,"
        " fresh, keep, salt, labels, finished_at) VALUES (", id, ", 'ann', '", id, "', '', 'j', ",
        state, ", false, 0, false, false, '', '{}', ", ended, ");"
        "INSERT INTO tasks (task_id, job_id, path, kind, state, spec, priority, max_attempts,"
        " waiting_on, finished_at) VALUES (", id, ", ", id, ", 't', 'profile', ", state,
        ", '', 0, 3, 0, ", ended, "), (", 1000 + id, ", ", id, ", 'u', 'profile', ", state,
        ", '', 0, 3, 0, ", ended, ");"
        "INSERT INTO task_edges VALUES (", id, ", ", 1000 + id, ");"
        "INSERT INTO passes (pass_id, task_id, job_id, ordinal, backend, spec, state, source,"
        " cache_key, finished_at) VALUES (", id, ", ", id, ", ", id, ", 0, 'host', '', ",
        days > 0 ? 4 : 2, ", 1, '\\x0", id, "', ", ended, ");"
        "INSERT INTO samples VALUES ('\\x0", id, "', 0, ", id, ", true);"
        "INSERT INTO cache_keys VALUES ('\\x0", id, "', 's', '');"
        "INSERT INTO task_rollups (task_id, series) VALUES (", id, ", 'host');"
        "INSERT INTO events VALUES (", id, ", 1, '')"));
  }
  std::unique_ptr<Database> database;
  TraceStore traces;
  BlobStore blobs;
  AuditStore audit;
  Retention retention;
};

TEST_CASE("a job that ended long ago goes with everything that was its own") {
  Scene scene;
  scene.Job(1, 100);
  scene.Job(2, 80);
  scene.Job(3, 0);
  const auto report = scene.retention.Run({});
  REQUIRE(report.status() == absl::OkStatus());
  CHECK(report->jobs == 1);
  CHECK(report->passes == 1);
  CHECK_FALSE(report->more);
  for (const char* table : {"jobs", "passes", "samples", "cache_keys", "task_rollups", "events",
                            "task_edges"}) {
    INFO(table);
    CHECK(scene.Count(table) == 2);
  }
  CHECK(scene.Count("tasks") == 4);
  CHECK(scene.Count("jobs WHERE job_id = 1") == 0);
}

TEST_CASE("a job whose pass answered another one stays as long as that one") {
  Scene scene;
  scene.Job(1, 100);
  scene.Job(2, 80);
  scene.Exec("UPDATE passes SET source = 2, source_pass_id = 1 WHERE pass_id = 2");
  CHECK(scene.retention.Run({})->jobs == 0);
  scene.Exec("UPDATE jobs SET finished_at = now() - interval '95 days' WHERE job_id = 2");
  CHECK(scene.retention.Run({})->jobs == 2);
}

TEST_CASE("a call removes at most so many jobs and says that there are more") {
  Scene scene;
  for (int id = 1; id <= 5; ++id) scene.Job(id, 100 + id);
  RetentionPolicy policy;
  policy.max_jobs = 2;
  const auto report = *scene.retention.Run(policy);
  CHECK(report.jobs == 2);
  CHECK(report.more);
  CHECK(scene.Count("jobs WHERE job_id IN (4, 5)") == 0);
  CHECK_FALSE(scene.retention.Run({})->more);
  CHECK(scene.Count("jobs") == 0);
}

TEST_CASE("zero days keep for ever") {
  Scene scene;
  scene.Job(1, 10'000);
  RetentionPolicy policy;
  policy.job_days = 0;
  policy.trace_days = 0;
  CHECK(scene.retention.Run(policy)->jobs == 0);
}

TEST_CASE("the traces of old days are dropped with their tables") {
  Scene scene;
  for (const char* day : {"2001-02-03", "2001-02-04"}) {
    ChunkRow chunk;
    chunk.data = day;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(day), 10, digest);
    chunk.digest.assign(reinterpret_cast<const char*>(digest), sizeof digest);
    REQUIRE(scene.traces.PutChunks(day, {chunk}).status() == absl::OkStatus());
  }
  ChunkRow today;
  today.digest = std::string(32, 'd');
  REQUIRE(scene.traces.PutChunks(*scene.traces.Today(), {today}).status() == absl::OkStatus());
  CHECK(scene.Count("trace_chunks") == 3);
  const auto report = scene.retention.Run({});
  REQUIRE(report.status() == absl::OkStatus());
  CHECK(report->trace_days == 2);
  CHECK(scene.Count("trace_chunks") == 1);
}

}  // namespace
}  // namespace sextant::store
