#include "server/analysis/code_sites.h"

#include "absl/strings/str_cat.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

// One function; an instruction each 16 bytes.
KernelCode Code(const std::vector<std::string>& instructions) {
  std::string text = "\t.section\t.text.k,\"ax\",@progbits\n.text.k:\n";
  uint32_t pc = 0;
  for (const std::string& one : instructions) {
    if (one.back() == ':') {
      absl::StrAppend(&text, one, "\n");
      continue;
    }
    absl::StrAppend(&text, "        /*", absl::Hex(pc, absl::kZeroPad4), "*/                   ", one, " ;\n");
    pc += 16;
  }
  auto function = ParseSassUntrusted(text);
  INFO(function.status().ToString());
  REQUIRE(function.ok());
  KernelCode code;
  code.function = *std::move(function);
  code.flow = FlowOf(code.function);
  return code;
}

std::string Awaited(const KernelCode& code, uint32_t index) {
  const uint32_t at = FindAwaited(code, index);
  return at < code.function.code.size() ? absl::StrCat(at, " ", code.function.code[at].opcode) : "";
}

TEST_CASE("an instruction waits for the load of the register it reads, not for arithmetic or other loads") {
  const KernelCode code = Code({"LDG.E R4, desc[UR4][R2.64]", "LDG.E R5, desc[UR4][R2.64+0x4]", "IADD3 R6, R8, R9, RZ",
                                "FFMA R7, R4, R6, R7", "STG.E desc[UR4][R2.64], R7", "EXIT"});
  CHECK(Awaited(code, 3) == "0 LDG.E");
  CHECK(Awaited(code, 2).empty());
  CHECK(Awaited(code, 4).empty());   // R7 comes from arithmetic
  CHECK(Awaited(code, 99).empty());
}

TEST_CASE("in a loop the load of the iteration before is found behind the loop's end") {
  const KernelCode code = Code({"MOV R4, RZ", ".L_x_0:", "FFMA R7, R4, R4, R7", "LDG.E R4, desc[UR4][R2.64]",
                                "ISETP.NE.AND P0, PT, R2, RZ, PT", "@P0 BRA `(.L_x_0)", "EXIT"});
  CHECK(Awaited(code, 1) == "2 LDG.E");
}

TEST_CASE("what overwrites a register waits for the store that reads it") {
  const KernelCode code = Code({"STG.E desc[UR4][R2.64], R11", "F2FP.BF16.F32.PACK_AB R11, R29, R28", "EXIT"});
  CHECK(Awaited(code, 1) == "0 STG.E");
}

TEST_CASE("a branch waits for the test of an mbarrier, or for the load behind a comparison") {
  const KernelCode code = Code({"SYNCS.PHASECHK.TRANS64.TRYWAIT P1, [UR4], R6", "@!P1 BRA `(.L_x_0)", "LDG.E R4, desc[UR4][R2.64]",
                                "ISETP.NE.AND P0, PT, R4, RZ, PT", "@P0 BRA `(.L_x_0)", ".L_x_0:", "EXIT"});
  CHECK(Awaited(code, 1) == "0 SYNCS.PHASECHK.TRANS64.TRYWAIT");
  CHECK(Awaited(code, 4) == "2 LDG.E");
}

TEST_CASE("a barrier waits for the copies into shared memory before it") {
  const KernelCode code = Code({"LDGSTS.E.BYPASS.128 [R8], desc[UR4][R2.64]", "LDGDEPBAR", "DEPBAR.LE SB0, 0x0", "BAR.SYNC.DEFER_BLOCKING 0x0", "EXIT"});
  CHECK(Awaited(code, 3) == "0 LDGSTS.E.BYPASS.128");
}

}  // namespace
}  // namespace sextant::analysis
