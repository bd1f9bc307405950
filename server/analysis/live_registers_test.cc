#include "server/analysis/live_registers.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

// "NAME:" is a label, the rest one instruction a line.
SassFunction Code(const std::string& lines) {
  std::string text;
  std::istringstream in(lines);
  int pc = 0;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && line[0] == ' ') line.erase(0, 1);
    if (line.empty()) continue;
    if (line.back() == ':') absl::StrAppend(&text, line, "\n");
    else absl::StrAppend(&text, "        /*", absl::Hex(16 * pc++, absl::kZeroPad4), "*/  ", line, " ;\n");
  }
  auto function = ParseSassUntrusted(text);
  REQUIRE(function.ok());
  return *std::move(function);
}

std::vector<uint32_t> Live(const std::string& lines) {
  const SassFunction function = Code(lines);
  return LiveRegisterCounts(function, FlowOf(function));
}

std::string Numbers(const RegisterSet& set) {
  std::string text;
  for (size_t i = 0; i < set.size(); ++i)
    if (set.test(i)) absl::StrAppend(&text, text.empty() ? "" : " ", i);
  return text;
}

std::string Use(const std::string& instruction) {
  const RegisterUse use = RegistersOf(Code(instruction).code[0]);
  return absl::StrCat(Numbers(use.writes), " < ", Numbers(use.reads));
}

TEST_CASE("registers and widths of instructions follow from their text") {
  CHECK(Use("FFMA R0, R1, R2.reuse, -R3") == "0 < 1 2 3");
  CHECK(Use("IMAD.MOV.U32 R8, RZ, RZ, 0x1") == "8 < ");
  CHECK(Use("IMAD.WIDE.U32 R4, R2, 0x4, R6") == "4 5 < 2 6 7");
  CHECK(Use("LDG.E.128 R8, desc[UR4][R2.64+0x10]") == "8 9 10 11 < 2 3");
  CHECK(Use("STG.E.64 desc[UR8][R6.64], R8") == " < 6 7 8 9");
  CHECK(Use("STS [R4+UR5], R9") == " < 4 9");
  CHECK(Use("LDC.64 R2, c[0x0][R5+0x210]") == "2 3 < 5");
  CHECK(Use("CS2R R4, SRZ") == "4 5 < ");
  CHECK(Use("CS2R.32 R9, SR_CLOCKLO") == "9 < ");
  CHECK(Use("ISETP.GE.AND P0, PT, R4, R5, PT") == " < 4 5");
  CHECK(Use("LOP3.LUT P1, RZ, R4, 0x40, RZ, 0xc0, !PT") == " < 4");
  CHECK(Use("IADD3 R5, P0, R0, 0x8, RZ") == "5 < 0");
  CHECK(Use("SHFL.IDX PT, R8, R10, R15, 0x1f") == "8 < 10 15");
  CHECK(Use("ATOMG.E.ADD.64.STRONG.GPU PT, R10, desc[UR8][R12.64], R14") == "10 11 < 12 13 14 15");
  CHECK(Use("DFMA R2, R4, R6, R8") == "2 3 < 4 5 6 7 8 9");
  CHECK(Use("F2F.F64.F32 R2, R5") == "2 3 < 5");
  CHECK(Use("F2F.F32.F64 R2, R4") == "2 < 4 5");
  CHECK(Use("HMMA.16816.F32.BF16 R4, R8, R12, R4") == "4 5 6 7 < 4 5 6 7 8 9 10 11 12 13");
  CHECK(Use("HMMA.16816.F16 R4, R8, R12, RZ") == "4 5 < 8 9 10 11 12 13");
  CHECK(Use("HGMMA.64x16x16.F32.BF16 R24, gdesc[UR16], R24, gsb0") ==
        "24 25 26 27 28 29 30 31 < 24 25 26 27 28 29 30 31");
  CHECK(Use("HGMMA.64x8x16.F32 R24, R4, gdesc[UR12].tnspB, R24") == "24 25 26 27 < 4 5 6 7 24 25 26 27");
  CHECK(Use("LDSM.16.M88.4 R4, [R8+UR4]") == "4 5 6 7 < 8");
  CHECK(Use("R2UR UR4, R6") == " < 6");
  CHECK(Use("S2UR UR4, SR_CLOCKLO") == " < ");
  CHECK(Use("MUFU.RCP R2, R3") == "2 < 3");
  CHECK(Use("RET.REL.NODEC R2 `(k)") == " < 2 3");
}

TEST_CASE("a register is live from its write to its last read") {
  CHECK(Live("MOV R0, 0x1\nMOV R1, 0x2\nFADD R2, R0, R1\nSTG.E desc[UR4][R2.64], R2\nEXIT") ==
        std::vector<uint32_t>{1, 2, 2, 1, 0});
  // A result that nobody needs takes a register while it is written.
  CHECK(Live("MOV R0, 0x1\nEXIT") == std::vector<uint32_t>{1, 0});
}

TEST_CASE("values live through loops, branches and calls") {
  // R5 is needed after the loop, R0 and R1 in it.
  const auto loop = Live(R"(
      MOV R5, 0x1
      MOV R1, 0x2
      MOV R0, 0x0
      .L_1:
      FADD R0, R0, R1
      ISETP.GE.AND P0, PT, R0, R1, PT
      @!P0 BRA `(.L_1)
      STG.E desc[UR4][UR2], R5
      EXIT)");
  CHECK(loop == std::vector<uint32_t>{1, 2, 3, 3, 3, 3, 1, 0});
  // A conditional write does not end what was there.
  CHECK(Live("MOV R0, 0x1\n@P0 MOV R0, 0x2\nSTS [UR4], R0\nEXIT") == std::vector<uint32_t>{1, 1, 1, 0});
  // R7 lives through the function, which uses one more; it returns behind the call.
  const auto call = Live(R"(
      MOV R7, 0x1
      MOV R2, 0x30
      CALL.REL.NOINC `(f)
      STS [UR4], R7
      EXIT
      f:
      MOV R9, 0x5
      STS [UR4], R9
      RET.REL.NODEC R2 `(k))");
  CHECK(*std::max_element(call.begin(), call.end()) >= 3);
  CHECK(call[5] >= 3);
}

TEST_CASE("accumulators hold nothing before anything was written to them") {
  const auto live = Live("MOV R0, 0x1\nSTS [UR4], R0\nHGMMA.64x256x16.F32 R24, gdesc[UR8], R24, !UPT, gsb0\nSTS [UR4], R24\nEXIT");
  CHECK(live[0] == 1);
  CHECK(live[1] == 1);
  CHECK(live[2] == 128);
}

TEST_CASE("what is live at most stays below what the compiler allocated") {
  std::ifstream file("server/analysis/testdata/nested.sass");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto function = ParseSassUntrusted(text);
  REQUIRE(function.ok());
  const auto live = LiveRegisterCounts(*function, FlowOf(*function));
  const uint32_t most = *std::max_element(live.begin(), live.end());
  CHECK(most <= 24);   // cuobjdump --dump-resource-usage: REG:24
  CHECK(most >= 18);
  CHECK(live[0] == 1);   // the stack pointer, which the first instruction loads: nothing is read that was not written
}

}  // namespace
}  // namespace sextant::analysis
