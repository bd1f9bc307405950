// Comma-separated values as tools print them (RFC 4180): quoted fields may hold commas, quotes
// written twice, and line breaks.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sextant::backends::formats {

using CsvRow = std::vector<std::string>;

// Hands out rows of a text one after the other. Never fails: what is no CSV comes out as odd
// fields; a quote that is never closed ends with the text. Borrows the text.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {}

  // False: the text has ended. Lines without any character are skipped.
  bool Next(CsvRow* row);

  // The rest that was not read yet.
  std::string_view rest() const { return text_; }
  // Passes over a line without taking it for CSV, and returns it. False: the text has ended.
  bool SkipLine(std::string_view* line);
  // The row last read was ended by the text, not by a line break.
  bool cut_off() const { return cut_off_; }

 private:
  std::string_view text_;
  bool cut_off_ = false;
};

// Where a column stands, by the name in a header row. A name that is there twice: the first.
class CsvHeader {
 public:
  CsvHeader() = default;
  explicit CsvHeader(const CsvRow& header);
  std::optional<size_t> Find(const std::string& name) const;
  // "" where the row is too short or the column unknown.
  static std::string_view Field(const CsvRow& row, std::optional<size_t> column);

 private:
  std::map<std::string, size_t> columns_;
};

// A number as tools print it, with or without commas between thousands ("1,056", "-0.5", "1e9",
// "nan", "inf"). Absent: it is no number.
std::optional<double> ParseNumber(std::string_view text);
// As ParseNumber, and a whole number that fits. "(256, 1, 1)" is none.
std::optional<int64_t> ParseInteger(std::string_view text);

}  // namespace sextant::backends::formats
