// What is known of one kernel, as the rules of the diagnosis take it: numbers with what they stand on.
// Everything may be missing.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::analysis {

struct Fact {
  double value = NAN;
  std::string evidence;             // "counters dram__throughput…: 92.1 % (p12)"
  std::vector<int64_t> pass_ids;

  bool known() const { return std::isfinite(value); }
};

// An instruction that was sampled or executed, and where it stands.
struct CodeSite {
  uint64_t pc = 0;
  std::string opcode;                        // "STG.E.64"; "STG" where no code is there
  std::string where;                         // "gemm_ws.cu:143"; "" without source lines
  std::string region;                        // innermost; "": none, or not known
  double samples = 0;                        // share of the kernel's
  std::map<std::string, double> stalls;      // by reason, shares of the kernel's samples
  double executed = NAN;                     // by warps, of a launch
  std::string waits_for;                     // "LDG.E.128 at gemm_ws.cu:33"; "": not known
  std::string awaited;                       // its mnemonic
  bool recorder = false;                     // of the instrument that records regions, not of the program
  std::vector<int64_t> pass_ids;
};
// "STG.E.64 at gemm_ws.cu:143", "STG.E.64 at 0x2f0".
std::string SiteText(const CodeSite& site);

struct Facts {
  std::string kernel;               // as in tables; "": CPU threads alone
  double share_of_gpu_time = NAN;   // of all kernels of the task

  // Time.
  Fact clean_ns;                    // median duration of a clean launch
  Fact clean_spread;                // (P80 − P20) ÷ P50 of clean launches
  uint64_t clean_launches = 0;
  Fact idle_share;                  // gaps between kernels ÷ (gaps + kernels); gaps of less than 100 µs
  double gaps_per_pass = 0;         // of them
  Fact mean_kernel_ns;              // of all kernels

  // Clock.
  Fact clock_mhz;                   // of the SMs while it was measured: median of the passes that tell
  Fact clock_spread;                // (highest − lowest) ÷ median of these passes
  Fact max_clock_mhz;
  // Why clocks were held back: the driver's reasons at the begin and end of passes, and its clocks of how long it
  // held them for power or heat in the passes that time kernels. Empty: it gave no reason.
  struct HeldBack {
    std::string reason;             // "power cap", "hardware thermal", "sync boost"
    Fact share;                     // of these passes' time; unknown: it was the reason when they began or ended
  };
  std::vector<HeldBack> held_back;
  bool held_back_known = false;     // the driver was asked

  // By name as counted, of a launch (docs/counters.md).
  std::map<std::string, Fact, std::less<>> metrics;
  const Fact& Metric(absl::string_view name) const;
  double sms = NAN;                 // of the device
  Fact ctas;                        // of a launch
  Fact ctas_per_sm;                 // that fit on an SM, by the launch's occupancy
  // Share of warp time by stall reason, "selected" included: of counters, else of samples.
  std::map<std::string, Fact, std::less<>> stalls;

  // Of them, the part of "barrier" that is waiting for groups of asynchronous products (WARPGROUP.DEPBAR counts
  // as a barrier), not for other warps.
  Fact product_wait_share;

  // Answers of the other analyses about this kernel; absent: they could not be had.
  std::optional<v1::CriticalPath> path;
  std::optional<v1::RegionCosts> costs;
  std::optional<v1::Registers> registers;
  std::optional<v1::Roofline> roofline;
  std::optional<v1::OccupancyOverTime> occupancy;
  std::optional<v1::Variation> variation;
  std::optional<v1::Timeline> timeline;
  std::vector<v1::Perturbation> perturbation;   // of the kernel
  std::optional<v1::Hotspots> lines;
  std::vector<CodeSite> sites;                  // instructions, most samples first

  // Where its global loads and stores stand, and how wide they are: bytes a thread asks for, of all
  // executed ones. NAN: not known.
  Fact load_bytes_per_thread;
  Fact store_bytes_per_thread;
};

// A metric that is made from others: executed additions, multiplications and FMAs of 32 bits by threads ÷ (128
// lanes × SMs × active cycles), in %.
inline constexpr char kFp32PipeUse[] = "fp32 instructions of threads / (128 lanes x SMs x active cycles)";

// "counters NAME: 92.1 % (p12)". Names are cut to 160 bytes.
Fact MakeFact(absl::string_view backend, absl::string_view name, double value, absl::string_view unit,
              std::vector<int64_t> pass_ids);
// "p3, p4, p5 and 17 more".
std::string PassNames(const std::vector<int64_t>& ids);
inline constexpr size_t kMaxNameBytes = 120;   // of a name from a program, as shown

// Valid UTF-8 of at most kMaxNameBytes, "…" where it was cut.
std::string Shown(absl::string_view name);
// What stands before the parameters of a kernel's name, as shown; "CPU threads" for "".
std::string KernelTitle(const std::string& kernel);
// Four significant digits, thousands apart: "92.1", "1,048,576".
std::string Figure(double value);

}  // namespace sextant::analysis
