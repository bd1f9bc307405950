#include "client/cli/text.h"

#include "client/cli/progress.h"
#include "client/cli/table.h"
#include "tests/catch.h"

namespace sextant::cli {
namespace {

TEST_CASE("escaping leaves nothing a terminal acts on") {
  CHECK(Escape("plain µs 漢字") == "plain µs 漢字");
  CHECK(Escape("a\x1b[31mb") == "a\\x1b[31mb");
  CHECK(Escape("a\nb\tc\rd\x7f") == "a\\nb\\tc\\rd\\x7f");
  CHECK(Escape("\xff\xc0\xafok\xed\xa0\x80") == "\\xff\\xc0\\xafok\\xed\\xa0\\x80");
  CHECK(Escape("\xc2\x9b" "31m") == "\\u{9b}31m");
  CHECK(Escape("a\xe2\x80\xae" "b") == "a\\u{202e}b");
  CHECK(EscapeLines("a\n\tb\x1b") == "a\n\tb\\x1b");
}

TEST_CASE("escaped text is cut to columns, not bytes") {
  CHECK(Escape("abcdef", 4) == "abc…");
  CHECK(Columns(Escape("漢字漢字漢字", 6)) <= 6);
  CHECK(Escape(std::string(1 << 20, 'x'), 10) == "xxxxxxxxx…");
}

TEST_CASE("columns count what is seen") {
  CHECK(Columns("abc") == 3);
  CHECK(Columns("漢字") == 4);
  CHECK(Columns("e\xcc\x81") == 1);
  CHECK(PadRight("µs", 4) == "µs  ");
  CHECK(PadLeft("µs", 4) == "  µs");
}

TEST_CASE("times are written with three digits and their unit") {
  CHECK(FormatNs(0) == "0 ns");
  CHECK(FormatNs(850) == "850 ns");
  CHECK(FormatNs(2.5) == "2.5 ns");
  CHECK(FormatNs(12'345) == "12.3 µs");
  CHECK(FormatNs(12'345, false) == "12.3 us");
  CHECK(FormatNs(4'560'000) == "4.56 ms");
  CHECK(FormatNs(999'600'000) == "1.00 s");
  CHECK(FormatNs(123e9) == "2 min 03 s");
  CHECK(FormatNs(NAN) == "-");
}

TEST_CASE("sizes and counts are written for people") {
  CHECK(FormatBytes(512) == "512 B");
  CHECK(FormatBytes(1536) == "1.5 KiB");
  CHECK(FormatBytes(3ull << 30) == "3.0 GiB");
  CHECK(FormatCount(1234567) == "1,234,567");
  CHECK(FormatCount(12) == "12");
}

TEST_CASE("sizes, times and quantiles are read back") {
  CHECK(*ParseBytes("2G") == 2ull << 30);
  CHECK(*ParseBytes("1.5k") == 1536);
  CHECK(*ParseBytes("64MiB") == 64ull << 20);
  CHECK_FALSE(ParseBytes("2X").ok());
  CHECK_FALSE(ParseBytes("").ok());
  CHECK_FALSE(ParseBytes("99999999999T").ok());
  CHECK(*ParseSeconds("90") == 90);
  CHECK(*ParseSeconds("250ms") == 0.25);
  CHECK(*ParseSeconds("1.5m") == 90);
  CHECK_FALSE(ParseSeconds("soon").ok());
  CHECK(*ParseQuantiles(".1,.5,.9") == std::vector<double>{.1, .5, .9});
  CHECK(ParseQuantiles("")->empty());
  CHECK_FALSE(ParseQuantiles(".5,.1").ok());
  CHECK_FALSE(ParseQuantiles("1.5").ok());
  CHECK_FALSE(ParseQuantiles("nan").ok());
}

TEST_CASE("digests are 64 hexadecimal digits") {
  const std::string hex(64, 'a');
  CHECK(Hex(*ParseDigest(hex)) == hex);
  CHECK_FALSE(ParseDigest(hex.substr(1)).ok());
  CHECK_FALSE(ParseDigest(std::string(64, 'g')).ok());
}

TEST_CASE("a table aligns, escapes and cuts its cells") {
  Table table({{"name"}, {"n", Table::Align::kRight}});
  table.Add({"a\x1b", "1"});
  table.Add({"long name of something", "1000"});
  CHECK(table.Text(false) == "name                       n\na\\x1b                      1\nlong name of something  1000\n");
  CHECK(table.Text(false, "", 22) == "name                 n\na\\x1b                1\nlong name of so…  1000\n");
}

TEST_CASE("CSV quotes what needs it and nothing else") {
  Table table({{"a"}, {"b"}});
  table.Add({"x,y", "say \"hi\""});
  table.Add({"plain", "two\nlines"});
  CHECK(table.Csv() == "a,b\r\n\"x,y\",\"say \"\"hi\"\"\"\r\nplain,\"two\nlines\"\r\n");
}

TEST_CASE("the progress line tells passes, queue, cache, failures and the time left") {
  v1::JobInfo job;
  job.set_job_id(4);
  job.set_passes(20);
  job.set_passes_done(8);
  job.set_passes_cached(4);
  job.set_passes_running(2);
  job.set_passes_failed(1);
  job.set_started_unix_ns(1'000'000'000);
  Terminal pipe;
  CHECK(ProgressLine(job, 11'000'000'000, pipe) ==
        "job 4: 8/20 passes · 2 running · 9 queued · 4 cached · 1 failed · 22 s left");
  Terminal narrow;
  narrow.tty = true;
  narrow.width = 40;
  narrow.unicode = false;
  CHECK(ProgressLine(job, 0, narrow).find('\n') == std::string::npos);
}

}  // namespace
}  // namespace sextant::cli
