#include "server/analysis/chip.h"

#include "absl/strings/match.h"

namespace sextant::analysis {
namespace {

constexpr Chip kVolta = {70, 0, 4096, 128, 64, 128, 256, 0, 0, 1024, 0, 0};
constexpr Chip kTuring = {75, 0, 256, 64, 4, 128, 256, 0, 0, 1024, 0, 2048};
constexpr Chip kA100 = {80, 108, 5120, 128, 64, 128, 512, 128, 1024, 2048, 0, 4096};
constexpr Chip kH100 = {90, 0, 5120, 128, 128, 256, 512, 256, 2048, 4096, 8192, 8192};
constexpr Chip kH100Sxm = {90, 132, 5120, 128, 128, 256, 512, 256, 2048, 4096, 8192, 8192};   // the one with HBM3
constexpr Chip kH200 = {90, 132, 6144, 128, 128, 256, 512, 256, 2048, 4096, 8192, 8192};

// Known as to their multiprocessors alone.
constexpr Chip Only(uint32_t capability) { return {capability, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0}; }

struct Known {
  absl::string_view name;
  Chip chip;
};
// The first that fits: longer names before what they contain.
constexpr Known kKnown[] = {{"V100", kVolta},      {"T4", kTuring},         {"A100", kA100},        {"A800", kA100},
                            {"H200", kH200},       {"GH200", kH200},        {"H100 80GB HBM3", kH100Sxm}, {"H100", kH100},        {"H800", kH100},
                            {"H20", Only(90)},     {"B300", Only(103)},     {"B200", Only(100)},    {"B100", Only(100)},
                            {"A30", Only(80)},     {"A10", Only(86)},       {"A40", Only(86)},      {"RTX A", Only(86)},
                            {"RTX 30", Only(86)},  {"L40", Only(89)},       {"L4", Only(89)},       {"RTX 40", Only(89)},
                            {"RTX 50", Only(120)}, {"RTX PRO", Only(120)}};

}  // namespace

Chip ChipOf(absl::string_view gpu) {
  for (const Known& known : kKnown)
    if (absl::StrContains(gpu, known.name)) return known.chip;
  return {};
}

}  // namespace sextant::analysis
