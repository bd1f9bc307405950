#include "server/analysis/region_code.h"

#include <fstream>
#include <iterator>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/analysis/sass_values.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

const std::vector<std::string> kNames = {"branch", "inner", "outer", "step", "tail"};

SassFunction Parse(const std::string& text) {
  auto function = ParseSassUntrusted(text);
  INFO(function.status().ToString());
  REQUIRE(function.ok());
  return *std::move(function);
}

SassFunction Nested() {
  std::ifstream file("server/analysis/testdata/nested.sass");
  return Parse({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
}

// Code without addresses: "NAME:" is a label, the rest one instruction a line.
SassFunction Code(const std::string& lines) {
  std::string text = "\t.section\t.text.k,\"ax\"\n";
  std::istringstream in(lines);
  int pc = 0;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && line[0] == ' ') line.erase(0, 1);
    if (line.empty()) continue;
    if (line.back() == ':') absl::StrAppend(&text, line, "\n");
    else absl::StrAppend(&text, "        /*", absl::Hex(16 * pc++, absl::kZeroPad4), "*/  ", line, " ;\n");
  }
  return Parse(text);
}

// A record of region `id` as the compiler writes it, under guard P1.
std::string Record(uint32_t id, uint32_t kind) {
  return absl::StrCat("@P1 CS2R.32 R9, SR_CLOCKLO\n@P1 IMAD.MOV.U32 R8, RZ, RZ, 0x", absl::Hex(id << 11 | kind),
                      "\n@P1 STG.E.64 desc[UR8][R6.64], R8\n");
}
std::string Begin(uint32_t id) { return Record(id, 1); }
std::string End(uint32_t id) { return Record(id, 2); }

RegionCode Find(const SassFunction& function) { return FindRegionCode(function, FlowOf(function)); }

TEST_CASE("text of nvdisasm and of Triton is read, and what is neither is refused") {
  const SassFunction nested = Nested();
  CHECK(nested.name == "_Z6nestedPfiii");
  CHECK(nested.architecture == 90);
  CHECK(nested.lines);
  const uint32_t at = nested.At(0x8f0);
  REQUIRE(at < nested.code.size());
  CHECK(nested.TextOf(at) == "@P1 STG.E.64 desc[UR8][R14.64], R16");
  CHECK(nested.code[at].mnemonic() == "STG");
  CHECK(nested.code[at].Has("64"));
  CHECK_FALSE(nested.code[at].Has("6"));
  CHECK(nested.code[at].operands == std::vector<std::string>{"desc[UR8][R14.64]", "R16"});
  CHECK(absl::EndsWith(nested.files[nested.code[at].file], "sextant/detail/scopes_context.cuh"));
  CHECK(nested.At(0x8f1) == nested.code.size());

  const SassFunction triton = Parse("Function:k\n--:-:1:-:1\tLDC R1, c[0x0][0x28];\n04:-:-:Y:2\t@!P0 BRA `(.L_x_0);\n.L_x_0:\n--:-:-:-:5\tEXIT;\n");
  REQUIRE(triton.code.size() == 3);
  CHECK(triton.code[1].pc == 16);
  CHECK(triton.code[1].guard == "!P0");
  CHECK(triton.labels.at(".L_x_0") == 2);

  for (const char* const bad : {"", "nonsense", "/*0010*/ NOP ;\n/*0000*/ NOP ;\n", "/*zz*/ NOP ;"})
    CHECK(absl::IsInvalidArgument(ParseSassUntrusted(bad).status()));
}

TEST_CASE("every record of a compiled kernel is found, with its scope and kind") {
  const SassFunction nested = Nested();
  std::vector<std::string> found;
  for (const ClockRecord& one : FindRecords(nested, FlowOf(nested)))
    found.push_back(absl::StrCat(NameOfScopeId(one.id, one.wait, kNames), one.begin ? "+" : "-"));
  CHECK(found == std::vector<std::string>{"outer+", "inner+", "inner-", "branch+", "branch-", "outer-", "outer+",
                                          "outer-", "tail+", "step+", "step-", "step+", "step-", "step+", "step-",
                                          "step+", "step-", "step+", "step-", "tail-"});
}

