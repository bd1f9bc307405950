// What `collect` printed becomes what a pass leaves.
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "workers/backends/exec/contract.h"
#include "workers/backends/exec/json_reader.h"
#include "workers/backends/exec/trace_csv.h"
#include "workers/backends/result_file.h"

namespace sextant::backends::exec {
namespace {
namespace fs = std::filesystem;

constexpr size_t kMaxTables = 32;
constexpr size_t kMaxCounters = 10'000;
constexpr size_t kMaxNotes = 100;
constexpr size_t kMaxNoteBytes = 1000;
constexpr size_t kMaxArtifacts = 100;
constexpr uint64_t kMaxTraceBytes = 1ull << 30;
constexpr uint64_t kMaxArtifactBytes = 64 << 20;    // of one that `collect` made
constexpr uint64_t kMaxArtifactsBytes = 256 << 20;  // of all of them

absl::Status OwnError(const JsonReader& root, absl::Status* status) {
  const nlohmann::json* error = root.Find("error");
  if (error == nullptr) return absl::OkStatus();
  const JsonReader reader(*error, "error", status);
  std::string message = reader.Text("message");
  if (message.empty()) message = "the backend gave no reason";
  const std::string code = reader.Text("code"), remedy = reader.Text("remedy");
  if (code == "empty") return WithRemedy(absl::FailedPreconditionError(message), remedy);
  if (code == "refused") return WithRemedy(absl::UnimplementedError(message), remedy);
  return WithRemedy(absl::UnavailableError(message), remedy);
}

// One column: exactly one of ints, numbers (null: absent) and texts.
void AddColumn(const JsonReader& json, v1::DataTable* table) {
  v1::DataColumn& column = *table->add_columns();
  column.set_name(json.Text("name"));
  column.set_unit(json.Text("unit"));
  uint64_t rows = 0;
  int kinds = 0;
  if (json.Find("ints") != nullptr) {
    ++kinds;
    for (const nlohmann::json& one : json.List("ints")) {
      if (!one.is_number_integer()) return json.Wrong("ints", "must hold whole numbers alone");
      column.add_ints(one.get<int64_t>());
    }
    rows = column.ints_size();
  }
  if (json.Find("numbers") != nullptr) {
    ++kinds;
    for (const nlohmann::json& one : json.List("numbers")) {
      if (!one.is_null() && !one.is_number())
        return json.Wrong("numbers", "must hold numbers or null");
      column.add_numbers(one.is_null() ? std::nan("") : one.get<double>());
    }
    rows = column.numbers_size();
  }
  if (json.Find("texts") != nullptr) {
    ++kinds;
    std::map<std::string, uint32_t> words;
    for (const nlohmann::json& one : json.List("texts")) {
      if (!one.is_string()) return json.Wrong("texts", "must hold strings alone");
      const std::string word = chunk::CleanName(one.get<std::string>(), table::kMaxTextBytes);
      const auto [at, added] = words.try_emplace(word, static_cast<uint32_t>(words.size()));
      if (added) column.add_dictionary(word);
      column.add_texts(at->second);
    }
    rows = column.texts_size();
  }
  if (kinds != 1) return json.Wrong("", "must have one of ints, numbers and texts");
  if (table->columns_size() == 1) table->set_rows(rows);
}

absl::Status AddTables(const JsonReader& root, absl::Status* status, Collected* collected) {
  std::set<std::string> names;
  for (const nlohmann::json& one : root.List("tables")) {
    const std::string place = absl::StrCat("tables[", collected->tables.size(), "]");
    if (collected->tables.size() == kMaxTables) {
      root.Wrong("tables", absl::StrCat("must be at most ", kMaxTables));
      break;
    }
    const JsonReader json(one, place, status);
    v1::DataTable table;
    table.set_name(json.Text("name"));
    if (!names.insert(table.name()).second) json.Wrong("name", "is there twice");
    // The name becomes the artifact's.
    if (table.name().find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") !=
        std::string::npos) {
      json.Wrong("name", "may have the characters a-z, 0-9 and _ alone");
    }
    for (const nlohmann::json& column : json.List("columns")) {
      AddColumn(
          JsonReader(column, absl::StrCat(place, ".columns[", table.columns_size(), "]"), status),
          &table);
      if (table.columns_size() > table::kMaxColumns) break;
    }
    RETURN_IF_ERROR(*status);
    RETURN_IF_ERROR(table::Check(table), place);
    collected->tables.push_back(std::move(table));
  }
  return *status;
}

void AddCounters(const JsonReader& root, absl::Status* status, Collected* collected) {
  for (const nlohmann::json& one : root.List("counters")) {
    if (collected->counters.size() == kMaxCounters) {
      return root.Wrong("counters", absl::StrCat("must be at most ", kMaxCounters));
    }
    const JsonReader json(one, absl::StrCat("counters[", collected->counters.size(), "]"), status);
    v1::Counter counter;
    counter.set_name(chunk::CleanName(json.Text("name"), 256));
    counter.set_unit(chunk::CleanName(json.Text("unit"), 64));
    counter.set_region(chunk::CleanName(json.Text("region"), 1024));
    counter.set_role(chunk::CleanName(json.Text("role"), 1024));
    counter.set_kernel(chunk::CleanName(json.Text("kernel"), 1024));
    counter.set_value(json.Number("value", std::nan("")));
    counter.set_instances(json.Count("instances"));
    if (counter.name().empty()) json.Wrong("name", "is empty");
    if (!std::isfinite(counter.value())) json.Wrong("value", "must be a number");
    collected->counters.push_back(std::move(counter));
  }
}

// A path of `collect`'s may not leave the directory, whatever the links on its way: one name alone.
bool IsFileName(const std::string& name) {
  return !name.empty() && name.size() < 256 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
}

absl::Status AddArtifacts(const JsonReader& root, const fs::path& out, const fs::path& left,
                          absl::Status* status, Collected* collected) {
  uint64_t total = 0;
  size_t count = 0;
  for (const nlohmann::json& one : root.List("artifacts")) {
    const std::string place = absl::StrCat("artifacts[", count, "]");
    if (count++ == kMaxArtifacts) {
      root.Wrong("artifacts", absl::StrCat("must be at most ", kMaxArtifacts));
      break;
    }
    const JsonReader json(one, place, status);
    const std::string name = chunk::CleanName(json.Text("name"), 256);
    const std::string kind = json.Text("kind");
    if (name.empty()) json.Wrong("name", "is empty");
    if (kind != "log" && kind != "ir" && kind != "report" && kind != "trace-raw") {
      json.Wrong("kind", "must be log, ir, report or trace-raw");
    }
    const std::string file = json.Text("file");
    if (const std::string passes = json.Text("left"); !passes.empty()) {
      // The agent opens it beneath the results directory, without links.
      collected->artifacts.push_back({name, kind, left / passes});
      continue;
    }
    if (!IsFileName(file))
      json.Wrong("file", "must be the name of a file that collect wrote in /results");
    RETURN_IF_ERROR(*status);
    ASSIGN_OR_RETURN(std::string bytes, ReadResultFile(out / file, kMaxArtifactBytes), place);
    total += bytes.size();
    if (total > kMaxArtifactsBytes) {
      return absl::OutOfRangeError(
          absl::StrCat("artifacts: more than ", kMaxArtifactsBytes, " bytes"));
    }
    collected->made.push_back({name, kind, std::move(bytes)});
  }
  return *status;
}

absl::Status AddTrace(const JsonReader& root, const fs::path& out, absl::Status* status,
                      Collected* collected) {
  const nlohmann::json* field = root.Find("trace");
  if (field == nullptr) return absl::OkStatus();
  const JsonReader json(*field, "trace", status);
  const std::string file = json.Text("file"), unit = json.Text("unit");
  const double ns_per_unit = json.Number("ns_per_unit", 1);
  if (!IsFileName(file))
    json.Wrong("file", "must be the name of a file that collect wrote in /results");
  if (unit != "ns" && unit != "cycles") json.Wrong("unit", "must be \"ns\" or \"cycles\"");
  if (!(ns_per_unit > 0 && ns_per_unit <= chunk::kMaxNsPerUnit) ||
      (unit == "ns" && ns_per_unit != 1)) {
    json.Wrong("ns_per_unit", "must be positive, and 1 for ns");
  }
  const uint64_t dropped = json.Count("dropped");
  RETURN_IF_ERROR(*status);
  ASSIGN_OR_RETURN(const std::string text, ReadResultFile(out / file, kMaxTraceBytes), "trace");
  ASSIGN_OR_RETURN(ImportedTrace trace, ParseTraceCsvUntrusted(text));
  trace.info.kernel = json.Text("kernel");
  trace.info.unit = unit == "ns" ? v1::NANOSECONDS : v1::CYCLES;
  trace.info.ns_per_unit = ns_per_unit;
  collected->events = trace.instances.size();
  collected->dropped = dropped;
  if (trace.instances.empty()) return absl::OkStatus();
  return chunk::EncodeTrace(std::move(trace.info), std::move(trace.instances),
                            [collected](chunk::EncodedChunk encoded) {
                              collected->chunks.push_back(std::move(encoded.bytes));
                              return absl::OkStatus();
                            });
}

}  // namespace

absl::StatusOr<Collected> ParseCollectedUntrusted(std::string_view json, const fs::path& out,
                                                  const fs::path& left) {
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseObject(json, "collect"));
  absl::Status status;
  const JsonReader root(parsed, "", &status);
  RETURN_IF_ERROR(OwnError(root, &status));
  Collected collected;
  RETURN_IF_ERROR(AddTables(root, &status, &collected), "collect");
  AddCounters(root, &status, &collected);
  for (const std::string& note : root.Texts("notes")) {
    if (collected.notes.size() < kMaxNotes)
      collected.notes.push_back(chunk::CleanName(note, kMaxNoteBytes));
  }
  collected.clock_hz = root.Number("clock_hz");
  RETURN_IF_ERROR(AddArtifacts(root, out, left, &status, &collected), "collect");
  RETURN_IF_ERROR(AddTrace(root, out, &status, &collected), "collect");
  RETURN_IF_ERROR(status, "collect");
  return collected;
}

}  // namespace sextant::backends::exec
