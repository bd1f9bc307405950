// Jittered exponential waiting times, so that a thousand workers do not return at one moment.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace sextant::agent {

struct BackoffTimes {
  std::chrono::milliseconds first{50};
  std::chrono::milliseconds most{2000};
};

// One thread.
class Backoff {
 public:
  explicit Backoff(BackoffTimes times) : times_(times), next_(times.first) {}

  // Half to all of a time that doubles from `first` to `most`.
  std::chrono::microseconds Next() {
    const std::chrono::microseconds whole = next_;
    next_ = std::min(next_ * 2, times_.most);
    std::uniform_int_distribution<int64_t> jitter(whole.count() / 2, whole.count());
    return std::chrono::microseconds(jitter(random_));
  }

  void Reset() { next_ = times_.first; }

 private:
  const BackoffTimes times_;
  std::chrono::milliseconds next_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace sextant::agent
