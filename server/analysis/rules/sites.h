// Which instructions a finding is about, in words.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/analysis/facts.h"

namespace sextant::analysis {

// Below this share of the kernel's samples a place is not worth a sentence.
inline constexpr double kPlaceMatters = 0.02;

// Instructions of one source line (without lines: one instruction) that stand for one reason.
struct StalledPlace {
  const CodeSite* site = nullptr;   // the instruction with most of them
  double samples = 0;               // share of the kernel's
};
// The place at which most samples stand for the reason, in the region ("": anywhere), the recorder's apart; no site
// where none has kPlaceMatters.
StalledPlace MostStalled(const Facts& facts, absl::string_view reason, absl::string_view region);
// The one at which asynchronous products are waited for (WARPGROUP.DEPBAR counts as a barrier).
StalledPlace MostStalledAtProducts(const Facts& facts);
// "FFMA at k.cu:40, for the result of LDG.E at k.cu:33 (12 % of the kernel's samples)".
std::string PlaceText(const StalledPlace& place);

// What the reason asks for at this place (none: in general); null: nothing that helps in general.
const char* RemedyOf(absl::string_view stall, const StalledPlace& place);

// Whether warps with roles stand at barriers outside their regions: where a role begins or ends that delays nobody.
bool ParksAtBarriers(const Facts& facts);
// Roles that were recorded, in the timeline or in the costs.
size_t RolesRecorded(const Facts& facts);

// The reason that most samples of the region name, "selected" apart; "" without samples. Its share of the region's
// samples goes to `share`.
std::string StallOfRegion(const Facts& facts, absl::string_view region, double* share);

// Instructions of one opcode at one line (without lines: one instruction).
struct AccessPlace {
  const CodeSite* site = nullptr;
  size_t instructions = 0;
  double executed = 0;   // by warps, of a launch; 0: not known
};
// Those whose mnemonic is one of these ("STG"), the recorder's apart, most executed first.
std::vector<AccessPlace> PlacesOfKind(const Facts& facts, std::initializer_list<absl::string_view> mnemonics);
// "STG.E at k.cu:143 (64 instructions, 65,536 times a launch by warps)".
std::string PlaceText(const AccessPlace& place);

// "k.cu:40 (31 %), k.cu:41 (12 %)": the source lines of the region with most of its samples, as shares of them; "" where
// none is known.
std::string LinesOfRegion(const Facts& facts, absl::string_view region, size_t most);

}  // namespace sextant::analysis