TEST_CASE("nested, repeated and unrolled regions get their ranges, out-of-line code too") {
  const SassFunction nested = Nested();
  const RegionCode code = Find(nested);
  CHECK(code.notes.empty());
  const auto ranges = code.Ranges(nested);
  std::vector<std::string> shown;
  for (size_t i = 0; i < code.regions.size(); ++i) {
    const CodeRegion& region = code.regions[i];
    std::string text = NameOfScopeId(region.id, region.wait, kNames);
    if (region.parent >= 0) absl::StrAppend(&text, " in ", NameOfScopeId(code.regions[region.parent].id, false, kNames));
    for (const std::string& range : ranges[i]) absl::StrAppend(&text, " ", range);
    shown.push_back(text);
  }
  // The square root's slow path is called from `branch` alone, the reciprocal's from the second `outer`.
  CHECK(shown == std::vector<std::string>{
                     "outer 0x7b0-0xc20 0xce0-0xe30 0x1710-0x1bc0", "inner in outer 0x8a0-0x940",
                     "branch in outer 0xa20-0xbc0 0x1a60-0x1bc0", "tail 0xeb0-0x1560",
                     "step in tail 0x1000-0x1080 0x10f0-0x1160 0x11d0-0x1240 0x12b0-0x1320 0x1420-0x14b0"});
  for (const auto& doubtful : code.doubtful) CHECK(doubtful.empty());
}

