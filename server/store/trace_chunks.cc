#include "server/store/trace_chunks.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/status/status.h"
#include "server/store/pq.h"

namespace sextant::store {
namespace {

constexpr size_t kDigestBytes = 32;
constexpr size_t kChunksPerRead = 16;  // some 4 MB

constexpr char kPutChunk[] =
    "INSERT INTO trace_chunks (day, digest, sequence, events, first_ns, last_ns, regions, data) "
    "VALUES ($1::date, $2, $3, $4, $5, $6, $7::integer[], $8) ON CONFLICT DO NOTHING";

constexpr char kPutTrace[] =
    "INSERT INTO traces (trace_digest, day, chunks, events, dropped, bytes, first_ns, last_ns, "
    "  unit, kernel, regions, roles, chunk_digests, rollup) "
    "VALUES ($1, $2::date, $3, $4, $5, $6, $7, $8, $9, $10, $11::text[], $12::text[], $13, $14) "
    "ON CONFLICT (trace_digest) DO UPDATE SET day = EXCLUDED.day WHERE traces.day < EXCLUDED.day";

constexpr char kGetTrace[] =
    "SELECT day, events, dropped, bytes, first_ns, last_ns, unit, kernel, "
    "  regions, roles, chunk_digests, "
    "  CASE WHEN $2 THEN rollup END FROM traces WHERE trace_digest = $1";

constexpr char kFindChunks[] =
    "SELECT digest FROM trace_chunks WHERE day = $1::date AND digest = ANY($2::bytea[]) "
    "AND first_ns <= $3 AND last_ns >= $4 AND (cardinality($5::integer[]) = 0 OR regions && $5) "
    "ORDER BY sequence";

constexpr char kReadChunks[] =
    "SELECT digest, sequence, events, first_ns, last_ns, data FROM trace_chunks "
    "WHERE day = $1::date AND digest = ANY($2::bytea[]) ORDER BY sequence";

// Names of days become names of tables: nothing but digits may come in.
absl::StatusOr<std::string> TableOf(const std::string& day) {
  const bool good = day.size() == 10 && day[4] == '-' && day[7] == '-' &&
                    std::all_of(day.begin(), day.end(),
                                [](char c) { return c == '-' || (c >= '0' && c <= '9'); });
  if (!good)
    return absl::InvalidArgumentError(absl::StrCat("day: \"", day, "\" is not YYYY-MM-DD"));
  return absl::StrCat("trace_chunks_p", absl::StrReplaceAll(day, {{"-", ""}}));
}

// A commit that may or may not have happened is simply done again: these writes say the same.
template <typename Write>
absl::Status Repeatable(Write write) {
  const absl::Status status = write();
  return absl::IsUnknown(status) ? write() : status;
}

std::vector<int64_t> Int64s(const pqxx::field& field) {
  std::vector<int64_t> values;
  auto parser = field.as_array();
  for (auto item = parser.get_next(); item.first != pqxx::array_parser::juncture::done;
       item = parser.get_next()) {
    if (item.first == pqxx::array_parser::juncture::string_value) {
      values.push_back(std::stoll(item.second));
    }
  }
  return values;
}

std::vector<std::string> Texts(const pqxx::field& field) {
  std::vector<std::string> values;
  auto parser = field.as_array();
  for (auto item = parser.get_next(); item.first != pqxx::array_parser::juncture::done;
       item = parser.get_next()) {
    if (item.first == pqxx::array_parser::juncture::string_value) values.push_back(item.second);
  }
  return values;
}

std::string BytesArray(absl::Span<const std::string> values) {
  ArrayLiteral array;
  for (const std::string& value : values) array.AddBytes(value);
  return array.Finish();
}

int64_t Capped(uint64_t ns) { return static_cast<int64_t>(std::min<uint64_t>(ns, INT64_MAX)); }

}  // namespace

absl::StatusOr<std::string> TraceStore::Today() {
  std::string day;
  RETURN_IF_ERROR(database_->Read("trace_today", [&](pqxx::transaction_base& tx) {
    day = tx.exec1("SELECT (now() AT TIME ZONE 'UTC')::date")[0].c_str();
    return absl::OkStatus();
  }));
  return day;
}

absl::Status TraceStore::MakeDay(const std::string& day) {
  {
    absl::MutexLock lock(&mutex_);
    if (days_.contains(day)) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string table, TableOf(day));
  // A table is made first and attached then: that way readers of other days are not shut out.
  RETURN_IF_ERROR(Repeatable([&] {
    return database_->Transact("trace_make_day", [&](pqxx::transaction_base& tx) {
      tx.exec("SELECT pg_advisory_xact_lock(hashtext('sextant.trace_chunks'))");
      if (!tx.exec(absl::StrCat("SELECT to_regclass('", table, "')")).at(0).at(0).is_null()) {
        return absl::OkStatus();
      }
      tx.exec(absl::StrCat("CREATE TABLE ", table, " (LIKE trace_chunks INCLUDING ALL)"));
      tx.exec(absl::StrCat("ALTER TABLE trace_chunks ATTACH PARTITION ", table,
                           " FOR VALUES FROM ('", day, "') TO ('", day, "'::date + 1)"));
      return absl::OkStatus();
    });
  }));
  absl::MutexLock lock(&mutex_);
  days_.insert(day);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> TraceStore::PutChunks(const std::string& day,
                                               absl::Span<const ChunkRow> chunks) {
  RETURN_IF_ERROR(MakeDay(day), "making the table of chunks of ", day);
  uint64_t added = 0;
  const auto write = [&] {
    return database_->Transact("trace_put_chunks", [&](pqxx::transaction_base& tx) {
      added = 0;
      for (const ChunkRow& c : chunks) {
        added += ExecPrepared(tx, kPutChunk, day, Bytes(c.digest), c.sequence, c.events,
                              Capped(c.first_ns), Capped(c.last_ns), Int64Array(c.regions),
                              Bytes(c.data))
                     .affected_rows();
      }
      return absl::OkStatus();
    });
  };
  RETURN_IF_ERROR(Repeatable(write), "storing ", chunks.size(), " chunks");
  return added;
}

absl::Status TraceStore::PutTrace(const TraceRow& t) {
  std::string digests;
  for (const std::string& digest : t.chunk_digests) digests += digest;
  return Repeatable([&] {
    return database_->Transact("trace_put", [&](pqxx::transaction_base& tx) {
      ExecPrepared(tx, kPutTrace, Bytes(t.trace_digest), t.day, t.chunk_digests.size(),
                   Capped(t.events), Capped(t.dropped), Capped(t.bytes), Capped(t.first_ns),
                   Capped(t.last_ns), t.unit, t.kernel, TextArray(t.regions), TextArray(t.roles),
                   Bytes(digests), Bytes(t.rollup));
      return absl::OkStatus();
    });
  });
}

absl::StatusOr<TraceRow> TraceStore::GetTrace(std::string_view trace_digest, bool with_rollup) {
  TraceRow trace;
  RETURN_IF_ERROR(database_->Read("trace_get", [&](pqxx::transaction_base& tx) -> absl::Status {
    const pqxx::result rows = ExecPrepared(tx, kGetTrace, Bytes(trace_digest), with_rollup);
    if (rows.empty()) {
      return absl::NotFoundError(absl::StrCat(
          "trace ", absl::BytesToHexString({trace_digest.data(), trace_digest.size()}),
          " is not here: it was not completed, or retention removed it (trace_retention_days)"));
    }
    const pqxx::row row = rows[0];
    trace.trace_digest = trace_digest;
    trace.day = row[0].c_str();
    trace.events = row[1].as<int64_t>();
    trace.dropped = row[2].as<int64_t>();
    trace.bytes = row[3].as<int64_t>();
    trace.first_ns = row[4].as<int64_t>();
    trace.last_ns = row[5].as<int64_t>();
    trace.unit = row[6].as<int>();
    trace.kernel = row[7].c_str();
    trace.regions = Texts(row[8]);
    trace.roles = Texts(row[9]);
    const std::string digests = FieldBytes(row[10]);
    trace.chunk_digests.clear();
    for (size_t at = 0; at + kDigestBytes <= digests.size(); at += kDigestBytes) {
      trace.chunk_digests.push_back(digests.substr(at, kDigestBytes));
    }
    trace.rollup = FieldBytes(row[11]);
    return absl::OkStatus();
  }));
  return trace;
}

absl::StatusOr<bool> TraceStore::HasTrace(std::string_view trace_digest) {
  bool has = false;
  RETURN_IF_ERROR(database_->Read("trace_has", [&](pqxx::transaction_base& tx) {
    has = !tx.exec_params("SELECT 1 FROM traces WHERE trace_digest = $1", Bytes(trace_digest))
               .empty();
    return absl::OkStatus();
  }));
  return has;
}

absl::Status TraceStore::ReadChunks(const TraceRow& trace, const ChunkFilter& filter,
                                    ChunkSink sink) {
  std::vector<std::string> wanted = trace.chunk_digests;
  if (!filter.regions.empty() || filter.from_ns > 0 || filter.to_ns != UINT64_MAX) {
    const std::string all = BytesArray(trace.chunk_digests);
    RETURN_IF_ERROR(database_->Read("trace_find_chunks", [&](pqxx::transaction_base& tx) {
      wanted.clear();
      for (const auto& row : ExecPrepared(tx, kFindChunks, trace.day, all, Capped(filter.to_ns),
                                          Capped(filter.from_ns), Int64Array(filter.regions))) {
        wanted.push_back(FieldBytes(row[0]));
      }
      return absl::OkStatus();
    }));
  }
  for (size_t at = 0; at < wanted.size(); at += kChunksPerRead) {
    const auto batch = absl::MakeConstSpan(wanted).subspan(at, kChunksPerRead);
    std::vector<ChunkRow> chunks;
    RETURN_IF_ERROR(database_->Read("trace_read_chunks", [&](pqxx::transaction_base& tx) {
      chunks.clear();
      for (const auto& row : ExecPrepared(tx, kReadChunks, trace.day, BytesArray(batch))) {
        ChunkRow& chunk = chunks.emplace_back();
        chunk.digest = FieldBytes(row[0]);
        chunk.sequence = row[1].as<uint32_t>();
        chunk.events = row[2].as<uint32_t>();
        chunk.first_ns = row[3].as<int64_t>();
        chunk.last_ns = row[4].as<int64_t>();
        chunk.data = FieldBytes(row[5]);
      }
      return absl::OkStatus();
    }));
    if (chunks.size() != batch.size()) {
      return absl::DataLossError(absl::StrCat(batch.size() - chunks.size(), " chunks of trace ",
                                              absl::BytesToHexString(trace.trace_digest), " of ",
                                              trace.day, " are missing"));
    }
    for (ChunkRow& chunk : chunks) RETURN_IF_ERROR(sink(std::move(chunk)));
  }
  return absl::OkStatus();
}

absl::StatusOr<TraceStore::TaskRollup> TraceStore::GetTaskRollup(int64_t task_id,
                                                                 std::string_view series) {
  TaskRollup out;
  RETURN_IF_ERROR(database_->Read("task_rollup_get", [&](pqxx::transaction_base& tx) {
    const auto rows =
        tx.exec_params("SELECT passes, rollup FROM task_rollups WHERE task_id = $1 AND series = $2",
                       task_id, std::string(series));
    out = {};
    if (!rows.empty()) out = {Int64s(rows[0][0]), FieldBytes(rows[0][1])};
    return absl::OkStatus();
  }));
  return out;
}

absl::StatusOr<std::vector<int64_t>> TraceStore::GetTaskRollupPasses(int64_t task_id,
                                                                     std::string_view series) {
  std::vector<int64_t> passes;
  RETURN_IF_ERROR(database_->Read("task_rollup_passes", [&](pqxx::transaction_base& tx) {
    const auto rows =
        tx.exec_params("SELECT passes FROM task_rollups WHERE task_id = $1 AND series = $2",
                       task_id, std::string(series));
    passes = rows.empty() ? std::vector<int64_t>() : Int64s(rows[0][0]);
    return absl::OkStatus();
  }));
  return passes;
}

absl::Status TraceStore::UpdateTaskRollup(int64_t task_id, std::string_view series,
                                          absl::FunctionRef<absl::Status(TaskRollup&)> change) {
  return Repeatable([&] {
    return database_->Transact("task_rollup_update", [&](pqxx::transaction_base& tx) {
      tx.exec_params(
          "INSERT INTO task_rollups (task_id, series) VALUES ($1, $2) "
          "ON CONFLICT DO NOTHING",
          task_id, std::string(series));
      const auto rows = tx.exec_params(
          "SELECT passes, rollup FROM task_rollups WHERE task_id = $1 AND series = $2 FOR UPDATE",
          task_id, std::string(series));
      TaskRollup rollup{Int64s(rows.at(0).at(0)), FieldBytes(rows.at(0).at(1))};
      RETURN_IF_ERROR(change(rollup));
      tx.exec_params(
          "UPDATE task_rollups SET passes = $3::bigint[], rollup = $4, "
          "updated_at = now() WHERE task_id = $1 AND series = $2",
          task_id, std::string(series), Int64Array(rollup.passes), Bytes(rollup.rollup));
      return absl::OkStatus();
    });
  });
}

absl::StatusOr<uint64_t> TraceStore::StoredBytes() {
  uint64_t bytes = 0;
  RETURN_IF_ERROR(database_->Read("trace_bytes", [&](pqxx::transaction_base& tx) {
    bytes = tx.exec1(
                  "SELECT coalesce((SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits "
                  "  WHERE inhparent = 'trace_chunks'::regclass), 0)::bigint "
                  "+ pg_total_relation_size('traces') + pg_total_relation_size('task_rollups')")[0]
                .as<uint64_t>();
    return absl::OkStatus();
  }));
  return bytes;
}

absl::StatusOr<int> TraceStore::DropDaysBefore(const std::string& day) {
  ASSIGN_OR_RETURN(const std::string first_kept, TableOf(day));
  std::vector<std::string> tables;
  RETURN_IF_ERROR(database_->Read("trace_days", [&](pqxx::transaction_base& tx) {
    tables.clear();
    for (const auto& row : tx.exec("SELECT inhrelid::regclass::text FROM pg_inherits "
                                   "WHERE inhparent = 'trace_chunks'::regclass ORDER BY 1")) {
      if (std::string table = row[0].c_str(); table < first_kept) tables.push_back(table);
    }
    return absl::OkStatus();
  }));
  for (const std::string& table : tables) {
    const std::string digits = table.substr(table.size() - 8);
    const std::string gone =
        absl::StrCat(digits.substr(0, 4), "-", digits.substr(4, 2), "-", digits.substr(6, 2));
    // The traces go with their chunks; whoever reads one meanwhile is waited for, but not long.
    RETURN_IF_ERROR(database_->Transact(
                        "trace_drop_day",
                        [&](pqxx::transaction_base& tx) {
                          tx.exec("SET LOCAL lock_timeout = '2s'");
                          tx.exec("SELECT pg_advisory_xact_lock(hashtext('sextant.trace_chunks'))");
                          tx.exec(absl::StrCat("DROP TABLE IF EXISTS ", table));
                          tx.exec_params(
                              "WITH gone AS (DELETE FROM traces WHERE day <= $1::date RETURNING trace_digest) "
                              "DELETE FROM holdings h USING gone "
                              "WHERE h.kind = 2 AND h.digest = gone.trace_digest",
                              gone);
                          return absl::OkStatus();
                        }),
                    "dropping ", table);
    absl::MutexLock lock(&mutex_);
    days_.erase(gone);
  }
  RETURN_IF_ERROR(database_->Transact("task_rollup_drop", [&](pqxx::transaction_base& tx) {
    tx.exec_params("DELETE FROM task_rollups WHERE updated_at < $1::date", day);
    return absl::OkStatus();
  }));
  return static_cast<int>(tables.size());
}

}  // namespace sextant::store
