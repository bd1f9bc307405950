#include "server/analysis/instruction_work.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace sextant::analysis {
namespace {

constexpr double kWarpsOfGroup = 4;   // that run one HGMMA together

struct Arithmetic {
  const char* mnemonic;
  const char* type;
  double flop;
};
// As Nsight Compute's counters smsp__sass_thread_inst_executed_op_*_pred_on have them.
constexpr Arithmetic kArithmetic[] = {
    {"FADD", "FP32", 1},  {"FMUL", "FP32", 1},  {"FFMA", "FP32", 2},  {"FADD32I", "FP32", 1}, {"FMUL32I", "FP32", 1},
    {"FFMA32I", "FP32", 2}, {"DADD", "FP64", 1}, {"DMUL", "FP64", 1}, {"DFMA", "FP64", 2},     {"HADD2", "FP16", 1},
    {"HMUL2", "FP16", 1}, {"HFMA2", "FP16", 2}, {"HADD2_32I", "FP16", 1}, {"HMUL2_32I", "FP16", 1}, {"HFMA2_32I", "FP16", 2}};

// m × n × k of "64x128x16", or of the digits "16816", "1688", "884"; 0: it is none.
double Volume(std::string_view modifier) {
  const absl::string_view text(modifier.data(), modifier.size());
  if (absl::StrContains(text, 'x')) {
    double volume = 1;
    for (const absl::string_view part : absl::StrSplit(text, 'x')) {
      uint32_t size = 0;
      if (!absl::SimpleAtoi(part, &size) || size > 1024) return 0;
      volume *= size;
    }
    return volume;
  }
  struct Shape {
    const char* digits;
    double volume;
  };
  static constexpr Shape kShapes[] = {{"884", 8 * 8 * 4},       {"1684", 16 * 8 * 4},    {"1688", 16 * 8 * 8},
                                      {"16816", 16 * 8 * 16},   {"16832", 16 * 8 * 32},  {"16864", 16 * 8 * 64},
                                      {"8816", 8 * 8 * 16},     {"8832", 8 * 8 * 32}};
  for (const Shape& shape : kShapes)
    if (text == shape.digits) return shape.volume;
  return 0;
}

const char* TensorType(const SassInstruction& one) {
  const std::string_view mnemonic = one.mnemonic();
  if (mnemonic[0] == 'D') return "FP64 tensor";
  if (mnemonic[0] == 'I') return "INT8 tensor";
  if (mnemonic[0] == 'Q' || one.Has("E4M3") || one.Has("E5M2")) return "FP8 tensor";
  return one.Has("BF16") ? "BF16 tensor" : one.Has("TF32") ? "TF32 tensor" : "FP16 tensor";
}

double BytesOfAccess(const SassInstruction& one) {
  if (one.Has("128")) return 16;
  if (one.Has("64")) return 8;
  if (one.Has("U16") || one.Has("S16")) return 2;
  if (one.Has("U8") || one.Has("S8")) return 1;
  return 4;
}

}  // namespace

InstructionWork WorkOf(const SassInstruction& one) {
  InstructionWork work;
  const std::string_view mnemonic = one.mnemonic();
  for (const Arithmetic& of : kArithmetic)
    if (mnemonic == of.mnemonic) {
      work.type = of.type;
      work.flop_of_thread = of.flop;
      return work;
    }
  for (const char* const tensor : {"HMMA", "IMMA", "DMMA", "QMMA", "HGMMA", "IGMMA", "QGMMA"}) {
    if (mnemonic != tensor) continue;
    double volume = 0;
    for (const absl::string_view modifier : absl::StrSplit(one.opcode, '.'))
      if (volume == 0) volume = Volume({modifier.data(), modifier.size()});
    if (volume == 0) return work;
    work.type = TensorType(one);
    work.flop_of_warp = 2 * volume / (mnemonic[1] == 'G' ? kWarpsOfGroup : 1);
    return work;
  }
  for (const char* const access : {"LD", "ST", "LDG", "STG", "LDL", "STL", "LDGSTS", "ATOM", "ATOMG", "RED", "REDG"})
    if (mnemonic == access) work.bytes_of_thread = BytesOfAccess(one);
  for (const char* const copy : {"UTMALDG", "UTMASTG", "UTMAREDG", "UBLKCP", "UBLKRED"})
    if (mnemonic == copy) work.bulk_copy = true;
  return work;
}

}  // namespace sextant::analysis
