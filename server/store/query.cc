#include "server/store/query.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/status/status.h"
#include "server/store/pq.h"
#include "server/store/errors.h"
#include "server/store/query_errors.h"

namespace sextant::store {
namespace {

constexpr int kMaxColumns = 256;

// Both texts have the stranger's statement begin on their second line.
constexpr char kDeclare[] = "DECLARE stranger NO SCROLL CURSOR FOR\n";
constexpr int kLinesBefore = 1;

struct Bounds {
  int64_t rows = 0;
  int64_t bytes = 0;
  double timeout_s = 0;
};

template <typename Number>
Number AtMost(Number asked, Number most) {
  return asked > 0 ? std::min(asked, most) : most;
}

// The statement as a subquery, every column as text, cut off on the server: rows by LIMIT, bytes by
// a running sum after which columns are NULL. A row of a gigabyte never leaves the server.
// OFFSET 0 keeps the layers apart, so that each column is computed once.
std::string Bounded(const std::string& sql, int columns, const Bounds& bounds) {
  std::string names, texts, sizes, cut;
  for (int i = 1; i <= columns; ++i) {
    const char* comma = i > 1 ? ", " : "";
    absl::StrAppend(&names, comma, "c", i);
    absl::StrAppend(&texts, comma, "c", i, "::text");
    absl::StrAppend(&sizes, "coalesce(octet_length(c", i, "), 0)::bigint + ");
    absl::StrAppend(&cut, "CASE WHEN total <= ", bounds.bytes, " THEN c", i, " END, ");
  }
  return absl::StrCat(
      "SELECT ", cut, "total <= ", bounds.bytes,
      " FROM (SELECT *, sum(size) OVER (ROWS UNBOUNDED PRECEDING) AS total"
      " FROM (SELECT *, ", sizes, 8 * columns, " AS size FROM (SELECT ", texts, " FROM (\n",
      sql, "\n) AS stranger(", names, ") OFFSET 0) AS texts(", names, ") OFFSET 0) AS sized) AS summed",
      " LIMIT ", bounds.rows + 1);
}

// People end statements with one.
std::string WithoutSemicolon(std::string sql) {
  while (!sql.empty() && (sql.back() == ';' || absl::ascii_isspace(sql.back()))) sql.pop_back();
  return sql;
}

// One query in one session.
class Session {
 public:
  Session(const std::string& conninfo, const Bounds& bounds, const Reach& reach)
      : bounds_(bounds),
        reach_(reach),
        give_up_(absl::Now() + absl::Seconds(bounds.timeout_s)),
        connection_(conninfo),
        tx_(connection_) {}

  absl::StatusOr<v1::QueryResponse> Run(const std::string& sql) {
    tx_.exec("SET LOCAL search_path = sextant");
    tx_.exec("SET LOCAL idle_in_transaction_session_timeout = '60s'");
    RETURN_IF_ERROR(Narrow());
    v1::QueryResponse response;
    RETURN_IF_ERROR(Describe(sql, &response));
    LimitTime();
    const pqxx::result rows =
        tx_.exec_params(Bounded(sql, response.columns_size(), bounds_));
    for (const auto& row : rows) {
      if (response.rows_size() == bounds_.rows) {
        response.set_truncated(true);
        response.set_truncated_by("max_rows");
        break;
      }
      if (!row[response.columns_size()].as<bool>()) {
        response.set_truncated(true);
        response.set_truncated_by("max_bytes");
        break;
      }
      v1::Row* out = response.add_rows();
      for (int i = 0; i < response.columns_size(); ++i) {
        v1::Cell* cell = out->add_cells();
        if (row[i].is_null()) {
          cell->set_is_null(true);
        } else {
          cell->set_text(row[i].c_str(), row[i].size());
        }
      }
    }
    return response;
  }

 private:
  // What the views read, for this session.
  absl::Status Narrow() {
    tx_.exec(absl::StrCat("SET LOCAL sextant.tenant = ", tx_.quote(reach_.all() ? "*" : reach_.sql())));
    if (reach_.all()) return absl::OkStatus();
    // Functions that widen what it sees, or tell of rows that it does not see (migrations/007_doors.sql).
    const pqxx::result doors = tx_.exec(
        "SELECT p.oid::pg_catalog.regprocedure, "
        "  (SELECT pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace WHERE nspname = 'sextant') "
        "FROM pg_catalog.pg_proc p WHERE pronamespace = 'pg_catalog'::pg_catalog.regnamespace "
        "AND (proname IN ('set_config', 'ts_rewrite') OR proname LIKE 'pg\\_stat\\_get\\_xact\\_%' "
        "  OR proname = 'pg_stat_get_activity' AND pg_catalog.current_setting('track_activities') = 'on') "
        "AND prokind = 'f' AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE') ORDER BY 1 LIMIT 1");
    if (doors.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(
        "queries of one tenant are off, because sextant_reader may call ", doors[0][0].c_str(),
        ": in the database of the service run server/store/migrations/007_doors.sql of Sextant's source as a superuser "
        "(psql -f; docs/security.md). It takes this function and others like it from PUBLIC, and leaves them, set_config "
        "among them, to the service's own role (GRANT EXECUTE … TO ", doors[0][1].c_str(), ")"));
  }

