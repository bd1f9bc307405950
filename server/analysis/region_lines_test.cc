// Lines of regions from what Triton made of testdata/scoped.py, and from its source.
#include "server/analysis/region_lines.h"

#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/analysis/line_regions.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

std::string File(const std::string& name) {
  std::ifstream file("server/analysis/testdata/" + name);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// "load 22-25 in -", in order of their lines.
std::vector<std::string> Text(const FoundLines& found) {
  std::vector<std::pair<uint32_t, std::string>> rows;
  for (const RegionLines& one : found.regions)
    rows.emplace_back(one.first, absl::StrCat(one.region, " ", one.first, "-", one.last, " in ",
                                              one.parent < 0 ? "-" : found.regions[static_cast<size_t>(one.parent)].region));
  std::sort(rows.begin(), rows.end());
  std::vector<std::string> text;
  for (auto& [line, row] : rows) text.push_back(std::move(row));
  return text;
}

FoundLines Mlir(const std::string& text) {
  const auto found = RegionLinesOfMlirUntrusted(text);
  INFO(found.status().ToString());
  REQUIRE(found.ok());
  return *found;
}

FoundLines Python(const std::string& text) {
  const auto found = RegionLinesOfPythonUntrusted(text, "/work/scoped.py");
  INFO(found.status().ToString());
  REQUIRE(found.ok());
  return *found;
}

const std::vector<std::string> kScoped = {"inner 13-15 in -", "load 22-25 in -", "work 26-33 in -", "step 28-30 in work",
                                          "store 35-36 in -"};

TEST_CASE("the front end's text tells the lines of scopes, in blocks and in pairs") {
  const FoundLines found = Mlir(File("scoped.source"));
  CHECK(Text(found) == kScoped);
  CHECK(found.notes.empty());
  CHECK(found.regions[0].file == "/work/scoped.py");
}

TEST_CASE("the source tells the same lines as the compiler") {
  const FoundLines found = Python(File("scoped.py"));
  CHECK(Text(found) == kScoped);
  CHECK(found.notes.empty());
}

TEST_CASE("in text where functions were inlined, a scope has the lines of its own function") {
  const FoundLines found = Mlir(File("scoped.records.ttgir"));
  std::vector<std::string> inner;
  for (const std::string& row : Text(found)) {
    if (absl::StartsWith(row, "inner")) inner.push_back(row);
    if (absl::StartsWith(row, "step")) CHECK(row == "step 28-30 in work");
  }
  // Inlined in two regions: one place under each.
  CHECK(inner == std::vector<std::string>{"inner 13-15 in -", "inner 13-15 in step"});
}

TEST_CASE("a record that was written into the text is around the lines of what it is around") {
  const FoundLines found = Mlir(R"(#loc = loc("/work/k.py":3:0)
  tt.func public @k() {
    proton.record start "loop" loc(#loc9)
    proton.record start "dot"
    %a = tt.dot loc(#loc2)
    proton.record end "dot"
    scf.for {
      %b = tt.load loc(#loc3)
    } loc(#loc1)
    proton.record end "loop" loc(#loc9)
    proton.record start "nothing"
    proton.record end "nothing"
  } loc(#loc)
#loc1 = loc("/work/k.py":5:0)
#loc2 = loc("total"(#loc4))
#loc3 = loc(fused["/usr/lib/std.py":1:1, #loc4])
#loc4 = loc("/work/k.py":7:0)
#loc9 = loc("/tmp/x/k.ttgir":12:3)
)");
  CHECK(Text(found) == std::vector<std::string>{"loop 5-7 in -", "dot 7-7 in loop"});
  REQUIRE(found.notes.size() == 1);
  CHECK(found.notes[0] == "scope nothing has no source line");
}

TEST_CASE("Python is read as Python: strings, comments, brackets and blocks") {
  const FoundLines found = Python("def f(x):\n"
                                  "  '''with pl.scope(\"in a string\"):\n"
                                  "  '''\n"
                                  "  # pl.enter_scope('in a comment')\n"
                                  "  with pl.scope(\n"
                                  "      name='a'), other():\n"
                                  "    y = g(1,\n"
                                  "2)  # less indented, and still in it\n"
                                  "\n"
                                  "    if y: pl.enter_scope(\"b\"); y += 1; pl.exit_scope(\"b\")\n"
                                  "  z = y \\\n"
                                  "    + 1\n"
                                  "  pl.enter_scope('open')\n"
                                  "  return z\n"
                                  "def g(name):\n"
                                  "  pl.enter_scope(name)\n"
                                  "  my_scope('no'); scope('no with')\n"
                                  "pl.enter_scope('outside')\n");
  CHECK(Text(found) == std::vector<std::string>{"a 5-10 in -", "b 10-10 in a", "open 13-14 in -", "outside 18-18 in -"});
  CHECK(found.notes == std::vector<std::string>{"scope open has no end in its function",
                                                "/work/scoped.py:16: the name in enter_scope is no literal"});
}

TEST_CASE("what is no text with scopes, or too much of it, is refused") {
  CHECK(RegionLinesOfMlirUntrusted("module {\n}\n").status().code() == absl::StatusCode::kInvalidArgument);
  std::string deep, many;
  for (int i = 0; i < 70; ++i) absl::StrAppend(&deep, "proton.record start \"a", i, "\"\n");
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&many, "with pl.scope('", i, "'): pass\n");
  CHECK(RegionLinesOfMlirUntrusted(deep).status().code() == absl::StatusCode::kOutOfRange);
  CHECK(RegionLinesOfPythonUntrusted(many, "f.py").status().code() == absl::StatusCode::kOutOfRange);
  // Locations that name themselves, brackets and quotes that never close.
  for (const std::string text : {"#loc1 = loc(#loc1)\n", "#loc1 = loc(callsite(#loc1 at #loc1))\n", "#loc1 = loc(\"\n",
                                 "#loc1 = loc(fused<(((\n", "#loc1 = \n#loc1 = loc(callsite(\n"})
    CHECK(Mlir(text + "proton.record start \"a\" loc(#loc1)\nproton.record end \"a\" loc(\n").regions.empty());
  CHECK(Python("'''\nwith pl.scope('").regions.empty());
  CHECK(Python("with pl.scope('a\\").regions.size() == 1);
}

TEST_CASE("locations that branch without end, and text that was damaged anywhere, are read in bounded time") {
  // A thousand in a list, each naming the list: five levels of it would be 10^15 steps.
  std::string list;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&list, i == 0 ? "" : ", ", "#loc1");
  const std::string bomb = absl::StrCat("#loc1 = loc(fused[", list, "])\n#loc2 = loc(callsite(#loc2 at #loc2))\n");
  std::string text = bomb;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&text, "%", i, " = tt.load loc(#loc", 1 + i % 2, ")\n");
  CHECK(Mlir(text + "proton.record start \"a\" loc(#loc1)\n").regions.empty());
  CHECK(InlinedAtOfMlirUntrusted(text).empty());
  const std::string source = File("scoped.source"), python = File("scoped.py");
  uint32_t random = 1;
  const auto next = [&] { return random = random * 1664525 + 1013904223; };
  for (int i = 0; i < 500; ++i) {
    std::string damaged = i % 2 == 0 ? source : python;
    for (int k = 0; k < 20; ++k) damaged[next() % damaged.size()] = "()[]\"'\n#:=\\ 0x\xff"[next() % 16];
    damaged.resize(next() % damaged.size());
    const auto found = i % 2 == 0 ? RegionLinesOfMlirUntrusted(damaged) : RegionLinesOfPythonUntrusted(damaged, "f.py");
    if (!found.ok()) continue;
    for (const RegionLines& one : found->regions) {
      CHECK(one.first <= one.last);
      CHECK(one.parent < static_cast<int32_t>(found->regions.size()));
    }
    LineRegions regions(found->regions, InlinedAtOfMlirUntrusted(damaged), {});
    for (uint32_t line = 1; line < 40; ++line) CHECK_FALSE(regions.Of("/work/scoped.py", line).empty());
  }
}

// "work>step>inner" of each way.
std::vector<std::string> Ways(LineRegions* regions, const std::string& file, uint32_t line) {
  std::vector<std::string> ways;
  for (int32_t at : regions->Of(file, line)) {
    std::string way;
    for (; at >= 0; at = regions->regions()[static_cast<size_t>(at)].parent)
      way = absl::StrCat(regions->regions()[static_cast<size_t>(at)].name, way.empty() ? "" : ">", way);
    ways.push_back(way);
  }
  std::sort(ways.begin(), ways.end());
  return ways;
}

TEST_CASE("a line belongs to the regions around it, and around where its function was inlined") {
  using W = std::vector<std::string>;
  const auto lines = Mlir(File("scoped.source")).regions;
  const std::string self = "/work/scoped.py", standard = "/usr/lib/python3/dist-packages/triton/language/standard.py";
  LineRegions regions(lines, InlinedAtOfMlirUntrusted(File("scoped.ttgir")), {});
  CHECK(Ways(&regions, self, 21) == W{""});
  CHECK(Ways(&regions, self, 24) == W{"load"});
  CHECK(Ways(&regions, self, 27) == W{"work"});
  CHECK(Ways(&regions, self, 14) == W{"inner", "work>step>inner"});
  CHECK(Ways(&regions, standard, 263) == W{"work>step"});   // tl.sum
  CHECK(Ways(&regions, standard, 170) == W{"work"});        // tl.max
  CHECK(regions.CommonOf(regions.Of(self, 14)).region == -1);
  CHECK(regions.CommonOf(regions.Of(self, 14)).doubtful.size() == 4);
  CHECK(regions.CommonOf(regions.Of(standard, 263)).doubtful.empty());
  // Without the IR the helper's lines are known alone, and the library's are in no region.
  LineRegions alone(lines, {}, {});
  CHECK(Ways(&alone, self, 14) == W{"inner"});
  CHECK(Ways(&alone, standard, 263) == W{""});
  // Names that no trace has are passed over.
  LineRegions some(lines, {}, {"step"});
  CHECK(Ways(&some, self, 30) == W{"step"});
  CHECK(Ways(&some, self, 24) == W{""});
}

}  // namespace
}  // namespace sextant::analysis
