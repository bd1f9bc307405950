#include "server/analysis/pictures/text_pictures.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

size_t Columns(absl::string_view text) {
  size_t columns = 0;
  for (const char c : text) columns += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return columns;
}

TEST_CASE("a bar fills in eighths") {
  CHECK(TextBar(0, 4) == "    ");
  CHECK(TextBar(0.5, 4) == "██  ");
  CHECK(TextBar(0.53125, 4) == "██▏ ");
  CHECK(TextBar(7, 4) == "████");
  CHECK(TextBar(NAN, 4) == "    ");
  CHECK(TextBar(-1, 4) == "    ");
}

TEST_CASE("a spark line joins values by their mean and leaves nothing blank that is something") {
  google::protobuf::RepeatedField<double> values;
  for (const double value : {0.0, 1.0, 4.0, 8.0}) values.Add(value);
  CHECK(TextSpark(values, 10) == " ▁▄█");
  CHECK(TextSpark(values, 2) == "▁█");
  values.Set(1, NAN);
  CHECK(TextSpark(values, 4) == "  ▄█");
  CHECK(TextSpark({}, 4).empty());
}

TEST_CASE("regions cover the columns in which their median instances run") {
  v1::Timeline timeline;
  for (const double q : {0.2, 0.5, 0.8}) timeline.add_quantiles(q);
  v1::RoleLane* lane = timeline.add_lanes();
  lane->set_role("consumer");
  const auto add = [&](const std::string& region, double begin, double end) {
    v1::InstanceStat* one = lane->add_instances();
    one->set_region(region);
    for (int i = 0; i < 3; ++i) one->add_start_ns(begin), one->add_end_ns(end);
  };
  add("load", 0, 350);
  add("mma", 350, 700);
  const std::vector<std::string> rows = absl::StrSplit(TextTimeline(timeline), '\n');
  REQUIRE(rows.size() == 4);   // two regions, the axis, what follows the last line
  CHECK(absl::StartsWith(rows[0], "consumer/load "));
  CHECK(absl::StrContains(rows[0], "│████"));
  CHECK(absl::StrContains(rows[1], "████│"));
  for (int i = 0; i < 2; ++i) CHECK(Columns(rows[i]) == 100);
  CHECK(absl::StrContains(rows[2], "200 ns"));
  // A role with a long name gives way to the region.
  lane->set_role("wait_full+mma+epilogue of a consumer");
  CHECK(absl::StartsWith(TextTimeline(timeline), "wait_full+mma+epilogue…/load│"));
  // Many regions, long and hostile names, times that are not known.
  for (int i = 0; i < 30; ++i) add(absl::StrCat(std::string(300, 'x'), "\n```", i), 10 * i, 20 * i + 5);
  add("never", NAN, NAN);
  const std::string text = TextTimeline(timeline);
  CHECK(absl::StrContains(text, "16 regions that take less are left out"));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) CHECK(Columns(line) <= 106);
  CHECK(TextTimeline(v1::Timeline()).empty());
  CHECK(TextOccupancy(v1::OccupancyOverTime()).empty());
}

}  // namespace
}  // namespace sextant::analysis
