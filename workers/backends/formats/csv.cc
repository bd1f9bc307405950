#include "workers/backends/formats/csv.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace sextant::backends::formats {
namespace {

// What ParseNumber accepts is far shorter.
constexpr size_t kMaxNumberBytes = 64;

// Digits, signs, point and exponent only: no hexadecimal, and commas only between three digits.
std::optional<std::string> Digits(std::string_view text) {
  std::string digits;
  size_t since_comma = 0;
  bool grouped = false, fraction = false;
  for (const char c : text) {
    if (c == ',') {
      if (fraction || since_comma == 0 || (grouped && since_comma != 3) || since_comma > 3)
        return std::nullopt;
      grouped = true;
      since_comma = 0;
      continue;
    }
    if (absl::ascii_isdigit(static_cast<unsigned char>(c))) {
      ++since_comma;
    } else if (c == '.' || c == 'e' || c == 'E') {
      if (grouped && !fraction && since_comma != 3) return std::nullopt;
      fraction = true;
    } else if (c != '-' && c != '+') {
      return std::nullopt;
    }
    digits.push_back(c);
  }
  if (grouped && !fraction && since_comma != 3) return std::nullopt;
  return digits;
}

}  // namespace

bool CsvReader::SkipLine(std::string_view* line) {
  if (text_.empty()) return false;
  const size_t end = text_.find('\n');
  *line = text_.substr(0, end);
  text_ = end == std::string_view::npos ? std::string_view() : text_.substr(end + 1);
  if (!line->empty() && line->back() == '\r') line->remove_suffix(1);
  return true;
}

bool CsvReader::Next(CsvRow* row) {
  row->clear();
  while (!text_.empty() && (text_[0] == '\n' || text_[0] == '\r')) text_.remove_prefix(1);
  if (text_.empty()) return false;
  std::string field;
  bool quoted = false;
  size_t at = 0;
  for (; at < text_.size(); ++at) {
    const char c = text_[at];
    if (quoted) {
      if (c != '"') {
        field.push_back(c);
      } else if (at + 1 < text_.size() && text_[at + 1] == '"') {
        field.push_back('"');
        ++at;
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      row->push_back(std::move(field));
      field.clear();
    } else if (c == '\n') {
      break;
    } else {
      field.push_back(c);
    }
  }
  cut_off_ = at == text_.size();
  text_.remove_prefix(std::min(at + 1, text_.size()));
  if (!field.empty() && field.back() == '\r') field.pop_back();
  row->push_back(std::move(field));
  return true;
}

CsvHeader::CsvHeader(const CsvRow& header) {
  for (size_t i = 0; i < header.size(); ++i) columns_.emplace(header[i], i);
}

std::optional<size_t> CsvHeader::Find(const std::string& name) const {
  const auto found = columns_.find(name);
  if (found == columns_.end()) return std::nullopt;
  return found->second;
}

std::string_view CsvHeader::Field(const CsvRow& row, std::optional<size_t> column) {
  return column && *column < row.size() ? std::string_view(row[*column]) : std::string_view();
}

std::optional<double> ParseNumber(std::string_view text) {
  const absl::string_view stripped =
      absl::StripAsciiWhitespace(absl::string_view(text.data(), text.size()));
  if (stripped.empty() || stripped.size() > kMaxNumberBytes) return std::nullopt;
  if (stripped == "nan" || stripped == "-nan") return std::nan("");
  if (stripped == "inf") return HUGE_VAL;
  if (stripped == "-inf") return -HUGE_VAL;
  const auto digits = Digits({stripped.data(), stripped.size()});
  double value = 0;
  if (!digits || !absl::SimpleAtod(*digits, &value)) return std::nullopt;
  return value;
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  const absl::string_view stripped =
      absl::StripAsciiWhitespace(absl::string_view(text.data(), text.size()));
  if (stripped.empty() || stripped.size() > kMaxNumberBytes) return std::nullopt;
  const auto digits = Digits({stripped.data(), stripped.size()});
  int64_t value = 0;
  if (!digits || !absl::SimpleAtoi(*digits, &value)) return std::nullopt;
  return value;
}

}  // namespace sextant::backends::formats
