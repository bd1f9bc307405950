#include <cmath>

#include "tests/catch.h"
#include "workers/backends/formats/csv.h"
#include "workers/backends/formats/kernel_name.h"
#include "workers/backends/formats/xml.h"

namespace sextant::backends::formats {
namespace {

std::vector<CsvRow> Rows(std::string_view text) {
  CsvReader reader(text);
  std::vector<CsvRow> rows;
  for (CsvRow row; reader.Next(&row);) rows.push_back(row);
  return rows;
}

TEST_CASE("a CSV field may hold commas, quotes and line breaks") {
  CHECK(Rows("a,b\r\n\"1,2\",\"say \"\"hi\"\"\"\n\"two\nlines\",\n") ==
        std::vector<CsvRow>{{"a", "b"}, {"1,2", "say \"hi\""}, {"two\nlines", ""}});
  CHECK(Rows("last,line") == std::vector<CsvRow>{{"last", "line"}});
  CHECK(Rows("\n\n").empty());
  CHECK(Rows("\"never closed, and\nso on") == std::vector<CsvRow>{{"never closed, and\nso on"}});
}

TEST_CASE("numbers are read with and without commas between thousands") {
  CHECK(ParseNumber("1,056") == 1056.0);
  CHECK(ParseNumber("842,863,784,961.86") == 842863784961.86);
  CHECK(ParseNumber("-0.5") == -0.5);
  CHECK(ParseNumber(" 12 ") == 12.0);
  CHECK(std::isnan(*ParseNumber("nan")));
  for (const char* text : {"", "no data", "1,05", "1,0567", ",105", "1056,", "0x10", "(256, 1, 1)",
                           "1,056,7.5", "--1", "e", "1.2.3", "12345,678"}) {
    INFO(text);
    CHECK_FALSE(ParseNumber(text).has_value());
  }
  CHECK(ParseInteger("1,980,000") == 1980000);
  CHECK_FALSE(ParseInteger("1.5").has_value());
  CHECK_FALSE(ParseInteger("99999999999999999999").has_value());
}

TEST_CASE("only mangled names are demangled") {
  CHECK(Demangle("_Z13out_of_boundsPii") == "out_of_bounds(int*, int)");
  CHECK(Demangle("_ZN32_GLOBAL__N__af49f49d_7_good_cu_f5scaleIfEEvPT_S1_i").find("scale<float>") !=
        std::string::npos);
  CHECK(Demangle("f") == "f");
  CHECK(Demangle("i") == "i");
  CHECK(Demangle("_Zgarbage\x01") == "_Zgarbage\x01");
  const std::string deep = "_Z1f" + std::string(200'000, 'P') + "i";
  CHECK(Demangle(deep) == deep);
}

// The names of the children, or the error.
std::string Names(std::string_view text) {
  XmlReader reader(text);
  XmlElement child;
  std::string names;
  for (;;) {
    const auto more = reader.Next(&child);
    if (!more.ok())
      return names + "!" + std::string(absl::StatusCodeToString(more.status().code()));
    if (!*more) return names;
    names += child.name + "(" + child.text + ")";
  }
}

TEST_CASE("the children of an XML document come one by one") {
  CHECK(Names("<?xml version=\"1.0\"?>\n<!-- > --><R a='1'><a> x &lt;&amp;&quot; </a><b/></R>") ==
        "a(x <&\")b()");
  CHECK(Names("<R/>").empty());
  XmlReader reader("<R><a><b><c>deep</c></b></a></R>");
  XmlElement child;
  REQUIRE(*reader.Next(&child));
  CHECK(child["b"]["c"].text == "deep");
  CHECK(child["b"]["none"]["at"]["all"].empty());
}

TEST_CASE("what is no XML is an error, wherever it stops") {
  CHECK(Names("") == "!DATA_LOSS");
  CHECK(Names("text") == "!DATA_LOSS");
  CHECK(Names("<R><a>x</a><b>") == "a(x)!DATA_LOSS");
  CHECK(Names("<R><a>x</b></R>") == "!INVALID_ARGUMENT");
  CHECK(Names("</R>") == "!INVALID_ARGUMENT");
  CHECK(Names("<R><></R>") == "!INVALID_ARGUMENT");
  CHECK(Names("<R></S>") == "!INVALID_ARGUMENT");
  std::string deep = "<R>";
  for (int i = 0; i < 100; ++i) deep += "<a>";
  CHECK(Names(deep) == "!INVALID_ARGUMENT");
  std::string many = "<R><a>";
  for (size_t i = 0; i <= kMaxXmlElements; ++i) many += "<b/>";
  CHECK(Names(many + "</a></R>") == "!INVALID_ARGUMENT");
}

}  // namespace
}  // namespace sextant::backends::formats
