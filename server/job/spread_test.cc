#include "server/job/spread.h"

#include "tests/catch.h"

namespace sextant::job {
namespace {

v1::PassSpec Spec(const char* backend, std::map<std::string, std::string> options, uint32_t repeat) {
  v1::PassSpec spec;
  spec.set_backend(backend);
  spec.set_repeat(repeat);
  for (const auto& [name, value] : options) (*spec.mutable_options())[name] = value;
  return spec;
}

TEST_CASE("split scopes become a kind of passes for each part, as many passes in all") {
  const auto parts = Spread(Spec("scopes", {{"split", "3"}, {"ctas", "1/8"}}, 20));
  REQUIRE(parts.size() == 3);
  for (size_t i = 0; i < parts.size(); ++i) {
    CHECK(parts[i].options().at("part") == std::to_string(i + 1));
    CHECK(parts[i].options().at("split") == "3");
    CHECK(parts[i].options().at("ctas") == "1/8");
    CHECK(parts[i].repeat() == 7);
    CHECK(parts[i].optional());
  }
}

TEST_CASE("counters replayed by running the program again become a pass for each hardware pass") {
  const auto parts = Spread(Spec("counters", {{"replay", "application"}, {"set", "ipc+memory"}}, 2));
  REQUIRE(parts.size() == 5);
  CHECK_FALSE(parts[0].optional());
  CHECK(parts[4].optional());
  CHECK(parts[4].options().at("part") == "5");
  CHECK(parts[4].repeat() == 2);
  CHECK(Spread(Spec("counters", {{"replay", "application"}, {"metrics", "a.sum+b.sum"}}, 1)).size() == 2);
}

TEST_CASE("passes that say which part they are, and all others, stay as they are") {
  CHECK(Spread(Spec("scopes", {{"split", "3"}, {"part", "2"}}, 4)).size() == 1);
  CHECK(Spread(Spec("scopes", {}, 20)).size() == 1);
  CHECK(Spread(Spec("scopes", {{"split", "many"}}, 20)).size() == 1);
  CHECK(Spread(Spec("counters", {{"set", "stalls"}}, 1)).size() == 1);
  CHECK(Spread(Spec("counters", {{"replay", "application"}, {"set", "ipc"}}, 1)).size() == 1);
}

}  // namespace
}  // namespace sextant::job
