#include "server/store/query.h"

#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "sextant/v1/worker.pb.h"
#include "server/job/limits.h"
#include "server/store/migrator.h"
#include "server/store/pq.h"
#include "server/store/query_errors.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::store {
namespace {

using absl::StatusCode;

// Time for queries on a machine that does much else.
v1::ServiceLimits PatientLimits() {
  v1::ServiceLimits limits = job::DefaultLimits();
  limits.set_query_max_s(120);
  return limits;
}

struct Scene {
  Scene()
      : limits(PatientLimits()),
        database(TestDatabase::New()),
        runner({TestCluster::AsReader(database->conninfo())}, limits) {}
  absl::StatusOr<v1::QueryResponse> Query(const std::string& sql, uint32_t max_rows = 0,
                                          uint64_t max_bytes = 0, double timeout_s = 0,
                                          const Reach& reach = Reach::All()) {
    v1::QueryRequest request;
    request.set_sql(sql);
    request.set_max_rows(max_rows);
    request.set_max_bytes(max_bytes);
    request.set_timeout_s(timeout_s);
    return runner.Run(request, reach);
  }
  // Cells joined by "|", rows by "\n"; or the error.
  std::string Text(const std::string& sql) {
    const auto response = Query(sql);
    if (!response.ok()) return response.status().ToString();
    std::string text;
    for (const auto& row : response->rows()) {
      for (int i = 0; i < row.cells_size(); ++i) {
        absl::StrAppend(&text, i > 0 ? "|" : "",
                        row.cells(i).is_null() ? "NULL" : row.cells(i).text());
      }
      absl::StrAppend(&text, "\n");
    }
    return text;
  }
  // As the owner. $1… are bytes.
  template <typename... Parameters>
  void Exec(const std::string& sql, const Parameters&... parameters) {
    CHECK(database->Transact("exec", [&](pqxx::transaction_base& tx) {
      tx.exec_params(sql, parameters...);
      return absl::OkStatus();
    }) == absl::OkStatus());
  }
  // One job, done: a profile task with two passes, one of which failed.
  void Fill() {
    v1::Failure failure;
    failure.set_cause(v1::PROGRAM_FAILED);
    failure.set_message("exit code 3");
    Exec("INSERT INTO jobs (job_id, submitter, request_id, graph_digest, name, state, open, priority,"
         " fresh, keep, salt, labels, finished_at, failure) VALUES (7, 'ann', 'r', '', 'tune', 5,"
         " false, 0, false, false, '', '{\"branch\": \"main\"}', now(), $1)",
         Bytes(failure.SerializeAsString()));
    v1::TaskSpec spec;
    spec.set_name("profile");
    spec.mutable_profile()->mutable_workload()->add_argv("./program");
    spec.mutable_profile()->mutable_workload()->add_argv("--fast");
    Exec("INSERT INTO tasks (task_id, job_id, path, kind, state, spec, priority, max_attempts,"
         " waiting_on, passes, passes_done, passes_failed, finished_at)"
         " VALUES (70, 7, 'profile', 'profile', 5, $1, 0, 3, 0, 2, 1, 1, now())",
         Bytes(spec.SerializeAsString()));
    v1::PassResult good;
    good.mutable_exit()->set_verdict(v1::EXITED);
    good.mutable_exit()->set_wall_s(1.625);
    good.mutable_exit()->set_cpu_s(3e-300);
    good.mutable_exit()->set_peak_memory_bytes(5'000'000'000);
    good.mutable_provenance()->set_machine_class("cpu/x");
    good.add_notes("no perf events: \xC3\xBC");
    v1::Counter* counter = good.add_counters();
    counter->set_name("instructions");
    counter->set_unit("instructions");
    counter->set_region("load");
    counter->set_value(-123456.75);
    counter->set_instances(9);
    v1::Artifact* artifact = good.add_artifacts();
    artifact->set_name("stdout");
    artifact->set_kind("log");
    artifact->set_digest(std::string(32, '\x1f'));
    artifact->set_size_bytes(300);
    good.set_events(10);
    v1::PassResult bad;
    bad.mutable_exit()->set_verdict(v1::SIGNALLED);
    bad.mutable_exit()->set_signal(11);
    *bad.mutable_failure() = failure;
    bad.set_partial(true);
    const std::string trace(32, 't');
    for (const auto& [id, state, result] : {std::tuple{701, 4, &good}, {702, 5, &bad}}) {
      Exec(absl::StrCat("INSERT INTO passes (pass_id, task_id, job_id, ordinal, backend, spec, state,"
                        " source, result, trace_digest, finished_at) VALUES (", id, ", 70, 7, ", id,
                        ", 'host', '', ", state, ", 1, $1, $2, now())"),
           Bytes(result->SerializeAsString()), Bytes(trace));
    }
    Exec("INSERT INTO traces (trace_digest, day, chunks, events, dropped, bytes, first_ns, last_ns,"
         " unit, kernel, regions, roles, chunk_digests, rollup) VALUES ($1, '2025-01-02', 0, 10, 0, 0,"
         " 0, 5, 1, '', '{load,compute}', '{main}', '', '')",
         Bytes(trace));
    v1::Event event;
    event.set_task_id(70);
    event.set_task("profile");
    event.set_what("finished");
    event.set_state(v1::DONE);
    event.set_percent(50);
    Exec("INSERT INTO events VALUES (7, 1, $1)", Bytes(event.SerializeAsString()));
    v1::WorkerInfo info;
    info.set_hostname("node1");
    info.set_cpu_slots(2);
    Exec("INSERT INTO workers (name, incarnation, info, offers, lease_until)"
         " VALUES ('w', 'i', $1, '', now() + interval '1 hour')",
         Bytes(info.SerializeAsString()));
  }
  v1::ServiceLimits limits;
  std::unique_ptr<Database> database;
  QueryRunner runner;
};

TEST_CASE("columns have names and types, values are text, NULL is not the empty text") {
  Scene scene;
  const auto response = scene.Query("SELECT 1 AS a, 'x'::text AS a, NULL::float8, '' , true, "
                                    "'{1,2}'::int[], '\\x00ff'::bytea -- and a comment");
  REQUIRE(response.status() == absl::OkStatus());
  CHECK(response->columns(0).name() == "a");
  CHECK(response->columns(0).type() == "integer");
  CHECK(response->columns(1).name() == "a");
  CHECK(response->columns(5).type() == "integer[]");
  const auto& cells = response->rows(0).cells();
  CHECK(cells[0].text() == "1");
  CHECK(cells[2].is_null());
  CHECK_FALSE(cells[3].is_null());
  CHECK(cells[4].text() == "true");
  CHECK(cells[6].text() == "\\x00ff");
  CHECK_FALSE(response->truncated());
  CHECK(scene.Text("VALUES (2), (1); ") == "2\n1\n");
  CHECK(scene.Text("WITH x AS (SELECT g FROM generate_series(1, 3) g) SELECT * FROM x ORDER BY 1 DESC")
        == "3\n2\n1\n");
}

TEST_CASE("the views show what the rows and their messages say") {
  Scene scene;
  scene.Fill();
  CHECK(scene.Text("SELECT job_id, name, state, labels->>'branch', failure_cause, failure_message "
                   "FROM jobs") == "7|tune|failed|main|program_failed|exit code 3\n");
  CHECK(scene.Text("SELECT path, kind, state, program, failure_cause FROM tasks") ==
        "profile|profile|failed|./program --fast|NULL\n");
  CHECK(scene.Text("SELECT pass_id, state, source, exit_verdict, exit_code, exit_signal, wall_s, cpu_s,"
                   " peak_memory_bytes, machine_class, partial, failure_message FROM passes ORDER BY 1")
        == "701|done|executed|exited|0|NULL|1.625|3e-300|5000000000|cpu/x|false|NULL\n"
           "702|failed|executed|signalled|NULL|11|NULL|NULL|NULL|NULL|true|exit code 3\n");
  CHECK(scene.Text("SELECT pass_id, name, unit, region, role, value, instances FROM counters") ==
        "701|instructions|instructions|load||-123456.75|9\n");
  CHECK(scene.Text("SELECT name, kind, left(digest, 4), size_bytes FROM artifacts") ==
        "stdout|log|1f1f|300\n");
  CHECK(scene.Text("SELECT note FROM notes") == "no perf events: \xC3\xBC\n");
  CHECK(scene.Text("SELECT job_id, seq, task_id, pass_id, task, what, state, percent FROM events") ==
        "7|1|70|NULL|profile|finished|done|50\n");
  CHECK(scene.Text("SELECT name, live, hostname, cpu_slots FROM workers") == "w|true|node1|2\n");
  CHECK(scene.Text("SELECT pass_id, region FROM regions ORDER BY 1, 2") ==
        "701|compute\n701|load\n702|compute\n702|load\n");
  CHECK(scene.Text("SELECT unit, events FROM traces") == "ns|10\n");
}

TEST_CASE("the documented views are those that exist, and all can be read") {
  Scene scene;
  std::string names;
  for (const std::string& view : QueryRunner::Views()) {
    absl::StrAppend(&names, view, "\n");
    CHECK(scene.Query(absl::StrCat("SELECT * FROM ", view)).status() == absl::OkStatus());
  }
  CHECK(scene.Text("SELECT viewname FROM pg_views WHERE schemaname = 'sextant' ORDER BY 1") == names);
}

TEST_CASE("every example in docs/query.md runs, and every view is described there") {
  Scene scene;
  scene.Fill();
  std::ostringstream page;
  page << std::ifstream("docs/query.md").rdbuf();
  const std::vector<std::string> parts = absl::StrSplit(page.str(), "```");
  int examples = 0;
  for (const std::string& part : parts) {
    if (!absl::StartsWith(part, "sql\n")) continue;
    ++examples;
    INFO(part);
    CHECK(scene.Query(part.substr(4)).status() == absl::OkStatus());
  }
  CHECK(examples >= 8);
  for (const std::string& view : QueryRunner::Views())
    CHECK(absl::StrContains(page.str(), absl::StrCat("`", view, "`")));
}

TEST_CASE("rows and bytes end at their limits, and the answer says at which") {
  Scene scene;
  auto rows = *scene.Query("SELECT generate_series(1, 1000000000000)", 5);
  CHECK(rows.rows_size() == 5);
  CHECK(rows.truncated_by() == "max_rows");
  rows = *scene.Query("SELECT generate_series(1, 5)", 5);
  CHECK_FALSE(rows.truncated());
  CHECK(rows.truncated_by().empty());
  auto bytes = *scene.Query("SELECT repeat('x', 100) FROM generate_series(1, 10)", 0, 350);
  CHECK(bytes.rows_size() == 3);
  CHECK(bytes.truncated_by() == "max_bytes");
  bytes = *scene.Query("SELECT repeat('x', 20000000) UNION ALL SELECT 'small'");
  CHECK(bytes.rows_size() == 0);
  CHECK(bytes.truncated_by() == "max_bytes");
  CHECK(scene.Query("SELECT 1", 4'000'000'000).status().ok());
}

TEST_CASE("time ends a query however it spends it") {
  Scene scene;
  for (const char* sql : {
           "WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x) SELECT count(*) FROM x",
           "SELECT count(*) FROM generate_series(1, 1000000000000)",
           "SELECT * FROM generate_series(1, 1000000000000::bigint)",
           "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
       }) {
    INFO(sql);
    const auto status = scene.Query(sql, 0, 0, 0.1).status();
    CHECK((status.code() == StatusCode::kDeadlineExceeded ||
           status.code() == StatusCode::kResourceExhausted));
    if (status.code() == StatusCode::kDeadlineExceeded)
      CHECK(absl::StrContains(status.message(), "query_max_s"));
  }
}

TEST_CASE("a stranger can read the views and do nothing else") {
  Scene scene;
  for (const char* sql : {
           "SELECT * FROM public.jobs", "SELECT spec FROM public.tasks", "SELECT * FROM pg_authid",
           "SELECT pg_read_file('/etc/passwd')", "SELECT pg_ls_dir('/')",
           "SELECT lo_import('/etc/passwd')", "SELECT lo_creat(-1)", "SELECT lo_from_bytea(0, 'x')",
           "SELECT lo_get(1)", "SELECT pg_sleep(60)", "SELECT pg_advisory_lock(1)",
           "SELECT pg_try_advisory_xact_lock(1)", "SELECT set_config('statement_timeout', '0', false)",
           "SELECT set_config('role', 'sextant', false)",
           "SELECT set_config('transaction_read_only', 'off', true)",
           "SELECT query_to_xml('SELECT 1', true, true, '')",
           "SELECT database_to_xml(true, true, '')", "SELECT pg_notify('x', 'y')",
           "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT pg_cancel_backend(1)",
           "SELECT pg_export_snapshot()", "SELECT pg_logical_emit_message(false, 'x', 'y')",
           "SELECT txid_current()", "SELECT nextval('public.blob_uploads')",
           "SELECT pg_reload_conf()", "SELECT pg_switch_wal()", "SELECT pg_stat_reset()",
           "SELECT * FROM jobs FOR UPDATE",
       }) {
    INFO(sql);
    const auto status = scene.Query(sql).status();
    INFO(status.message());
    CHECK(status.code() == StatusCode::kPermissionDenied);
    CHECK(absl::StrContains(status.message(), "reads the views artifacts, blobs, "));
  }
}

TEST_CASE("only one SELECT is a query") {
  Scene scene;
  for (const char* sql : {
           "SELECT 1; SELECT 2", ";", "COMMIT; DROP TABLE jobs", "DROP TABLE jobs",
           "COPY jobs TO PROGRAM 'id'", "COPY (SELECT 1) TO '/tmp/x'", "DO $$ BEGIN END $$",
           "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
           "CREATE TEMP TABLE t (i int)", "SELECT 1 INTO t", "SET ROLE sextant", "RESET ROLE",
           "INSERT INTO jobs DEFAULT VALUES", "EXPLAIN ANALYZE SELECT 1", "LISTEN x",
           "WITH x AS (DELETE FROM jobs RETURNING 1) SELECT * FROM x", "SHOW all", "VACUUM",
           "PREPARE x AS SELECT 1", "LOAD 'auto_explain'", "BEGIN", "SELECT 1) AS s(c1) --",
           "SELECT 1) AS s(c1); DROP TABLE jobs; --", "SELECT", "", "SELECT $1", "SELECT 1/0",
           "SELECT 'a'::int", "SELECT nonsense", "SELECT * FROM nowhere", "/* open",
       }) {
    INFO(sql);
    const auto status = scene.Query(sql).status();
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK(absl::StrContains(status.message(), "sql: "));
  }
  CHECK(scene.Query(std::string("SELECT 1\0", 9)).status().code() == StatusCode::kInvalidArgument);
  CHECK(scene.Query("SELECT '" + std::string(100'000, 'x') + "'").status().code() ==
        StatusCode::kInvalidArgument);
  std::string deep = "1";
  for (int i = 0; i < 15'000; ++i) deep = absl::StrCat("(", deep, ")");
  CHECK_FALSE(scene.Query(absl::StrCat("SELECT ", deep)).status().code() == StatusCode::kInternal);
}

TEST_CASE("an error says where it is") {
  Scene scene;
  CHECK(absl::StrContains(scene.Query("SELECT 1,\n  nonsense\nFROM jobs").status().message(),
                          "sql: line 2, column 3: column \"nonsense\" does not exist"));
  CHECK(absl::StrContains(scene.Query("SELEC 1").status().message(), "sql: line 1, column 1: syntax"));
  CHECK(absl::StrContains(scene.Query("SELECT * FROM nowhere").status().message(), "docs/query.md"));
  CHECK(PositionOf("ERROR:  x\nLINE 3: ...abc def\n            ^\n", 1) == "line 2: ");
  CHECK(PositionOf("ERROR:  x\n", 1) == "");
}

TEST_CASE("queries beside each other are as many as there are places") {
  Scene scene;
  std::vector<std::thread> askers;
  for (int i = 0; i < 12; ++i) {
    askers.emplace_back([&] { CHECK(scene.Query("SELECT count(*) FROM jobs").status().ok()); });
  }
  for (std::thread& asker : askers) asker.join();
}

TEST_CASE("without a reader's connection, and without a server, the answer says so") {
  const v1::ServiceLimits limits = job::DefaultLimits();
  v1::QueryRequest request;
  request.set_sql("SELECT 1");
  CHECK(QueryRunner({}, limits).Run(request, Reach::All()).status().code() == StatusCode::kFailedPrecondition);
  CHECK(QueryRunner({"host=/nonexistent"}, limits).Run(request, Reach::All()).status().code() ==
        StatusCode::kUnavailable);
}

// What a tenant without anything may learn of the job of tenant "default" that Fill made.
struct Stranger : Scene {
  Stranger() { Fill(); }
  absl::StatusOr<v1::QueryResponse> Ask(const std::string& sql) {
    return Query(sql, 0, 0, 0, Reach::Of("other"));
  }
};

TEST_CASE("a tenant sees its own rows in every view, and none of another's") {
  Stranger scene;
  for (const std::string& view : QueryRunner::Views()) {
    INFO(view);
    const auto rows = scene.Ask(absl::StrCat("SELECT * FROM ", view));
    REQUIRE(rows.status() == absl::OkStatus());
    CHECK(rows->rows_size() == (view == "workers" ? 1 : 0));
  }
  const auto own = scene.Query("SELECT job_id, tenant FROM jobs", 0, 0, 0, Reach::Of("default"));
  REQUIRE(own.status() == absl::OkStatus());
  REQUIRE(own->rows_size() == 1);
  CHECK(own->rows(0).cells(1).text() == "default");
  CHECK(scene.Query("SELECT * FROM counters", 0, 0, 0, Reach::Of("default"))->rows_size() == 1);
  CHECK(scene.Query("SELECT * FROM regions", 0, 0, 0, Reach::Of("default"))->rows_size() == 4);
}

TEST_CASE("no statement widens what a tenant sees") {
  Stranger scene;
  for (const char* sql : {
           // The setting that the views read.
           "SELECT set_config('sextant.tenant', '*', true), count(*) FROM jobs",
           "WITH x AS MATERIALIZED (SELECT set_config('sextant.tenant', '*', false)) SELECT j.* FROM x, jobs j",
           "SELECT pg_catalog.set_config('sextant.tenant', 'default', true)",
           "SET sextant.tenant = '*'", "SET LOCAL sextant.tenant TO DEFAULT", "RESET sextant.tenant",
           "UPDATE pg_settings SET setting = '*' WHERE name = 'sextant.tenant'",
           "WITH x AS (UPDATE pg_settings SET setting = '*' RETURNING 1) SELECT * FROM x, jobs",
           "SELECT query_to_xml($$SELECT set_config('sextant.tenant', '*', true)$$, true, true, '')",
           "SELECT ts_rewrite('a'::tsquery, $$SELECT set_config('sextant.tenant', '*', true)::tsquery, 'b'$$)",
           // What the views stand on.
           "SELECT * FROM public.jobs", "SELECT * FROM public.visible_jobs", "SELECT * FROM public.visible_passes",
           "SELECT * FROM public.holdings", "SELECT * FROM public.tokens", "SELECT * FROM public.audit",
           "SELECT * FROM public.tenant_quotas", "SELECT * FROM public.tenant_usage",
           // Other sessions of the same role.
           "SELECT * FROM pg_stat_activity", "SELECT * FROM pg_stat_get_activity(NULL)",
           "SELECT pg_stat_get_backend_activity(1)",
           // What counts rows that comparisons touch before the filter by tenant, and sizes of all.
           "SELECT (SELECT count(*) FROM jobs WHERE submitter >= 'a' AND submitter < 'b'), "
           "  (SELECT sum(pg_stat_get_xact_tuples_fetched(c.oid) + pg_stat_get_xact_tuples_returned(c.oid)) "
           "   FROM pg_class c WHERE relname = 'jobs_tenant_submitter_request_id_key')",
           "SELECT * FROM pg_stat_xact_all_tables", "SELECT * FROM pg_stat_user_tables",
           "SELECT * FROM pg_statio_all_indexes", "SELECT * FROM pg_stat_database", "SELECT * FROM pg_stat_slru",
           "SELECT * FROM pg_stat_wal", "SELECT * FROM pg_locks", "SELECT pg_blocking_pids(1)",
           "SELECT pg_relation_size(oid) FROM pg_class WHERE relname = 'jobs'",
           "SELECT pg_total_relation_size(oid) FROM pg_class WHERE relname = 'jobs'",
           "SELECT pg_database_size(current_database())", "SELECT * FROM pg_control_checkpoint()",
           "SELECT pg_current_wal_lsn()",
       }) {
    INFO(sql);
    const auto answer = scene.Ask(sql);
    CHECK_FALSE(answer.ok());
    CHECK_FALSE(absl::StrContains(answer.status().message(), "tune"));
  }
  // Errors of what the statement computes must not come from rows it does not see.
  for (const char* sql : {
           "SELECT name::integer FROM jobs", "SELECT 1 / (job_id - 7) FROM jobs",
           "SELECT count(*) FROM jobs WHERE name::integer > 0", "SELECT 1 FROM jobs WHERE 1 / (job_id - 7) = 1",
           "SELECT 1 FROM tasks WHERE program::integer = 1", "SELECT 1 FROM passes WHERE 1 / (pass_id - 701) > 0",
           "SELECT 1 FROM counters WHERE name::integer = 1", "SELECT 1 FROM blobs WHERE digest::integer = 1",
           "SELECT 1 FROM jobs WHERE CASE WHEN name LIKE 't%' THEN 1 / (job_id - 7) = 1 ELSE false END",
           "SELECT 1 FROM events WHERE what::integer = 1", "SELECT 1 FROM notes WHERE note::integer = 1",
           "SELECT 1 FROM artifacts WHERE name::integer = 1", "SELECT 1 FROM traces WHERE kernel::integer = 1",
           "SELECT 1 FROM queue WHERE submitter::integer = 1", "SELECT 1 FROM regions WHERE region::integer = 1",
       }) {
    INFO(sql);
    const auto answer = scene.Ask(sql);
    INFO(answer.status().message());
    REQUIRE(answer.ok());
    for (const auto& row : answer->rows()) CHECK(row.cells(0).text() == "0");
  }
  CHECK(scene.Ask("SELECT current_setting('sextant.tenant')")->rows(0).cells(0).text() == "other");
  CHECK(scene.Ask("SELECT count(*) FROM pg_stats WHERE schemaname IN ('public', 'sextant')")
            ->rows(0).cells(0).text() == "0");
}

TEST_CASE("no function that counts what everybody has is the reader's") {
  Stranger scene;
  CHECK(scene.Text("SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p WHERE pronamespace = "
                   "'pg_catalog'::regnamespace AND has_function_privilege(p.oid, 'EXECUTE') AND (proname LIKE "
                   "'pg\\_stat\\_get\\_%' OR proname LIKE 'pg\\_%\\_size' AND proname <> 'pg_column_size' OR proname "
                   "IN ('pg_lock_status', 'ts_rewrite', 'set_config') AND prokind = 'f')").empty());
  CHECK(scene.Text("SELECT pg_column_size(1)") == "4\n");
}

std::string Doors() {
  for (const Migration& step : Migrations())
    if (step.name == "doors") return std::string(step.sql);
  return "";
}

TEST_CASE("where a door is open a tenant's queries are refused, with what closes it") {
  Stranger scene;
  for (const char* door : {"pg_stat_get_xact_tuples_fetched(oid)", "set_config(text,text,boolean)",
                           "pg_stat_get_xact_numscans(oid)"}) {
    INFO(door);
    scene.Exec(absl::StrCat("GRANT EXECUTE ON FUNCTION pg_catalog.", door, " TO PUBLIC"));
    const auto status = scene.Ask("SELECT 1").status();
    CHECK(status.code() == StatusCode::kFailedPrecondition);
    CHECK(absl::StrContains(status.message(), door));
    CHECK(absl::StrContains(status.message(), "007_doors.sql"));
    CHECK(absl::StrContains(status.message(), "GRANT EXECUTE … TO sextant"));
    CHECK(scene.Query("SELECT 1").status() == absl::OkStatus());
    scene.Exec(Doors());
    CHECK(scene.Ask("SELECT 1").status() == absl::OkStatus());
  }
}

TEST_CASE("closing the doors leaves the service's own role what it calls") {
  Stranger scene;
  scene.Exec("CREATE ROLE service_of_theirs");
  scene.Exec("ALTER SCHEMA sextant OWNER TO service_of_theirs");
  scene.Exec("GRANT EXECUTE ON FUNCTION pg_catalog.pg_advisory_xact_lock(bigint) TO PUBLIC");
  scene.Exec("GRANT EXECUTE ON FUNCTION pg_catalog.pg_total_relation_size(regclass) TO PUBLIC");
  scene.Exec(Doors());
  const auto may = [&scene](const char* role, const char* function) {
    bool yes = false;
    CHECK(scene.database->Read("may", [&](pqxx::transaction_base& tx) {
      yes = tx.exec_params("SELECT has_function_privilege($1, $2::text, 'EXECUTE')", role, function)[0][0].as<bool>();
      return absl::OkStatus();
    }) == absl::OkStatus());
    return yes;
  };
  for (const char* function : {"set_config(text,text,boolean)", "pg_advisory_xact_lock(bigint)",
                               "pg_total_relation_size(regclass)"}) {
    INFO(function);
    CHECK(may("service_of_theirs", function));
    CHECK_FALSE(may("sextant_reader", function));
  }
  CHECK_FALSE(may("service_of_theirs", "pg_read_file(text)"));   // what was never everybody's
  CHECK(may("pg_monitor", "pg_total_relation_size(regclass)"));
  CHECK(scene.Ask("SELECT 1").status() == absl::OkStatus());
  scene.Exec("ALTER SCHEMA sextant OWNER TO CURRENT_USER");
  scene.Exec("DROP OWNED BY service_of_theirs");
  scene.Exec("DROP ROLE service_of_theirs");
}

TEST_CASE("a session that was opened for nobody sees nothing") {
  Stranger scene;
  Connection connection(TestCluster::AsReader(scene.database->conninfo()));
  pqxx::read_transaction tx(connection);
  for (const std::string& view : QueryRunner::Views())
    CHECK(tx.exec(absl::StrCat("SELECT count(*) FROM sextant.", view)).at(0).at(0).as<int>() == 0);
}

}  // namespace
}  // namespace sextant::store
