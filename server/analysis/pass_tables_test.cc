#include "server/analysis/pass_tables.h"

#include "absl/strings/match.h"
#include "proto/table/table.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

v1::DataTable Numbers(int rows) {
  table::Builder builder("numbers");
  const auto word = builder.Text("word");
  const auto n = builder.Int("n", "ns");
  const auto half = builder.Number("half");
  for (int i = 0; i < rows; ++i) {
    builder.Set(word, i % 2 == 0 ? "even" : "odd");
    builder.Set(n, i);
    builder.Set(half, i / 2.0);
    builder.EndRow();
  }
  return builder.Finish();
}

TEST_CASE("a slice of a table is a table of those rows and columns") {
  const auto slice = SliceTable(Numbers(10), 3, 2, {"n", "word"});
  REQUIRE(slice.ok());
  CHECK(table::Check(*slice).ok());
  REQUIRE(slice->columns_size() == 2);
  CHECK(slice->columns(0).name() == "n");
  CHECK(slice->columns(0).unit() == "ns");
  CHECK(slice->columns(0).ints(0) == 3);
  CHECK(table::TextAt(slice->columns(1), 0) == "odd");
  CHECK(table::TextAt(slice->columns(1), 1) == "even");

  CHECK(SliceTable(Numbers(10), 8, 100, {})->rows() == 2);
  CHECK(SliceTable(Numbers(10), 100, 100, {})->rows() == 0);
  CHECK(table::Check(*SliceTable(Numbers(10), 100, 100, {})).ok());
  CHECK(SliceTable(Numbers(1), 0, 9, {})->columns(0).dictionary_size() == 1);
}

TEST_CASE("a column that is not there is named with those that are") {
  const auto status = SliceTable(Numbers(1), 0, 1, {"m"}).status();
  CHECK(absl::IsNotFound(status));
  CHECK(absl::StrContains(status.message(), "has no column \"m\"; it has word, n, half"));
}

TEST_CASE("the tables of a pass are its artifacts of that kind") {
  v1::PassInfo pass;
  const auto add = [&](const char* name, const char* kind) {
    auto* artifact = pass.mutable_result()->add_artifacts();
    artifact->set_name(name);
    artifact->set_kind(kind);
  };
  add("launches.table", "table");
  add("stdout", "log");
  add("x.table", "output");
  CHECK(PassTables::Names(pass) == std::vector<std::string>{"launches"});
}

}  // namespace
}  // namespace sextant::analysis
