// What real programs left in /results on a GPU, and what a backend makes of it as text.
//
// workers/backends/<backend>/testdata/<name>/ holds the files and run.json, which says how the run
// began and ended; <name>.txt beside it is the golden text. SEXTANT_BLESS=1 writes it anew.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "proto/chunk/decoder.h"
#include "proto/table/table.h"
#include "tests/catch.h"
#include "workers/backends/backend.h"

namespace sextant::backends::injected {

// The run that a recording is of. `assignment` must outlive it.
inline RunRecord RecordedRun(const std::filesystem::path& folder, v1::Assignment* assignment) {
  std::ifstream file(folder / "run.json");
  REQUIRE(file.good());
  const nlohmann::json json = nlohmann::json::parse(file);
  RunRecord run;
  run.assignment = assignment;
  run.results_dir = folder;
  run.started_monotonic_ns = json.at("started_monotonic_ns").get<uint64_t>();
  const std::string verdict = json.at("verdict");
  run.exit.set_verdict(verdict == "SIGNALLED"   ? v1::SIGNALLED
                       : verdict == "TIMED_OUT" ? v1::TIMED_OUT
                                                : v1::EXITED);
  run.exit.set_exit_code(json.at("exit_code").get<int>());
  run.exit.set_signal(json.at("signal").get<int>());
  return run;
}

inline void DescribeTrace(const std::vector<std::string>& chunks, std::ostream& out) {
  struct Sum {
    uint64_t count = 0, duration = 0, first = UINT64_MAX;
  };
  std::map<std::string, Sum> sums;
  for (const std::string& bytes : chunks) {
    const auto chunk = chunk::DecodeUntrusted(bytes);
    REQUIRE(chunk.ok());
    out << "chunk " << chunk->header.sequence() << " of \"" << chunk->header.kernel() << "\"\n";
    for (const chunk::TrackSlice& slice : chunk->tracks) {
      for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
        Sum& sum = sums[absl::StrCat("  process ", slice.track.launch, ", ",
                                     chunk->header.roles(slice.track.role), ", ",
                                     chunk->header.regions(chunk->region[i]))];
        ++sum.count;
        sum.duration += chunk->duration[i];
        sum.first = std::min(sum.first, chunk->start[i]);
      }
    }
  }
  for (const auto& [what, sum] : sums) {
    out << what << ": " << sum.count << " × , " << sum.duration << " ns, first at " << sum.first
        << "\n";
  }
}

inline void DescribeTable(const v1::DataTable& table, uint64_t max_rows, std::ostream& out) {
  out << "table " << table.name() << ", " << table.rows() << " rows\n";
  for (uint64_t row = 0; row < std::min<uint64_t>(table.rows(), max_rows); ++row) {
    out << "  ";
    for (const v1::DataColumn& column : table.columns()) {
      out << (&column == &table.columns(0) ? "" : ", ") << column.name() << " ";
      if (column.texts_size() > 0) {
        out << '"' << table::TextAt(column, row) << '"';
      } else if (column.ints_size() > 0) {
        out << column.ints(static_cast<int>(row));
      } else {
        out << column.numbers(static_cast<int>(row));
      }
    }
    out << "\n";
  }
}

inline std::string Describe(const absl::StatusOr<Collected>& collected, uint64_t max_rows = 8) {
  std::ostringstream out;
  if (!collected.ok()) {
    out << "nothing: " << collected.status() << "\n";
    return out.str();
  }
  out << "events " << collected->events << ", dropped " << collected->dropped << "\n";
  for (const std::string& note : collected->notes) out << "note " << note << "\n";
  DescribeTrace(collected->chunks, out);
  for (const v1::Counter& counter : collected->counters) {
    out << "counter " << counter.name() << " of " << counter.kernel() << ": " << counter.value()
        << " " << counter.unit() << "\n";
  }
  for (const v1::DataTable& table : collected->tables) DescribeTable(table, max_rows, out);
  for (const auto& file : collected->artifacts) {
    out << "file " << file.kind << " " << file.name << " from " << file.path.filename().string()
        << "\n";
  }
  for (const auto& made : collected->made) {
    out << "made " << made.kind << " " << made.name << ", " << made.bytes.size() << " bytes\n";
  }
  return out.str();
}

// Compares with <folder>.txt.
inline void CheckGolden(const std::filesystem::path& folder, const std::string& text) {
  const std::filesystem::path path = folder.string() + ".txt";
  if (getenv("SEXTANT_BLESS") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  INFO("golden file " << path << "; SEXTANT_BLESS=1 writes it anew");
  REQUIRE(file.good());
  std::stringstream golden;
  golden << file.rdbuf();
  CHECK(text == golden.str());
}

}  // namespace sextant::backends::injected
