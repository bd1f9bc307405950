#include "server/analysis/instruction_work.h"

#include "tests/catch.h"

namespace sextant::analysis {
namespace {

InstructionWork Of(const std::string& opcode) {
  SassInstruction one;
  one.opcode = opcode;
  return WorkOf(one);
}

TEST_CASE("arithmetic counts as the counters count it") {
  CHECK(Of("FFMA.FTZ").flop_of_thread == 2);
  CHECK(Of("FADD").flop_of_thread == 1);
  CHECK(Of("DFMA").type == "FP64");
  CHECK(Of("HFMA2.BF16_V2").type == "FP16");
  CHECK(Of("FSETP.GEU.AND").type.empty());
  CHECK(Of("IMAD").type.empty());
}

TEST_CASE("a tensor core's work is in its shape") {
  CHECK(Of("HMMA.16816.F32").flop_of_warp == 2 * 16 * 8 * 16);
  CHECK(Of("HMMA.1688.F32.TF32").type == "TF32 tensor");
  CHECK(Of("HGMMA.64x128x16.F32").flop_of_warp == 2 * 64 * 128 * 16 / 4);
  CHECK(Of("HGMMA.64x256x16.F32.BF16").type == "BF16 tensor");
  CHECK(Of("QGMMA.64x128x32.F32.E4M3.E4M3").type == "FP8 tensor");
  CHECK(Of("IMMA.16832.S8.S8").type == "INT8 tensor");
  CHECK(Of("DMMA.884").flop_of_warp == 2 * 8 * 8 * 4);
  CHECK(Of("HGMMA.64x99999x16.F32").flop_of_warp == 0);
  CHECK(Of("HGMMA").type.empty());
}

TEST_CASE("bytes asked of L1 are an access's width; those of a bulk copy are not in the code") {
  CHECK(Of("LDG.E.128.CONSTANT").bytes_of_thread == 16);
  CHECK(Of("LDG.E.LTC128B.64").bytes_of_thread == 8);
  CHECK(Of("STG.E.U16").bytes_of_thread == 2);
  CHECK(Of("LDGSTS.E.BYPASS.LTC128B.128").bytes_of_thread == 16);
  CHECK(Of("ATOMG.E.ADD.STRONG.GPU").bytes_of_thread == 4);
  CHECK(Of("LDL.U8").bytes_of_thread == 1);
  CHECK(Of("LDS.128").bytes_of_thread == 0);   // shared memory
  CHECK(Of("LDC.64").bytes_of_thread == 0);    // constants
  CHECK(Of("UTMALDG.2D").bulk_copy);
}

}  // namespace
}  // namespace sextant::analysis
