#include "server/access/secret.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "tests/catch.h"

namespace sextant::access {

TEST_CASE("a token is found in its header again, and fits its hash alone") {
  const TokenText token = NewToken();
  CHECK(IsTokenId(token.id));
  CHECK(token.secret.size() == 64);
  for (const char* scheme : {"Bearer ", "bearer ", "BEARER  "}) {
    const auto found = FromAuthorization(absl::StrCat(scheme, token.Whole()));
    REQUIRE(found.has_value());
    CHECK(found->id == token.id);
    CHECK(Fits(found->secret, HashOf(token.secret)));
  }
  CHECK_FALSE(Fits(NewToken().secret, HashOf(token.secret)));
  CHECK_FALSE(Fits("", HashOf(token.secret)));
  CHECK_FALSE(Fits(token.secret, ""));
  CHECK(HashOf("abc") != "abc");
}

TEST_CASE("what is not of a token's form is no token") {
  const std::string whole = NewToken().Whole();
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Bearer "), whole, absl::StrCat("Basic ", whole),
        absl::StrCat("Bearer ", whole, "0"), absl::StrCat("Bearer ", whole.substr(1)),
        absl::StrCat("Bearer ", whole.substr(0, whole.size() - 1), "G"),
        absl::StrCat("Bearer sx_", std::string(100'000, 'a')), absl::StrCat("Bearer ", whole, " ", whole)}) {
    INFO(header.substr(0, 100));
    CHECK_FALSE(FromAuthorization(header).has_value());
  }
  CHECK_FALSE(IsTokenId("sx_4F3A00000000"));
  CHECK_FALSE(IsTokenId("sx_"));
}

TEST_CASE("no two tokens are the same") {
  std::set<std::string> ids, secrets;
  for (int i = 0; i < 1000; ++i) {
    const TokenText token = NewToken();
    ids.insert(token.id);
    secrets.insert(token.secret);
  }
  CHECK(ids.size() == 1000);
  CHECK(secrets.size() == 1000);
}

}  // namespace sextant::access
