#include "server/http/url.h"

#include "tests/catch.h"

namespace sextant::http {
namespace {

absl::Status Parse(const std::string& target, std::string* path,
                   std::multimap<std::string, std::string>* query) {
  path->clear();
  query->clear();
  return ParseTarget(target, path, query);
}

}  // namespace

TEST_CASE("a target's path and query are decoded") {
  std::string path;
  std::multimap<std::string, std::string> query;
  REQUIRE(Parse("/a%20b/%C3%A4?x=1%2B2&y=a+b&x=3&empty", &path, &query).ok());
  CHECK(path == "/a b/ä");
  CHECK(query.find("x")->second == "1+2");
  CHECK(query.count("x") == 2);
  CHECK(query.find("y")->second == "a b");
  CHECK(query.find("empty")->second.empty());
}

TEST_CASE("a target that could mean another place is refused") {
  std::string path;
  std::multimap<std::string, std::string> query;
  for (const char* target : {"", "a", "http://host/a", "*", "/%", "/%4", "/%zz", "/a/../b", "/..",
                             "/%2e%2e/etc", "/a/./b", "/a%00b", "/a%0d%0ab", "/?x=%"}) {
    INFO(target);
    CHECK(absl::IsInvalidArgument(Parse(target, &path, &query)));
  }
}

}  // namespace sextant::http
