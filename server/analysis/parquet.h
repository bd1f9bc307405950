// Apache Parquet files (https://parquet.apache.org/docs/file-format), version 1: flat columns, PLAIN
// encoding, one zstd-compressed page for each column of a row group. Only what rows need is written.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/analysis/rows.h"

namespace sextant::analysis {

// A row group is written, and forgotten but for its place, after so many rows or bytes.
inline constexpr uint64_t kMaxRowGroupRows = 256 * 1024;
inline constexpr uint64_t kMaxRowGroupBytes = 64u << 20;

// Ints are INT64, numbers DOUBLE, texts BYTE_ARRAY annotated as strings. Columns that may be null are
// OPTIONAL. Row groups carry the least and greatest value of int columns, so that readers skip.
// `metadata`: key and value pairs of the file; units of columns are added under "sextant.units", as a
// JSON object. The sink gets a row group's column at a time.
std::unique_ptr<RowWriter> MakeParquetRows(
    std::vector<RowColumn> columns, std::vector<std::pair<std::string, std::string>> metadata,
    ByteSink sink);

}  // namespace sextant::analysis
