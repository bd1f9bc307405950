// What a GPU can do in a cycle, where its maker says so.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace sextant::analysis {

// Per SM and cycle, dense; 0: the chip has none, or it is not known.
struct Chip {
  uint32_t capability = 0;      // 90: compute capability 9.0; 0: the GPU is not known here
  uint32_t sms = 0;             // 0: it depends on the product
  uint32_t memory_bits = 0;     // of the DRAM bus; two bits a line and clock
  double l1_bytes = 0;
  double fp64 = 0, fp32 = 0, fp16 = 0;                                           // FLOP
  double tensor_fp64 = 0, tensor_tf32 = 0, tensor_fp16 = 0, tensor_fp8 = 0, tensor_int8 = 0;   // FLOP, operations
};

// By what the driver calls the GPU: "NVIDIA H200". From NVIDIA's architecture white papers (A100, H100) and data sheets: peak
// rates ÷ SMs ÷ boost clock.
Chip ChipOf(absl::string_view gpu);

}  // namespace sextant::analysis
