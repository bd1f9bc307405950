#include "server/job/hang.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace sextant::job {
namespace {

std::string Named(const v1::PassSpec& spec) {
  const std::map<std::string, std::string> options(spec.options().begin(), spec.options().end());
  return absl::StrCat(spec.backend(), options.empty() ? "" : ":",
                      absl::StrJoin(options, ",", absl::PairFormatter("=")));
}

}  // namespace

bool Hung(const v1::ExitReport& exit) {
  return exit.verdict() == v1::HANG || exit.verdict() == v1::TIMED_OUT;
}

bool IsClean(const v1::PassSpec& spec) {
  return spec.backend() == "run" ||
         (spec.backend() == "activity" && spec.options().contains("light"));
}

std::string JudgeHang(const EndedPass& stuck, absl::Span<const EndedPass> others) {
  if (IsClean(stuck.spec)) {
    return absl::StrCat("it hangs by itself: nothing was in it that changes kernels (", Named(stuck.spec), ")");
  }
  size_t ended = 0, hung = 0;
  double longest_s = 0;
  std::string by;
  for (const EndedPass& other : others) {
    if (!IsClean(other.spec)) continue;
    by = Named(other.spec);
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
