#include "client/mcp/values.h"

#include <cmath>

#include "tests/catch.h"

namespace sextant::mcp {

TEST_CASE("numbers have four significant digits, and what is not known is null") {
  CHECK(Dump(Number(NAN)) == "null");
  CHECK(Dump(Number(INFINITY)) == "null");
  CHECK(Dump(Number(0)) == "0");
  CHECK(Dump(Number(9327541.2)) == "9328000");
  CHECK(Dump(Number(0.123456)) == "0.1235");
  CHECK(Dump(Number(-3)) == "-3");
}

TEST_CASE("text of a workload keeps its letters and loses what a reader does not see") {
  CHECK(Clean("mm_kernel<float, 64>") == "mm_kernel<float, 64>");
  CHECK(Clean("größe λ") == "größe λ");
  CHECK(Clean("a\nb\tc") == "a b c");
  CHECK(Clean(std::string("a\0b\x1b[31m", 8)) == "a�b�[31m");
  CHECK(Clean("a\xE2\x80\xAE" "b") == "a�b");             // right-to-left override
  CHECK(Clean("a\xE2\x80\x8B" "b") == "a�b");             // zero width
  CHECK(Clean("a\xF3\xA0\x81\xA9" "b") == "a�b");         // tags
  CHECK(Clean("\xff\xc0\x80\xed\xa0\x80") == "������");   // not UTF-8
  CHECK(Clean("\xE2\x82") == "��");
}

TEST_CASE("long text is cut between characters, and says so") {
  CHECK(Clean(std::string(200, 'x'), 10) == "xxxxxxxxxx…");
  CHECK(Clean("ääääää", 5) == "ää…");
  CHECK(Clean("exact", 5) == "exact");
}

TEST_CASE("of a long name begin and end are kept, and it can be recognised") {
  const std::string one = "void at::native::multi_tensor_apply_kernel<TensorListMetadata<2>, std::plus<float>, float>";
  const std::string other = "void at::native::multi_tensor_apply_kernel<TensorListMetadata<2>, std::divides<float>, float>";
  CHECK(Name(one, 60) == "void at::native::multi_tensor_apply_…std::plus<float>, float>");
  CHECK(Name(one, 60) != Name(other, 60));
  CHECK(IsShort(Name(one, 60), one));
  CHECK_FALSE(IsShort(Name(one, 60), other));
  CHECK(Name("short") == "short");
  CHECK(IsShort("short", "short"));
  CHECK(Name("ääääääääää", 10) == "äää…ää");
}

TEST_CASE("tokens are counted as a model does at the most") {
  CHECK(Tokens("") == 0);
  CHECK(Tokens("duration") == 2);
  CHECK(Tokens("two words") == 2);
  CHECK(Tokens("1234567") == 3);
  CHECK(Tokens("\",\"") == 1);
  CHECK(Tokens("{\"role\":\"consumer\",\"duration_ns\":[472.8,501.8]}") == 19);   // cl100k_base: 16
}

TEST_CASE("an answer is fitted by shortening its longest lists, and says how much was left out") {
  Json answer;
  answer["answer"] = "x";
  for (int i = 0; i < 100; ++i) answer["rows"].push_back({{"name", "row number " + std::to_string(i)}});
  answer["few"] = Json::array({1, 2, 3});
  Fit(300, &answer);
  CHECK(Tokens(Dump(answer)) <= 300);
  CHECK(answer["few"].size() == 3);
  CHECK(answer["rows"][0]["name"] == "row number 0");
  CHECK(answer["left_out"]["rows"].get<int>() == 100 - static_cast<int>(answer["rows"].size()));
  const std::string once = Dump(answer);
  Fit(300, &answer);
  CHECK(Dump(answer) == once);
}

}  // namespace sextant::mcp
