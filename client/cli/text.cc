#include "client/cli/text.h"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace sextant::cli {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 1;
  bool valid = false;
};

// Reads the code point at the front; overlong forms, surrogates and stray bytes are invalid.
CodePoint Front(absl::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char b = byte(0);
  if (b < 0x80) return {b, 1, true};
  size_t n = b >= 0xF0 && b <= 0xF4 ? 4 : b >= 0xE0 && b < 0xF0 ? 3 : b >= 0xC2 && b < 0xE0 ? 2 : 0;
  if (n == 0 || s.size() < n) return {b, 1, false};
  uint32_t v = b & (0xFF >> (n + 1));
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {b, 1, false};
    v = v << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (n == 3 && v < 0x800) || (n == 4 && v < 0x10000);
  if (overlong || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000)) return {b, 1, false};
  return {v, n, true};
}

bool Hidden(uint32_t c) {
  return (c >= 0x80 && c < 0xA0) || c == 0xAD || c == 0x61C || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
         (c >= 0xFFF0 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

size_t WidthOf(uint32_t c) {
  if ((c >= 0x300 && c <= 0x36F) || (c >= 0x1AB0 && c <= 0x1AFF) || (c >= 0x20D0 && c <= 0x20FF) ||
      (c >= 0xFE00 && c <= 0xFE0F)) {
    return 0;
  }
  const bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) ||
                    (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
                    (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                    (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFD);
  return wide ? 2 : 1;
}

std::string EscapeKeeping(absl::string_view text, absl::string_view keep) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = Front(text);
    if (!c.valid) {
      absl::StrAppendFormat(&out, "\\x%02x", c.value);
    } else if (c.value < 0x20 || c.value == 0x7F) {
      const char ch = static_cast<char>(c.value);
      if (keep.find(ch) != absl::string_view::npos) {
        out += ch;
      } else if (ch == '\n') {
        out += "\\n";
      } else if (ch == '\t') {
        out += "\\t";
      } else if (ch == '\r') {
        out += "\\r";
      } else {
        absl::StrAppendFormat(&out, "\\x%02x", c.value);
      }
    } else if (Hidden(c.value)) {
      absl::StrAppendFormat(&out, "\\u{%x}", c.value);
    } else {
      absl::StrAppend(&out, text.substr(0, c.bytes));
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

}  // namespace

std::string Escape(absl::string_view text, size_t max_columns) {
  // Nothing is gained by escaping megabytes to show one line of it.
  const size_t bound = max_columns == 0 ? text.size() : max_columns * 8 + 16;
  std::string out = EscapeKeeping(text.substr(0, bound), "");
  if (max_columns == 0 || (Columns(out) <= max_columns && text.size() <= bound)) return out;
  return Cut(out, max_columns - 1) + "…";
}

std::string EscapeLines(absl::string_view text) { return EscapeKeeping(text, "\n\t"); }

size_t Columns(absl::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const CodePoint c = Front(text);
    columns += c.valid ? WidthOf(c.value) : 1;
    text.remove_prefix(c.bytes);
  }
  return columns;
}

std::string PadRight(absl::string_view text, size_t columns) {
  const size_t have = Columns(text);
  return absl::StrCat(text, std::string(have < columns ? columns - have : 0, ' '));
}

std::string PadLeft(absl::string_view text, size_t columns) {
  const size_t have = Columns(text);
  return absl::StrCat(std::string(have < columns ? columns - have : 0, ' '), text);
}

std::string Cut(absl::string_view text, size_t columns) {
  size_t used = 0, bytes = 0;
  while (bytes < text.size()) {
    const CodePoint c = Front(text.substr(bytes));
    const size_t w = c.valid ? WidthOf(c.value) : 1;
    if (used + w > columns) break;
    used += w;
    bytes += c.bytes;
  }
  return std::string(text.substr(0, bytes));
}

std::string Wrap(const std::vector<std::string>& words, absl::string_view separator, size_t columns,
                 absl::string_view indent) {
  std::string text, line;
  for (const std::string& word : words) {
    if (!line.empty() && Columns(line) + Columns(separator) + Columns(word) > columns) {
      absl::StrAppend(&text, line, "\n");
      line = std::string(indent) + word;
    } else {
      absl::StrAppend(&line, line.empty() ? "" : separator, word);
    }
  }
  return absl::StrCat(text, line, "\n");
}

std::string FormatNs(double ns, bool unicode) {
  if (!std::isfinite(ns)) return "-";
  const double size = std::fabs(ns);
  const auto digits = [](double v) { return std::fabs(v) >= 99.95 ? 0 : std::fabs(v) >= 9.995 ? 1 : 2; };
  if (size < 999.5) {
    return absl::StrFormat("%.*f ns", size < 9.95 && size != std::floor(size) ? 1 : 0, ns);
  }
  const char* micro = unicode ? "µs" : "us";
  if (size < 999.5e3) return absl::StrFormat("%.*f %s", digits(ns / 1e3), ns / 1e3, micro);
  if (size < 999.5e6) return absl::StrFormat("%.*f ms", digits(ns / 1e6), ns / 1e6);
  if (size < 120e9) return absl::StrFormat("%.*f s", digits(ns / 1e9), ns / 1e9);
  const int64_t seconds = std::llround(std::min(size / 1e9, 9e15));
  if (seconds < 7200) return absl::StrFormat("%d min %02d s", seconds / 60, seconds % 60);
  return absl::StrFormat("%d h %02d min", seconds / 3600, seconds % 3600 / 60);
}

std::string FormatBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double v = static_cast<double>(bytes);
  size_t unit = 0;
  while (v >= 1023.95 && unit + 1 < kUnits.size()) {
    v /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", v, kUnits[unit]);
}

std::string FormatCount(uint64_t n) {
  std::string digits = absl::StrCat(n);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return digits;
}

std::string FormatAge(uint64_t unix_ns, uint64_t now_unix_ns) {
  if (unix_ns == 0) return "-";
  if (now_unix_ns <= unix_ns) return "now";
  const uint64_t s = (now_unix_ns - unix_ns) / 1'000'000'000;
  if (s < 60) return absl::StrCat(s, " s ago");
  if (s < 3600) return absl::StrCat(s / 60, " min ago");
  if (s < 48 * 3600) return absl::StrCat(s / 3600, " h ago");
  return absl::StrCat(s / 86400, " d ago");
}

std::string FormatTime(uint64_t unix_ns) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixNanos(static_cast<int64_t>(unix_ns)), absl::UTCTimeZone());
}

