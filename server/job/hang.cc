#include "server/job/hang.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/job/pass_kind.h"

namespace sextant::job {
bool Hung(const v1::ExitReport& exit) {
  return exit.verdict() == v1::HANG || exit.verdict() == v1::TIMED_OUT;
}

bool IsClean(const v1::PassSpec& spec) {
  return spec.backend() == "run" ||
         (spec.backend() == "activity" && spec.options().contains("light"));
}

std::string JudgeHang(const EndedPass& stuck, absl::Span<const EndedPass> others) {
  if (IsClean(stuck.spec)) {
    return absl::StrCat("it hangs by itself: nothing was in it that changes kernels (", KindOfPass(stuck.spec), ")");
  }
  size_t ended = 0, hung = 0;
  double longest_s = 0;
  std::string by;
  for (const EndedPass& other : others) {
    if (!IsClean(other.spec)) continue;
    by = KindOfPass(other.spec);
    if (other.done) {
      ++ended;
      longest_s = std::max(longest_s, other.exit.wall_s());
    } else if (Hung(other.exit)) {
      ++hung;
    }
  }
  if (ended > 0 && hung == 0) {
    return absl::StrFormat(
        "the instrument causes it: without it the program ended, %d of %d times, in at most %.3g s "
        "(%s). Record less: fewer scopes (scopes=A+B, split=N), CTAs or warps; or look with a "
        "sampling backend (pcsampling)",
        ended, ended + hung, longest_s, by);
  }
  if (hung > 0 && ended == 0) {
    return absl::StrCat("it hangs without the instrument too (", by, "): the program's own fault");
  }
  if (hung > 0) {
    return absl::StrFormat("without the instrument the program hangs sometimes: %d of %d times (%s)", hung,
                           ended + hung, by);
  }
  return "whether the instrument causes it is not known: no clean pass of this task has ended; add "
         "--pass activity:light=1";
}

}  // namespace sextant::job
