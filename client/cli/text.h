// Text for people: escaping what is not trusted, padding, units, and reading units back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sextant::cli {

// `text` with everything a terminal could act on written visibly: control characters as \n, \t, \xNN,
// invalid UTF-8 as \xNN, bidirectional and zero-width characters as \u{…}. Never longer than
// `max_columns` columns (0: no bound); what is cut ends in "…".
std::string Escape(absl::string_view text, size_t max_columns = 0);

// Like Escape, but keeps line feeds and tabs: for text of several lines.
std::string EscapeLines(absl::string_view text);

// Columns that escaped UTF-8 text takes on a terminal.
size_t Columns(absl::string_view text);

// `text` filled with spaces to `columns`; longer text is left as it is.
std::string PadRight(absl::string_view text, size_t columns);
std::string PadLeft(absl::string_view text, size_t columns);

// The first code points of `text` that fit into `columns`.
std::string Cut(absl::string_view text, size_t columns);

// Lays words out in lines of at most `columns`; further lines begin with `indent`. Ends in a line feed.
std::string Wrap(const std::vector<std::string>& words, absl::string_view separator, size_t columns,
                 absl::string_view indent);

// "850 ns", "12.3 µs", "4.56 ms", "1.20 s", "2 min 03 s". `unicode` false writes "us".
std::string FormatNs(double ns, bool unicode = true);
// "512 B", "1.5 KiB", "3.0 GiB".
std::string FormatBytes(uint64_t bytes);
// "12,345".
std::string FormatCount(uint64_t n);
// "3 s ago", "5 min ago", "2 d ago"; "-" for 0.
std::string FormatAge(uint64_t unix_ns, uint64_t now_unix_ns);
// "2026-11-26 10:07:31 UTC".
std::string FormatTime(uint64_t unix_ns);
// "2 passes", "1 pass".
std::string Plural(uint64_t n, absl::string_view one, absl::string_view many);

// "2G", "512M", "64KiB", "100" (bytes). Powers of 1024.
absl::StatusOr<uint64_t> ParseBytes(absl::string_view text);
// "60", "60s", "1.5m", "2h", "30d", "250ms".
absl::StatusOr<double> ParseSeconds(absl::string_view text);
// ".1,.5,.9": numbers in [0, 1], ascending.
absl::StatusOr<std::vector<double>> ParseQuantiles(absl::string_view text);

std::string Hex(absl::string_view bytes);
// 64 hexadecimal digits, or an unambiguous reading of none of them: INVALID_ARGUMENT.
absl::StatusOr<std::string> ParseDigest(absl::string_view hex);

uint64_t NowUnixNs();

}  // namespace sextant::cli
