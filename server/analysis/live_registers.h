// Which general-purpose registers hold a value that is still needed, by dataflow over SASS as text.
//
// Exact for what the text says: an instruction's registers and their widths (by its modifiers and, for matrix
// instructions, its shape) follow from tables read off disassemblies, because NVIDIA publishes none. What they do not know
// counts as one register wide. Predicates and uniform registers are other files and not counted; nor is what the
// hardware rounds up when registers are allocated. A write under a guard does not end a value.
#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "server/analysis/sass.h"
#include "server/analysis/sass_flow.h"

namespace sextant::analysis {

using RegisterSet = std::bitset<256>;

struct RegisterUse {
  RegisterSet reads;
  RegisterSet writes;
};

RegisterUse RegistersOf(const SassInstruction& instruction);

// [instructions]: registers live at it: the larger of those needed before and after. Functions that the kernel calls
// return to all their callers.
std::vector<uint32_t> LiveRegisterCounts(const SassFunction& function, const SassFlow& flow);

}  // namespace sextant::analysis
