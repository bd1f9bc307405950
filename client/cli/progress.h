// How far a job is, as one line: drawn in place on a terminal, a line now and then in a pipe.
#pragma once

#include <ostream>
#include <string>

#include "client/cli/context.h"
#include "sextant/v1/types.pb.h"

namespace sextant::cli {

// What the line says; pure. `now_unix_ns` gives the time left.
std::string ProgressLine(const v1::JobInfo& job, uint64_t now_unix_ns, const Terminal& terminal);

// "1 min 20 s left", or empty while nothing can be said.
std::string TimeLeft(const v1::JobInfo& job, uint64_t now_unix_ns);

class Progress {
 public:
  Progress(std::ostream& out, const Terminal& terminal, bool quiet)
      : out_(out), terminal_(terminal), quiet_(quiet) {}
  ~Progress() { Clear(); }

  // Draws the job as it is now; in a pipe only when it has moved.
  void Show(const v1::JobInfo& job, uint64_t now_unix_ns);
  // A line that stays, above the bar.
  void Say(const std::string& line);
  void Clear();

 private:
  std::ostream& out_;
  const Terminal terminal_;
  const bool quiet_;
  bool drawn_ = false;
  std::string last_;
  int last_percent_ = -1;
};

}  // namespace sextant::cli
