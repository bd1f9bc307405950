// The code of the kernel an answer is about, and what passes counted at its instructions.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"
#include "server/analysis/sass.h"
#include "server/analysis/sass_flow.h"

namespace sextant::analysis {

struct KernelCode {
  SassFunction function;
  SassFlow flow;
};

// The SASS of evidence.code() from an `ir` pass. Null, with an abstention in `basis` about `question`, where no pass kept
// it; says which pass does.
absl::StatusOr<std::unique_ptr<KernelCode>> ReadKernelCode(const Evidence& evidence, absl::string_view question,
                                                           v1::Basis* basis);

// The text of evidence.code() at a level of the IR ("ttgir", "ptx") that an `ir` pass kept; "": none did.
absl::StatusOr<std::string> ReadCodeLevel(const Evidence& evidence, absl::string_view level, uint64_t max_bytes);

// What one instruction did in a launch: means over launches and passes.
struct PcCount {
  double executed = 0;         // by warps
  double threads = 0;
  double predicated_off = 0;   // of the threads
  std::string opcode;          // mnemonic; "": not known
  std::string opcode_class;
  std::string file;
  int64_t line = 0;
};
// By pc. Empty, with an abstention, where no `sassmetrics` pass ran this code.
absl::StatusOr<std::map<uint64_t, PcCount>> ReadCounts(const Evidence& evidence, absl::string_view question,
                                                       v1::Basis* basis);

// Names and classes of instructions whose bytes the counters' table does not know, from the code's text.
void NameByCode(const KernelCode& code, std::map<uint64_t, PcCount>* counts);

// Samples of one instruction: of all passes together.
struct PcSamples {
  std::map<std::string, double> by_stall;   // "selected" too
  std::string opcode;
  std::string file;
  std::string function;
  int64_t line = 0;
  double total() const;
};
// By pc. Empty, with an abstention, where no `pcsampling` pass ran this code.
absl::StatusOr<std::map<uint64_t, PcSamples>> ReadSamples(const Evidence& evidence, absl::string_view question,
                                                          v1::Basis* basis);

// Launches of the kernel (with evidence.code(), where passes tell) in a pass: as it says, else what all other passes
// agree on, because they ran the same program; 0: not known.
uint64_t LaunchesIn(const Evidence& evidence, const v1::PassInfo& pass);

// Largest first; shares of the sum. Nothing for no value above zero.
std::vector<v1::NamedShare> Shares(const std::map<std::string, double>& values);

// "gemm.cu:12" of a path and a line; "" without a line.
std::string ShortPlace(absl::string_view file, int64_t line);

}  // namespace sextant::analysis