std::string Plural(uint64_t n, absl::string_view one, absl::string_view many) {
  return absl::StrCat(FormatCount(n), " ", n == 1 ? one : many);
}

absl::StatusOr<uint64_t> ParseBytes(absl::string_view text) {
  size_t split = text.find_first_not_of("0123456789.");
  if (split == absl::string_view::npos) split = text.size();
  double value = 0;
  std::string unit = absl::AsciiStrToLower(text.substr(split));
  double factor = 0;
  if (unit.empty() || unit == "b") factor = 1;
  if (unit == "k" || unit == "kb" || unit == "kib") factor = 1024.0;
  if (unit == "m" || unit == "mb" || unit == "mib") factor = 1024.0 * 1024;
  if (unit == "g" || unit == "gb" || unit == "gib") factor = 1024.0 * 1024 * 1024;
  if (unit == "t" || unit == "tb" || unit == "tib") factor = 1024.0 * 1024 * 1024 * 1024;
  if (!absl::SimpleAtod(std::string(text.substr(0, split)), &value) || factor == 0 ||
      value * factor >= 9e18) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", Escape(text, 40), "\" is not a size; write 512M, 2G or bytes"));
  }
  return static_cast<uint64_t>(value * factor);
}

absl::StatusOr<double> ParseSeconds(absl::string_view text) {
  size_t split = text.find_first_not_of("0123456789.");
  if (split == absl::string_view::npos) split = text.size();
  const absl::string_view unit = text.substr(split);
  double factor = unit.empty() || unit == "s" ? 1 : unit == "ms" ? 1e-3 : unit == "m" || unit == "min" ? 60
                  : unit == "h" ? 3600 : unit == "d" ? 86400 : 0;
  double value = 0;
  if (!absl::SimpleAtod(std::string(text.substr(0, split)), &value) || factor == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", Escape(text, 40), "\" is not a time; write 90s, 1.5m, 2h or 250ms"));
  }
  return value * factor;
}

absl::StatusOr<std::vector<double>> ParseQuantiles(absl::string_view text) {
  std::vector<double> out;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    double q = 0;
    if (!absl::SimpleAtod(part, &q) || !(q >= 0 && q <= 1) || (!out.empty() && q <= out.back())) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", Escape(part, 40), "\" is not a quantile here; write numbers in [0, 1], "
                       "ascending, like .2,.5,.8"));
    }
    out.push_back(q);
  }
  return out;
}

std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

absl::StatusOr<std::string> ParseDigest(absl::string_view hex) {
  bool good = hex.size() == 64;
  for (char c : hex) good = good && absl::ascii_isxdigit(static_cast<unsigned char>(c));
  if (!good) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", Escape(hex, 70), "\" is not a digest; a digest has 64 hexadecimal digits"));
  }
  return absl::HexStringToBytes(hex);
}

uint64_t NowUnixNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace sextant::cli
