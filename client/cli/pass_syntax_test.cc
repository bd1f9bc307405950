#include "client/cli/pass_syntax.h"

#include <string>

#include "tests/catch.h"

namespace sextant::cli {
namespace {

TEST_CASE("a pass is a backend, options and a number of repetitions") {
  auto spec = ParsePass("host:counters=cycles+instructions,depth=3*20");
  REQUIRE(spec.ok());
  CHECK(spec->backend() == "host");
  CHECK(spec->options().at("counters") == "cycles+instructions");
  CHECK(spec->options().at("depth") == "3");
  CHECK(spec->repeat() == 20);
}

TEST_CASE("options and repetitions may be absent") {
  CHECK(ParsePass("run")->backend() == "run");
  CHECK(ParsePass("run")->repeat() == 0);
  CHECK(ParsePass("run*3")->repeat() == 3);
  CHECK(ParsePass("host:a=")->options().at("a").empty());
}

TEST_CASE("a third party backend keeps its two-part name") {
  auto spec = ParsePass("exec:my-tool:level=2*4");
  REQUIRE(spec.ok());
  CHECK(spec->backend() == "exec:my-tool");
  CHECK(spec->options().at("level") == "2");
  CHECK(spec->repeat() == 4);
}

TEST_CASE("a value may hold anything but a comma") {
  CHECK(ParsePass("host:match=a*b=c:d*2")->options().at("match") == "a*b=c:d");
}

TEST_CASE("a recording is named by its path") {
  const auto spec = ParsePass("replay:runs/a=b,c*d:e*3");
  REQUIRE(spec.ok());
  CHECK(spec->backend() == "replay");
  CHECK(spec->options().at("recording") == "runs/a=b,c*d:e");
  CHECK(spec->repeat() == 3);
  CHECK(ParsePass("replay:runs")->repeat() == 0);
}

TEST_CASE("bad syntax names the place") {
  struct Case {
    std::string text, message;
  };
  for (const Case& c : {Case{"", "expected the name of a backend"},
                        Case{"*3", "expected the name of a backend"},
                        Case{"host*", "\n  host*\n       ^"},
                        Case{"host*x2", "\n  host*x2\n       ^"},
                        Case{"host*0", "between 1 and"},
                        Case{"host*99999999999", "between 1 and"},
                        Case{"host counters", "\n  host counters\n      ^"},
                        Case{"host:", "\n  host:\n       ^"},
                        Case{"host:a", "\n  host:a\n        ^"},
                        Case{"host:a=1,", "\n  host:a=1,\n           ^"},
                        Case{"host:a=1,a=2", "given twice"},
                        Case{"exec*2", "expected \":NAME\""},
                        Case{"exec:", "name of the tool"},
                        Case{"replay", "\n  replay\n        ^"},
                        Case{"replay:", "like replay:DIR"},
                        Case{"replay:*2", "like replay:DIR"}}) {
    INFO(c.text);
    auto spec = ParsePass(c.text);
    REQUIRE_FALSE(spec.ok());
    CHECK(spec.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(std::string(spec.status().message()).find(c.message) != std::string::npos);
  }
}

TEST_CASE("the message about a bad pass holds no control characters") {
  const auto spec = ParsePass("host\x1b[31m*2");
  REQUIRE_FALSE(spec.ok());
  CHECK(std::string(spec.status().message()).find('\x1b') == std::string::npos);
}

}  // namespace
}  // namespace sextant::cli
