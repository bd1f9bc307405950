#include "server/store/migrator.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/store/cluster_process.h"
#include "server/store/pq.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::store {
namespace {

std::unique_ptr<Database> Empty() {
  DatabaseOptions options;
  options.conninfo = TestCluster::Shared().NewEmptyDatabase();
  auto database = Database::Open(options);
  REQUIRE(database.ok());
  return *std::move(database);
}

constexpr Migration kFirst{1, "first", "CREATE TABLE a (i int); CREATE TABLE b (i int);"};
constexpr Migration kSecond{2, "second", "ALTER TABLE a ADD j int;"};
constexpr Migration kBad{2, "bad", "ALTER TABLE a ADD j int; SELECT nonsense;"};

int Count(Database& database, const std::string& sql) {
  int count = -1;
  CHECK(database.Read("count", [&](pqxx::transaction_base& tx) {
    count = tx.exec(sql).at(0).at(0).as<int>();
    return absl::OkStatus();
  }).ok());
  return count;
}

TEST_CASE("steps are applied in order, and once") {
  auto database = Empty();
  CHECK(Migrate(database.get(), {kFirst}).value() == 1);
  CHECK(Migrate(database.get(), {kFirst, kSecond}).value() == 2);
  CHECK(Migrate(database.get(), {kFirst, kSecond}).value() == 2);
  CHECK(Count(*database, "SELECT count(*) FROM schema_migrations") == 2);
  CHECK(Count(*database, "SELECT count(j) FROM a") == 0);
}

TEST_CASE("a step that fails leaves the database as it was") {
  auto database = Empty();
  REQUIRE(Migrate(database.get(), {kFirst}).ok());
  CHECK_FALSE(Migrate(database.get(), {kFirst, kBad}).ok());
  CHECK(Count(*database, "SELECT count(*) FROM information_schema.columns"
                         " WHERE table_name = 'a' AND column_name = 'j'") == 0);
  CHECK(Migrate(database.get(), {kFirst, kSecond}).ok());
}

TEST_CASE("several coordinators that start at once migrate once") {
  auto database = Empty();
  std::vector<std::thread> starters;
  for (int i = 0; i < 4; ++i) {
    starters.emplace_back([&] { CHECK(Migrate(database.get(), {kFirst, kSecond}).ok()); });
  }
  for (std::thread& starter : starters) starter.join();
  CHECK(Count(*database, "SELECT count(*) FROM schema_migrations") == 2);
}

TEST_CASE("a newer database is refused with what to do") {
  auto database = Empty();
  REQUIRE(Migrate(database.get(), {kFirst, kSecond}).ok());
  const auto older = Migrate(database.get(), {kFirst});
  CHECK(older.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(absl::StrContains(older.status().message(), "run the newer program"));
}

TEST_CASE("a step that reads differently from the one applied is refused") {
  auto database = Empty();
  REQUIRE(Migrate(database.get(), {kFirst}).ok());
  constexpr Migration kChanged{1, "first", "CREATE TABLE a (i bigint);"};
  const auto changed = Migrate(database.get(), {kChanged});
  CHECK(changed.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(absl::StrContains(changed.status().message(), "schema step 1"));
}

// The schema as text that does not depend on PostgreSQL's version.
constexpr char kSchemaText[] = R"sql(
SELECT string_agg(line, E'\n' ORDER BY part, line) FROM (
  SELECT 1 AS part, format('%s %s.%s', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence'
           WHEN 'p' THEN 'partitioned table' ELSE 'table' END, n.nspname, c.relname) ||
         coalesce(' with ' || array_to_string(c.reloptions, ', '), '') AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'sextant') AND c.relkind IN ('r', 'v', 'S', 'p')
  UNION ALL
  SELECT 2, format('column %s.%s.%s %s%s%s', n.nspname, c.relname, a.attname,
                   format_type(a.atttypid, a.atttypmod),
                   CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                   coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') ||
                   CASE a.attidentity WHEN '' THEN '' ELSE ' identity' END)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE n.nspname IN ('public', 'sextant') AND c.relkind IN ('r', 'v', 'p') AND a.attnum > 0
      AND NOT a.attisdropped
  UNION ALL
  SELECT 3, format('constraint %s: %s', o.conrelid::regclass, pg_get_constraintdef(o.oid))
    FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace
    WHERE n.nspname IN ('public', 'sextant') AND o.conrelid <> 0 AND o.contype <> 'n'
  UNION ALL
  SELECT 4, format('index %s', i.indexdef) FROM pg_indexes i
    WHERE i.schemaname IN ('public', 'sextant')
  UNION ALL
  SELECT 5, format('trigger %s', pg_get_triggerdef(t.oid)) FROM pg_trigger t
    WHERE NOT t.tgisinternal
  UNION ALL
  SELECT 6, format('function %s returns %s', p.oid::regprocedure, p.prorettype::regtype)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('public', 'sextant')
  UNION ALL
  SELECT 7, format('grant %s on %s.%s to %s', g.privilege_type, g.table_schema, g.table_name, g.grantee)
    FROM information_schema.role_table_grants g WHERE g.grantee = 'sextant_reader'
) AS lines
)sql";

TEST_CASE("the migrated schema is the blessed one") {
  auto database = TestDatabase::New();
  std::string schema;
  REQUIRE(database->Transact("schema", [&](pqxx::transaction_base& tx) {
    tx.exec("SET LOCAL search_path = ''");
    schema = tx.exec(kSchemaText).at(0).at(0).as<std::string>() + "\n";
    return absl::OkStatus();
  }).ok());
  const char* golden = "tests/golden/schema.txt";
  if (getenv("SEXTANT_BLESS") != nullptr) std::ofstream(golden) << schema;
  std::ostringstream blessed;
  blessed << std::ifstream(golden).rdbuf();
  INFO("bless a wanted change with SEXTANT_BLESS=1");
  CHECK(schema == blessed.str());
}

}  // namespace
}  // namespace sextant::store
