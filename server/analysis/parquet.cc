#include "server/analysis/parquet.h"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "server/analysis/text.h"
#include "server/analysis/thrift.h"

namespace sextant::analysis {
namespace {

static_assert(std::endian::native == std::endian::little, "PLAIN values are little-endian");

constexpr absl::string_view kMagic = "PAR1";
// Numbers of the format: Type, FieldRepetitionType, Encoding, CompressionCodec, ConvertedType, PageType.
constexpr int32_t kInt64 = 2, kDouble = 5, kByteArray = 6;
constexpr int32_t kRequired = 0, kOptional = 1;
constexpr int32_t kPlain = 0, kRle = 3;
constexpr int32_t kZstd = 6;
constexpr int32_t kUtf8 = 0;
constexpr int32_t kDataPage = 0;
constexpr int kCompression = 1;

int32_t TypeOf(CellType type) {
  switch (type) {
    case CellType::kInt: return kInt64;
    case CellType::kNumber: return kDouble;
    case CellType::kText: return kByteArray;
  }
  return kByteArray;
}

template <typename T>
void AppendPlain(T value, std::string* out) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out->append(bytes, sizeof bytes);
}

// Whether values are there, as runs: the hybrid encoding of definition levels of one bit.
class Levels {
 public:
  void Add(bool there) {
    if (run_ > 0 && there != value_) EndRun();
    value_ = there;
    ++run_;
    nulls_ += there ? 0 : 1;
  }
  uint64_t nulls() const { return nulls_; }
  size_t size() const { return runs_.size(); }
  // With the length before them. Empties.
  std::string Take() {
    if (run_ > 0) EndRun();
    std::string out;
    AppendPlain(static_cast<uint32_t>(runs_.size()), &out);
    out += runs_;
    *this = Levels();
    return out;
  }

 private:
  void EndRun() {
    uint64_t header = run_ << 1;   // an even header: a run of one value
    for (; header >= 0x80; header >>= 7) runs_.push_back(static_cast<char>(header | 0x80));
    runs_.push_back(static_cast<char>(header));
    runs_.push_back(value_ ? 1 : 0);
    run_ = 0;
  }

  std::string runs_;
  uint64_t run_ = 0, nulls_ = 0;
  bool value_ = false;
};

// A column of the row group that grows.
struct Growing {
  std::string values;
  Levels levels;
  int64_t least = std::numeric_limits<int64_t>::max();
  int64_t greatest = std::numeric_limits<int64_t>::min();
};

// Where a column of a row group is, for the footer.
struct Written {
  uint64_t offset = 0;
  uint64_t values = 0;
  uint64_t bytes = 0;             // with the page's header, uncompressed
  uint64_t compressed_bytes = 0;  // with the page's header
  uint64_t nulls = 0;
  int64_t least = 0, greatest = 0;   // of ints; least > greatest: there was none
};

struct RowGroup {
  uint64_t rows = 0;
  std::vector<Written> columns;
};

class ParquetRows : public RowWriter {
 public:
  ParquetRows(std::vector<RowColumn> columns,
              std::vector<std::pair<std::string, std::string>> metadata, ByteSink sink)
      : columns_(std::move(columns)),
        metadata_(std::move(metadata)),
        sink_(sink),
        growing_(columns_.size()) {}

  absl::Status Begin() override { return Write(kMagic); }

  void Int(int64_t value) override {
    Growing& column = Next(true);
    AppendPlain(value, &column.values);
    column.least = std::min(column.least, value);
    column.greatest = std::max(column.greatest, value);
    bytes_ += sizeof value;
  }
  void Number(double value) override {
    if (std::isnan(value) && columns_[at_].may_be_null) return Null();
    AppendPlain(value, &Next(true).values);
    bytes_ += sizeof value;
  }
  void Text(absl::string_view value) override {
    Growing& column = Next(true);
    AppendPlain(static_cast<uint32_t>(value.size()), &column.values);
    column.values.append(value.data(), value.size());
    bytes_ += sizeof(uint32_t) + value.size();
  }
  void Null() override { Next(false); }

  absl::Status EndRow() override {
    at_ = 0;
    ++rows_;
    return rows_ >= kMaxRowGroupRows || bytes_ >= kMaxRowGroupBytes ? EndRowGroup()
                                                                    : absl::OkStatus();
  }

  absl::Status Finish() override {
    if (rows_ > 0) RETURN_IF_ERROR(EndRowGroup());
    std::string footer = Footer();
    const auto size = static_cast<uint32_t>(footer.size());
    AppendPlain(size, &footer);
    absl::StrAppend(&footer, kMagic);
    return Write(footer);
  }

 private:
  Growing& Next(bool there) {
    const size_t at = at_++;
    if (columns_[at].may_be_null) growing_[at].levels.Add(there);
    return growing_[at];
  }

  absl::Status Write(absl::string_view bytes) {
    written_ += bytes.size();
    return sink_(bytes);
  }

  absl::Status EndRowGroup() {
    RowGroup& group = groups_.emplace_back();
    group.rows = rows_;
    for (size_t i = 0; i < columns_.size(); ++i) {
      ASSIGN_OR_RETURN(Written written, WriteColumn(columns_[i], &growing_[i]));
      group.columns.push_back(written);
    }
    rows_ = bytes_ = 0;
    return absl::OkStatus();
  }

