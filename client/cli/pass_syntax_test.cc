#include "client/cli/pass_syntax.h"

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/catch.h"

namespace sextant::cli {
namespace {

// Lines of testdata/pass_syntax.txt, split at '|'.
std::vector<std::vector<std::string>> Cases() {
  std::ifstream file("client/cli/testdata/pass_syntax.txt");
  std::vector<std::vector<std::string>> cases;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') cases.push_back(absl::StrSplit(line, '|'));
  }
  return cases;
}

TEST_CASE("a pass is a backend, options and a number of repetitions") {
  int read = 0;
  for (const std::vector<std::string>& c : Cases()) {
    if (c.at(1) == "!") continue;
    ++read;
    INFO(c[0]);
    const auto spec = ParsePass(c[0]);
    REQUIRE(spec.ok());
    CHECK(spec->backend() == c[1]);
    CHECK(absl::StrCat(spec->repeat()) == c.at(2));
    std::map<std::string, std::string> expected;
    for (absl::string_view pair : absl::StrSplit(c.at(3), ';', absl::SkipEmpty())) {
      expected.insert(absl::StrSplit(pair, absl::MaxSplits('=', 1)));
    }
    CHECK(std::map<std::string, std::string>(spec->options().begin(), spec->options().end()) == expected);
  }
  CHECK(read > 10);
}

TEST_CASE("bad syntax names the place") {
  int refused = 0;
  for (const std::vector<std::string>& c : Cases()) {
    if (c.at(1) != "!") continue;
    ++refused;
    INFO(c[0]);
    const auto spec = ParsePass(c[0]);
    REQUIRE_FALSE(spec.ok());
    CHECK(spec.status().code() == absl::StatusCode::kInvalidArgument);
    const std::string message(spec.status().message());
    CHECK(message.find(c.at(3)) != std::string::npos);
    const std::string caret = absl::StrCat("\n  ", c[0], "\n  ", std::string(std::stoi(c.at(2)), ' '), "^");
    CHECK(message.find(caret) != std::string::npos);
  }
  CHECK(refused > 10);
}

TEST_CASE("the message about a bad pass holds no control characters") {
  const auto spec = ParsePass("host\x1b[31m*2");
  REQUIRE_FALSE(spec.ok());
  CHECK(std::string(spec.status().message()).find('\x1b') == std::string::npos);
}

}  // namespace
}  // namespace sextant::cli