TEST_CASE("a record around which lanes branch is passed by the warp") {
  const SassFunction function = Code(absl::StrCat(R"(
      @!P1 BRA `(.L_skip)
      CS2R.32 R9, SR_CLOCKLO
      IMAD.MOV.U32 R8, RZ, RZ, 0x801
      STG.E.64 desc[UR8][R6.64], R8
      .L_skip:
      FADD R0, R0, R1
      )", End(1), "EXIT"));
  const RegionCode code = Find(function);
  REQUIRE(code.regions.size() == 1);
  CHECK(code.notes.empty());
  CHECK(code.Ranges(function)[0] == std::vector<std::string>{"0x20-0x50"});
}

TEST_CASE("where ways that meet disagree, what follows is doubtful and not counted") {
  // One way opens region 1 and does much else; the other does not.
  const SassFunction function = Code(absl::StrCat(Begin(2), "@!P3 BRA `(.L_other)\n", Begin(1), R"(
      FADD R0, R0, R1
      BRA `(.L_meet)
      .L_other:
      FADD R1, R0, R1
      .L_meet:
      FADD R2, R0, R1
      )", End(1), "FADD R3, R0, R1\n", End(2), "EXIT"));
  const RegionCode code = Find(function);
  const auto text = [&](uint32_t i) { return function.code[i].opcode + function.code[i].operands[0]; };
  bool seen = false;
  for (uint32_t i = 0; i < function.code.size(); ++i) {
    if (function.code[i].operands.empty() || text(i) != "FADDR2") continue;
    seen = true;
    CHECK(code.regions[code.innermost[i]].id == 2);
    REQUIRE(code.doubtful[i].size() == 1);
    CHECK(code.regions[code.doubtful[i][0]].id == 1);
  }
  CHECK(seen);
  for (uint32_t i = 0; i < function.code.size(); ++i)
    if (!function.code[i].operands.empty() && text(i) == "FADDR3") CHECK(code.doubtful[i].empty());   // it has ended
}

TEST_CASE("ends without begin and crossing regions are said") {
  CHECK(Find(Code(End(1) + "EXIT")).notes ==
        std::vector<std::string>{"1 ends of regions in the code have no begin on every way to them"});
  const RegionCode crossing = Find(Code(absl::StrCat(Begin(1), Begin(2), End(1), End(2), "EXIT")));
  CHECK(std::find(crossing.notes.begin(), crossing.notes.end(),
                  "regions cross in the code: they are not properly nested") != crossing.notes.end());
}

TEST_CASE("code without records, or with clock reads of its own, has no regions") {
  CHECK(Find(Code("FADD R0, R0, R1\nEXIT")).regions.empty());
  CHECK(Find(Code("CS2R.32 R9, SR_CLOCKLO\nSTG.E desc[UR8][R6.64], R9\nEXIT")).regions.empty());
  // Two words, but the first is no tag.
  CHECK(Find(Code("CS2R.32 R9, SR_CLOCKLO\nLDG.E R8, desc[UR8][R2.64]\nSTG.E.64 desc[UR8][R6.64], R8\nEXIT")).regions.empty());
}

TEST_CASE("a record of Proton is a word with the scope and the clock's high bits, then the low word") {
  const SassFunction function = Code(R"(
      CS2R R8, SR_CLOCKLO
      LOP3.LUT R4, R9, 0x7ff, RZ, 0xc0, !PT
      LOP3.LUT R4, R4, 0x1800000, RZ, 0xfc, !PT
      IMAD.MOV.U32 R5, RZ, RZ, R8
      STS.64 [R2], R4
      FADD R0, R0, R1
      CS2R R8, SR_CLOCKLO
      LOP3.LUT R4, R9, 0x7ff, RZ, 0xc0, !PT
      LOP3.LUT R4, R4, 0x81800000, RZ, 0xfc, !PT
      IMAD.MOV.U32 R5, RZ, RZ, R8
      STS.64 [R2+0x8], R4
      EXIT)");
  const RegionCode code = Find(function);
  CHECK(code.format == RecordFormat::kProton);
  REQUIRE(code.regions.size() == 1);
  CHECK(code.regions[0].id == 3);
  CHECK(code.Ranges(function)[0] == std::vector<std::string>{"0x10-0x60"});
}

TEST_CASE("bits of registers are known through moves, logic, shifts, adds and packed halves") {
  const auto value = [](const std::string& lines) {
    const SassFunction function = Code(lines + "\nSTG.E desc[UR8][R6.64], R8\nEXIT");
    const SassFlow flow = FlowOf(function);
    return RegisterBefore(function, flow, static_cast<uint32_t>(function.code.size() - 2), false, 8);
  };
  CHECK(value("MOV R8, 0x12345678").bits == 0x12345678);
  CHECK(value("IMAD.MOV.U32 R8, RZ, RZ, -0x2").bits == 0xfffffffe);
  CHECK(value("UMOV UR4, 0x7\nIMAD.U32 R8, RZ, RZ, UR4").bits == 7);
  CHECK(value("HFMA2.MMA R8, -RZ, RZ, 2596, 2720").bits == 0x69126950);   // 2596 = 0x6912, 2720 = 0x6950
  CHECK(value("HFMA2.MMA R8, -RZ, RZ, 0, 5.9604644775390625e-08").bits == 1);
  const SassValue slot = value("LOP3.LUT R3, R2, 0x7f8, RZ, 0xc0, !PT\nLOP3.LUT R8, R3, 0x583fb004, RZ, 0xfc, !PT");
  CHECK((slot.known & ~0x7f8u) == ~0x7f8u);
  CHECK((slot.bits & ~0x7f8u) == 0x583fb004);
  const SassValue added = value("IMAD.SHL.U32 R3, R2, 0x8, RZ\nLOP3.LUT R3, R3, 0x7f8, RZ, 0xc0, !PT\nIADD3 R8, R3, 0x10001, RZ");
  CHECK((added.known & 0xffff0007) == 0xffff0007);
  CHECK((added.bits & 0xffff0007) == 0x10001);
  // What a condition may have written is not known to those without it.
  CHECK(value("MOV R8, 0x1\n@P2 MOV R8, 0x2").known == 0);
  CHECK(value("LDG.E R8, desc[UR8][R2.64]").known == 0);
  // A loop gives the register several values.
  CHECK(value("MOV R8, 0x1\n.L_0:\nVIADD R8, R8, 0x1\n@P0 BRA `(.L_0)").known == 0);
}

TEST_CASE("code of many blocks that nobody compiled ends") {
  std::string lines;
  for (int i = 0; i < 2000; ++i)
    absl::StrAppend(&lines, ".L_", i, ":\n", i % 3 == 0 ? Begin(i % 7 + 1) : End(i % 5 + 1), "@P0 BRA `(.L_", (i * 7919) % 2000, ")\n");
  const SassFunction function = Code(lines + "EXIT");
  CHECK(Find(function).innermost.size() == function.code.size());
}

TEST_CASE("much code of nothing but records, barriers and branches is done within bounds") {
  std::string lines;
  constexpr int kParts = 5'000;
  for (int i = 0; i < kParts; ++i)
    absl::StrAppend(&lines, ".L_", i, ":\nBSSY B0, `(.L_", (i + 17) % kParts, ")\n", Record(i % 500 + 1, i % 2 + 1),
                    "@P0 BRA `(.L_", static_cast<int64_t>(i) * 7919 % kParts, ")\nBSYNC B0\n");
  const SassFunction function = Code(lines + "EXIT");
  CHECK(function.code.size() > 25'000);
  const RegionCode code = Find(function);
  CHECK(code.Ranges(function).size() == code.regions.size());
}

}  // namespace
}  // namespace sextant::analysis
