#include "client/mcp/schema.h"

#include "client/mcp/tool.h"
#include "tests/catch.h"

namespace sextant::mcp {
namespace {

std::string Wrong(const char* schema, const char* value) {
  const absl::Status status = Validate(Json::parse(schema), Json::parse(value));
  return status.ok() ? "" : std::string(status.message());
}

}  // namespace

TEST_CASE("arguments that fit their schema pass") {
  const char* schema = R"({"type":"object","properties":{"id":{"type":"integer","minimum":1},
      "names":{"type":"array","items":{"type":"string"},"maxItems":2}},"required":["id"],"additionalProperties":false})";
  CHECK(Wrong(schema, R"({"id":1})").empty());
  CHECK(Wrong(schema, R"({"id":1.0,"names":["a","b"]})").empty());
  CHECK(Wrong(schema, R"({"id":1,"names":null})").empty());
}

TEST_CASE("an argument that does not fit is named with what is expected") {
  const char* schema = R"({"type":"object","properties":{"id":{"type":"integer","minimum":1},
      "by":{"type":"string","enum":["line","sass"],"maxLength":4},
      "list":{"type":"array","items":{"type":"object","properties":{"x":{"type":"number"}},"required":["x"]},"maxItems":1}},
      "required":["id"],"additionalProperties":false})";
  CHECK(Wrong(schema, R"([])") == "arguments: expected a JSON object");
  CHECK(Wrong(schema, R"({})") == "id: is required");
  CHECK(Wrong(schema, R"({"id":null})") == "id: is required");
  CHECK(Wrong(schema, R"({"id":"7"})") == "id: expected a whole number");
  CHECK(Wrong(schema, R"({"id":1.5})") == "id: expected a whole number");
  CHECK(Wrong(schema, R"({"id":0})") == "id: expected at least 1");
  CHECK(Wrong(schema, R"({"id":1,"by":"word"})") == R"(by: expected one of ["line","sass"])");
  CHECK(Wrong(schema, R"({"id":1,"job":2})") == "job: there is no such argument; there are id, by, list");
  CHECK(Wrong(schema, R"({"id":1,"list":[{}]})") == "list[0].x: is required");
  CHECK(Wrong(schema, R"({"id":1,"list":[{"x":1},{"x":2}]})") == "list: expected at most 1 items");
}

TEST_CASE("every tool has schemas, a name that clients accept, and one way to be asked") {
  CHECK(Tools().size() <= 15);
  size_t bytes = 0;
  for (const Tool& tool : Tools()) {
    INFO(tool.name);
    CHECK(Json::parse(tool.input)["type"] == "object");
    CHECK(Json::parse(tool.input)["additionalProperties"] == false);
    CHECK(Json::parse(tool.output)["type"] == "object");
    CHECK((tool.ask == nullptr) != (tool.begin == nullptr));
    CHECK(std::string(tool.name).find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos);
    bytes += std::string(tool.input).size() + std::string(tool.description).size();
  }
  CHECK(bytes < 12'000);   // what every conversation pays
}

}  // namespace sextant::mcp
