// The one codec of tables that passes leave (docs/tables.md).
//
//   table::Builder launches("launches");
//   auto kernel = launches.Text("kernel");
//   auto duration = launches.Int("duration_ns", "ns");
//   …for each row: launches.Set(kernel, "matmul"); launches.Set(duration, 1200); launches.EndRow();
//   v1::DataTable table = launches.Finish();
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "sextant/v1/table.pb.h"

namespace sextant::table {

inline constexpr uint64_t kMaxRows = 4'000'000;
inline constexpr int kMaxColumns = 256;
inline constexpr uint32_t kMaxTextBytes = 4096;          // of one text; longer ones are cut
inline constexpr uint64_t kMaxEncodedBytes = 64u << 20;  // of the zstd frame
inline constexpr uint64_t kMaxDecodedBytes = 512u << 20;
inline constexpr char kArtifactKind[] = "table";

// Owns the table while it grows, row by row. A cell that is not set is 0, NaN or "". One thread.
class Builder {
 public:
  // Which column; only of use with the Builder that gave it.
  enum class IntColumn : int {};
  enum class NumberColumn : int {};
  enum class TextColumn : int {};

  explicit Builder(std::string_view name);

  IntColumn Int(std::string_view name, std::string_view unit = "");
  NumberColumn Number(std::string_view name, std::string_view unit = "");
  TextColumn Text(std::string_view name);

  void Set(IntColumn column, int64_t value);
  void Set(NumberColumn column, double value);
  // What is not printable UTF-8 becomes '?'.
  void Set(TextColumn column, std::string_view value);

  // Beyond kMaxRows rows are dropped and counted.
  void EndRow();
  uint64_t rows() const { return table_.rows(); }
  uint64_t dropped_rows() const { return dropped_rows_; }

  v1::DataTable Finish();

 private:
  v1::DataTable table_;
  std::vector<absl::flat_hash_map<std::string, uint32_t>> words_;   // by column
  uint64_t dropped_rows_ = 0;
};

// One zstd frame.
std::string Encode(const v1::DataTable& table);

// INVALID_ARGUMENT names the table, column and limit. Every byte is taken for hostile.
absl::StatusOr<v1::DataTable> DecodeUntrusted(std::string_view bytes);

// The same checks, for a table that came another way.
absl::Status Check(const v1::DataTable& table);

// A column by name, or null.
const v1::DataColumn* Find(const v1::DataTable& table, std::string_view column);

// The text of a row. `column` is a text column.
std::string_view TextAt(const v1::DataColumn& column, uint64_t row);

// The number in a row of an int or number column.
double NumberAt(const v1::DataColumn& column, uint64_t row);

}  // namespace sextant::table