  absl::StatusOr<Written> WriteColumn(const RowColumn& column, Growing* growing) {
    Written written;
    written.offset = written_;
    written.values = rows_;
    written.nulls = growing->levels.nulls();
    written.least = growing->least;
    written.greatest = growing->greatest;
    std::string page = column.may_be_null ? growing->levels.Take() : "";
    page += growing->values;
    *growing = Growing();
    std::string compressed(ZSTD_compressBound(page.size()), '\0');
    const size_t size = ZSTD_compress(compressed.data(), compressed.size(), page.data(), page.size(),
                                      kCompression);
    if (ZSTD_isError(size)) return absl::InternalError(ZSTD_getErrorName(size));
    compressed.resize(size);
    ThriftWriter header;   // PageHeader
    header.I32(1, kDataPage);
    header.I32(2, static_cast<int32_t>(page.size()));
    header.I32(3, static_cast<int32_t>(size));
    header.BeginStruct(5);   // DataPageHeader
    header.I32(1, static_cast<int32_t>(rows_));
    header.I32(2, kPlain);
    header.I32(3, kRle);
    header.I32(4, kRle);
    header.EndStruct();
    const std::string head = header.Finish();
    written.bytes = head.size() + page.size();
    written.compressed_bytes = head.size() + size;
    RETURN_IF_ERROR(Write(head));
    RETURN_IF_ERROR(Write(compressed));
    return written;
  }

  void Schema(ThriftWriter* out) const {
    out->BeginStructs(2, columns_.size() + 1);
    out->BeginElement();
    out->Binary(4, "rows");
    out->I32(5, static_cast<int32_t>(columns_.size()));
    out->EndStruct();
    for (const RowColumn& column : columns_) {
      out->BeginElement();
      out->I32(1, TypeOf(column.type));
      out->I32(3, column.may_be_null ? kOptional : kRequired);
      out->Binary(4, column.name);
      if (column.type == CellType::kText) {
        out->I32(6, kUtf8);
        out->BeginStruct(10);   // LogicalType
        out->EmptyStruct(1);    // STRING
        out->EndStruct();
      }
      out->EndStruct();
    }
  }

  void ColumnChunk(const RowColumn& column, const Written& written, ThriftWriter* out) const {
    out->BeginElement();
    out->I64(2, static_cast<int64_t>(written.offset));
    out->BeginStruct(3);   // ColumnMetaData
    out->I32(1, TypeOf(column.type));
    out->BeginI32s(2, 2);
    out->I32Element(kPlain);
    out->I32Element(kRle);
    out->BeginBinaries(3, 1);
    out->BinaryElement(column.name);
    out->I32(4, kZstd);
    out->I64(5, static_cast<int64_t>(written.values));
    out->I64(6, static_cast<int64_t>(written.bytes));
    out->I64(7, static_cast<int64_t>(written.compressed_bytes));
    out->I64(9, static_cast<int64_t>(written.offset));
    out->BeginStruct(12);   // Statistics
    out->I64(3, static_cast<int64_t>(written.nulls));
    if (column.type == CellType::kInt && written.least <= written.greatest) {
      std::string least, greatest;
      AppendPlain(written.least, &least);
      AppendPlain(written.greatest, &greatest);
      out->Binary(5, greatest);
      out->Binary(6, least);
    }
    out->EndStruct();
    out->EndStruct();
    out->EndStruct();
  }

  std::string Footer() const {
    uint64_t rows = 0;
    for (const RowGroup& group : groups_) rows += group.rows;
    ThriftWriter out;   // FileMetaData
    out.I32(1, 1);
    Schema(&out);
    out.I64(3, static_cast<int64_t>(rows));
    out.BeginStructs(4, groups_.size());
    for (const RowGroup& group : groups_) {
      uint64_t bytes = 0, compressed = 0;
      out.BeginElement();
      out.BeginStructs(1, group.columns.size());
      for (size_t i = 0; i < group.columns.size(); ++i) {
        ColumnChunk(columns_[i], group.columns[i], &out);
        bytes += group.columns[i].bytes;
        compressed += group.columns[i].compressed_bytes;
      }
      out.I64(2, static_cast<int64_t>(bytes));
      out.I64(3, static_cast<int64_t>(group.rows));
      out.I64(5, static_cast<int64_t>(group.columns.front().offset));
      out.I64(6, static_cast<int64_t>(compressed));
      out.EndStruct();
    }
    std::vector<std::string> units;
    for (const RowColumn& column : columns_)
      if (!column.unit.empty())
        units.push_back(absl::StrCat(JsonString(column.name), ":", JsonString(column.unit)));
    auto metadata = metadata_;
    metadata.emplace_back("sextant.units", absl::StrCat("{", absl::StrJoin(units, ","), "}"));
    out.BeginStructs(5, metadata.size());
    for (const auto& [key, value] : metadata) {
      out.BeginElement();
      out.Binary(1, key);
      out.Binary(2, value);
      out.EndStruct();
    }
    out.Binary(6, "sextant");
    out.BeginStructs(7, columns_.size());   // order of values: by type, for the statistics
    for (size_t i = 0; i < columns_.size(); ++i) {
      out.BeginElement();
      out.EmptyStruct(1);
      out.EndStruct();
    }
    return out.Finish();
  }

  const std::vector<RowColumn> columns_;
  const std::vector<std::pair<std::string, std::string>> metadata_;
  const ByteSink sink_;
  std::vector<Growing> growing_;
  size_t at_ = 0;
  uint64_t rows_ = 0, bytes_ = 0;   // of the row group that grows
  uint64_t written_ = 0;            // bytes of the file
  std::vector<RowGroup> groups_;
};

}  // namespace

std::unique_ptr<RowWriter> MakeParquetRows(
    std::vector<RowColumn> columns, std::vector<std::pair<std::string, std::string>> metadata,
    ByteSink sink) {
  return std::make_unique<ParquetRows>(std::move(columns), std::move(metadata), sink);
}

}  // namespace sextant::analysis
