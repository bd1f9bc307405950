#include "proto/table/table.h"

#include <cmath>

#include "absl/strings/match.h"
#include "tests/catch.h"

namespace sextant::table {
namespace {

v1::DataTable Launches() {
  Builder builder("launches");
  const auto kernel = builder.Text("kernel");
  const auto duration = builder.Int("duration_ns", "ns");
  const auto occupancy = builder.Number("occupancy_pct", "%");
  builder.Set(kernel, "matmul");
  builder.Set(duration, -5);
  builder.EndRow();
  builder.Set(kernel, "copy");
  builder.Set(occupancy, 50);
  builder.EndRow();
  builder.Set(kernel, "matmul");
  builder.EndRow();
  return builder.Finish();
}

TEST_CASE("a table comes back as it was built") {
  const auto decoded = DecodeUntrusted(Encode(Launches()));
  REQUIRE(decoded.ok());
  CHECK(decoded->rows() == 3);
  const v1::DataColumn* kernel = Find(*decoded, "kernel");
  REQUIRE(kernel != nullptr);
  CHECK(TextAt(*kernel, 0) == "matmul");
  CHECK(TextAt(*kernel, 1) == "copy");
  CHECK(kernel->texts(0) == kernel->texts(2));
  const v1::DataColumn* duration = Find(*decoded, "duration_ns");
  REQUIRE(duration != nullptr);
  CHECK(duration->unit() == "ns");
  CHECK(NumberAt(*duration, 0) == -5);
  CHECK(NumberAt(*duration, 1) == 0);
  const v1::DataColumn* occupancy = Find(*decoded, "occupancy_pct");
  REQUIRE(occupancy != nullptr);
  CHECK(std::isnan(NumberAt(*occupancy, 0)));
  CHECK(NumberAt(*occupancy, 1) == 50);
  CHECK(Find(*decoded, "nothing") == nullptr);
}

TEST_CASE("a table without rows is a table") {
  Builder builder("launches");
  builder.Int("duration_ns", "ns");
  builder.Text("kernel");
  CHECK(DecodeUntrusted(Encode(builder.Finish())).ok());
}

TEST_CASE("a hostile name in a table is only a printable name") {
  Builder builder("launches");
  const auto kernel = builder.Text("kernel");
  builder.Set(kernel, "a\nb\x01\xff");
  builder.EndRow();
  const auto table = DecodeUntrusted(Encode(builder.Finish()));
  REQUIRE(table.ok());
  CHECK(TextAt(table->columns(0), 0).find('\n') == std::string_view::npos);
}

TEST_CASE("what is wrong in a table is named") {
  const auto refused = [](void (*spoil)(v1::DataTable&), const char* what) {
    v1::DataTable table = Launches();
    spoil(table);
    const auto decoded = DecodeUntrusted(Encode(table));
    REQUIRE_FALSE(decoded.ok());
    INFO(decoded.status().message());
    CHECK(absl::StrContains(decoded.status().message(), what));
  };
  refused([](v1::DataTable& t) { t.set_rows(4); }, "launches.kernel has 3 entries");
  refused([](v1::DataTable& t) { t.mutable_columns(0)->set_texts(1, 9); }, "text 9 of 3");
  refused([](v1::DataTable& t) { t.mutable_columns(1)->set_name("kernel"); }, "kernel is there twice");
  refused([](v1::DataTable& t) { t.mutable_columns(1)->set_name("a\nb"); }, "printable");
  refused([](v1::DataTable& t) { t.mutable_columns(0)->set_dictionary(1, "\x02"); }, "printable");
  refused([](v1::DataTable& t) { t.mutable_columns(1)->add_numbers(1); }, "kinds");
  refused([](v1::DataTable& t) { t.clear_name(); }, "name has 0 bytes");
  CHECK_FALSE(DecodeUntrusted("").ok());
  CHECK_FALSE(DecodeUntrusted("no frame at all").ok());
  const std::string whole = Encode(Launches());
  for (size_t size = 0; size < whole.size(); ++size) {
    CHECK_FALSE(DecodeUntrusted(whole.substr(0, size)).ok());
  }
}

}  // namespace
}  // namespace sextant::table
