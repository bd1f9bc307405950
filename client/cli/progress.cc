#include "client/cli/progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

// A job without passes is measured in tasks.
struct Amount {
  uint64_t total, done, failed, cached, running;
  bool passes;
};

Amount AmountOf(const v1::JobInfo& job) {
  if (job.passes() > 0) {
    return {job.passes(), job.passes_done(), job.passes_failed(), job.passes_cached(),
            job.passes_running(), true};
  }
  return {job.tasks(), job.tasks_done(), job.tasks_failed() + job.tasks_cancelled(), 0, 0, false};
}

std::string Bar(const Amount& a, int cells, const Terminal& t) {
  const auto share = [&](uint64_t n) {
    return a.total == 0 ? 0 : static_cast<int>(cells * n / a.total);
  };
  const int ended = std::min(cells, share(a.done + a.failed));
  const int running = std::min(cells - ended, std::max(share(a.running), a.running > 0 ? 1 : 0));
  std::string bar;
  const auto put = [&](int n, const char* unicode, char ascii, const char* color) {
    if (n <= 0) return;
    if (t.color) bar += color;
    for (int i = 0; i < n; ++i) {
      if (t.unicode) {
        bar += unicode;
      } else {
        bar += ascii;
      }
    }
    if (t.color) bar += "\x1b[0m";
  };
  put(ended, "━", '#', a.failed > 0 ? "\x1b[31m" : "\x1b[32m");
  put(running, "╍", '=', "\x1b[36m");
  put(cells - ended - running, t.color ? "━" : "·", '.', "\x1b[38;5;238m");
  return bar;
}

}  // namespace

std::string TimeLeft(const v1::JobInfo& job, uint64_t now_unix_ns) {
  const uint64_t executed = job.passes_done() + job.passes_failed() -
                            std::min<uint64_t>(job.passes_cached(), job.passes_done());
  const uint64_t ended = job.passes_done() + job.passes_failed();
  if (executed == 0 || job.started_unix_ns() == 0 || now_unix_ns <= job.started_unix_ns() ||
      ended >= job.passes()) {
    return "";
  }
  const double each = static_cast<double>(now_unix_ns - job.started_unix_ns()) / executed;
  const double left_s = each * (job.passes() - ended) / 1e9;
  if (left_s < 1) return "<1 s left";
  if (left_s < 120) return absl::StrFormat("%.0f s left", left_s);
  return absl::StrCat(FormatNs(left_s * 1e9), " left");
}

std::string ProgressLine(const v1::JobInfo& job, uint64_t now_unix_ns, const Terminal& terminal) {
  const Amount a = AmountOf(job);
  std::vector<std::string> words;
  words.push_back(absl::StrCat(a.done, "/", a.total, a.passes ? " passes" : " tasks"));
  if (a.running > 0) words.push_back(absl::StrCat(a.running, " running"));
  const uint64_t ended = a.done + a.failed + a.running;
  if (ended < a.total) words.push_back(absl::StrCat(a.total - ended, " queued"));
  if (a.cached > 0) words.push_back(absl::StrCat(a.cached, " cached"));
  if (a.failed > 0) words.push_back(absl::StrCat(a.failed, " failed"));
  const std::string left = TimeLeft(job, now_unix_ns);
  if (!left.empty()) words.push_back(left);
  const std::string text = absl::StrJoin(words, terminal.unicode ? " · " : ", ");
  if (!terminal.tty) return absl::StrCat("job ", job.job_id(), ": ", text);
  const int cells = std::clamp(terminal.width - static_cast<int>(Columns(text)) - 4, 0, 30);
  return absl::StrCat(Bar(a, cells, terminal), " ", text);
}

void Progress::Show(const v1::JobInfo& job, uint64_t now_unix_ns) {
  if (quiet_) return;
  if (terminal_.tty) {
    std::string line = ProgressLine(job, now_unix_ns, terminal_);
    if (drawn_ && line == last_) return;
    out_ << "\r\x1b[K" << line << std::flush;
    drawn_ = true;
    last_ = std::move(line);
    return;
  }
  // In a pipe: every tenth of the way, and when something failed.
  const Amount a = AmountOf(job);
  if (a.total == 0) return;
  const int percent = static_cast<int>(100 * (a.done + a.failed) / a.total);
  if (last_percent_ >= 0 && percent < last_percent_ + 10 && percent != 100) return;
  if (percent == last_percent_) return;
  last_percent_ = percent;
  out_ << ProgressLine(job, now_unix_ns, terminal_) << "\n" << std::flush;
}

void Progress::Say(const std::string& line) {
  if (quiet_) return;
  Clear();
  out_ << line << "\n" << std::flush;
}

void Progress::Clear() {
  if (drawn_) out_ << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace sextant::cli