  // Before every statement, because the one before may have called set_config.
  void LimitTime() {
    const int64_t left_ms = absl::ToInt64Milliseconds(give_up_ - absl::Now());
    tx_.exec(absl::StrCat("SET LOCAL statement_timeout = ", std::max<int64_t>(left_ms, 1)));
  }

  // The statement must stand alone as a cursor's: one SELECT or VALUES that changes nothing. The
  // extended protocol refuses a second statement. Nothing is fetched, so nothing is run.
  absl::Status Describe(const std::string& sql, v1::QueryResponse* response) {
    LimitTime();
    try {
      tx_.exec_params(absl::StrCat(kDeclare, sql));
    } catch (const pqxx::broken_connection& e) {
      // Nothing broke: a parameter ($1) that nobody gives is a breach of the protocol to PostgreSQL.
      if (!connection_.is_open()) throw;
      return absl::InvalidArgumentError(absl::StrCat("sql: ", OneLine(e.what())));
    }
    const pqxx::result none = tx_.exec_params("FETCH 0 FROM stranger");
    const int columns = static_cast<int>(none.columns());
    if (columns == 0 || columns > kMaxColumns) {
      return absl::InvalidArgumentError(
          absl::StrCat("sql: selects ", columns, " columns, not 1 to ", kMaxColumns));
    }
    std::vector<int64_t> types;
    for (int i = 0; i < columns; ++i) types.push_back(none.column_type(i));
    const pqxx::result names = tx_.exec_params(
        "SELECT pg_catalog.format_type(t.oid, NULL) "
        "FROM unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS t(oid, n) ORDER BY t.n",
        Int64Array(types));
    for (int i = 0; i < columns; ++i) {
      v1::Column* column = response->add_columns();
      column->set_name(none.column_name(i));
      column->set_type(names[i][0].c_str());
    }
    tx_.exec("CLOSE stranger");
    return absl::OkStatus();
  }

  const Bounds bounds_;
  const Reach reach_;
  const absl::Time give_up_;
  Connection connection_;
  pqxx::read_transaction tx_;  // never committed
};

}  // namespace

QueryRunner::QueryRunner(QueryOptions options, const v1::ServiceLimits& limits)
    : options_(std::move(options)), limits_(limits) {}

const std::vector<std::string>& QueryRunner::Views() {
  static const auto* const views = new std::vector<std::string>{
      "artifacts", "blobs", "counters", "events", "jobs", "notes", "passes", "queue", "regions",
      "service_counters", "tasks", "traces", "workers"};
  return *views;
}

absl::StatusOr<v1::QueryResponse> QueryRunner::Run(const v1::QueryRequest& request,
                                                   const Reach& reach) {
  if (options_.reader_conninfo.empty()) {
    return absl::FailedPreconditionError(
        "queries are off: give the server the connection string of the role sextant_reader");
  }
  if (request.sql().empty()) return absl::InvalidArgumentError("sql: is empty; send one SELECT");
  if (request.sql().size() > limits_.query_max_sql_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("sql: ", request.sql().size(),
                                                   " bytes, query_max_sql_bytes is ",
                                                   limits_.query_max_sql_bytes()));
  }
  if (request.sql().find('\0') != std::string::npos)
    return absl::InvalidArgumentError("sql: holds a zero byte");
  Bounds bounds;
  bounds.rows = AtMost<int64_t>(request.max_rows(), limits_.query_max_rows());
  bounds.bytes = static_cast<int64_t>(
      AtMost<uint64_t>(request.max_bytes(), limits_.query_max_bytes()));
  bounds.timeout_s = AtMost<double>(request.timeout_s(), limits_.query_max_s());
  const absl::Time began = absl::Now();
  {
    absl::MutexLock lock(&mutex_);
    auto room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return running_ < options_.connections;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&room), absl::Seconds(bounds.timeout_s))) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "all ", options_.connections, " places for queries stayed busy; try again"));
    }
    ++running_;
  }
  absl::Cleanup leave = [this] {
    absl::MutexLock lock(&mutex_);
    --running_;
  };
  try {
    Session session(options_.reader_conninfo, bounds, reach);
    ASSIGN_OR_RETURN(v1::QueryResponse response, session.Run(WithoutSemicolon(request.sql())));
    response.set_elapsed_s(absl::ToDoubleSeconds(absl::Now() - began));
    return response;
  } catch (...) {
    return TranslateQueryError(std::current_exception(),
                               {kLinesBefore, bounds.timeout_s, limits_.query_max_s(), &Views()});
  }
}

}  // namespace sextant::store
