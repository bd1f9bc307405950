#include "server/analysis/rows.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proto/status/status.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr size_t kPieceBytes = 256 * 1024;

class CsvRows : public RowWriter {
 public:
  CsvRows(std::vector<RowColumn> columns, ByteSink sink)
      : columns_(std::move(columns)), sink_(sink), last_(columns_.size()) {}

  absl::Status Begin() override {
    for (const RowColumn& column : columns_) Cell(CsvField(column.name));
    return EndRow();
  }
  void Int(int64_t value) override {
    Separate();
    absl::StrAppend(&text_, value);
  }
  // As many digits as bring the same number back.
  void Number(double value) override {
    if (std::isnan(value)) return Null();
    Separate();
    absl::StrAppendFormat(&text_, "%.17g", value);
  }
  // The same names come again and again.
  void Text(absl::string_view value) override {
    Last& last = last_[at_];
    if (!last.any || last.value != value)
      last = {std::string(value), CsvField(value), true};
    Cell(last.field);
  }
  void Null() override { Separate(); }
  absl::Status EndRow() override {
    text_.push_back('\n');
    at_ = 0;
    return text_.size() < kPieceBytes ? absl::OkStatus() : Flush();
  }
  absl::Status Finish() override { return Flush(); }

 private:
  struct Last {
    std::string value, field;
    bool any = false;
  };

  void Separate() {
    if (at_++ > 0) text_.push_back(',');
  }
  void Cell(absl::string_view field) {
    Separate();
    text_.append(field.data(), field.size());
  }
  absl::Status Flush() {
    if (text_.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(sink_(text_));
    text_.clear();
    return absl::OkStatus();
  }

  const std::vector<RowColumn> columns_;
  const ByteSink sink_;
  std::string text_;
  size_t at_ = 0;
  std::vector<Last> last_;   // by column
};

}  // namespace

std::unique_ptr<RowWriter> MakeCsvRows(std::vector<RowColumn> columns, ByteSink sink) {
  return std::make_unique<CsvRows>(std::move(columns), sink);
}

}  // namespace sextant::analysis
