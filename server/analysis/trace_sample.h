// Instances of several passes in memory, bounded: what alignment, loops, overlaps and variation read.
//
// Where the passes recorded more than the bound, a sample is kept, and the same one of every pass:
//   * of traces of kernels, CTAs whose hash of (launch, CTA) ends in `level` zero bits. A kept CTA is
//     kept whole. CTA 0 of a launch is left out 64 times more rarely, so that short kernels stay;
//   * where few CTAs are left, and of host traces: the first `most_per_track` instances of every warp
//     or thread (the last ones, where a wrapped buffer lost its head).
// Which instances are kept depends on their numbers alone, never on time or order of arrival.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proto/chunk/decoder.h"
#include "sextant/v1/types.pb.h"

namespace sextant::analysis {

// Kernels by launch, where a trace holds several. Empty: all launches are of one.
using Kernels = absl::flat_hash_map<uint32_t, std::string>;

struct SampledInstance {
  uint64_t start = 0;      // in the trace's unit, since the track's origin
  uint64_t duration = 0;
  uint32_t region = 0;     // index into TraceSample::regions
  uint32_t depth = 0;      // nesting: 0 outermost

  uint64_t end() const { return start + duration; }
};

// One warp of one CTA, or one thread.
struct SampledTrack {
  chunk::Track track;              // `role` indexes the pass's header no longer: see `lane`
  std::string role;                // as named; empty: unnamed
  uint32_t lane = 0;               // index into TraceSample::lanes
  std::vector<SampledInstance> instances;               // in order of start, enclosing ones first
  std::vector<std::pair<uint32_t, uint64_t>> counts;    // by region: recorded, also those not kept
  bool complete = true;            // all that was recorded is here
};

// When a CTA ran, by its recorded instances; of all CTAs, kept or not.
struct CtaSpan {
  uint32_t launch = 0;
  uint32_t cta = 0;
  uint32_t sm = 0;
  uint64_t start_ns = 0;           // since the pass began
  uint64_t end_ns = 0;
};

struct SampledPass {
  const v1::PassInfo* info = nullptr;    // borrowed; may be null in tests
  v1::TimeUnit unit = v1::NANOSECONDS;
  double ns_per_unit = 1;
  std::string kernel;
  uint64_t events = 0;             // recorded, of the launches asked for
  uint64_t dropped = 0;
  std::vector<SampledTrack> tracks;
  std::vector<CtaSpan> ctas;       // in order of (launch, CTA); traces of kernels
  bool ctas_cut = false;           // there were more: the first ones recorded are here
  const Kernels* kernels = nullptr;   // borrowed; null: all launches are of one
  // (launch, lane, region) → instances of all tracks, kept or not. Without lanes that were inferred CTA
  // by CTA.
  absl::flat_hash_map<std::tuple<uint32_t, uint32_t, uint32_t>, uint64_t> totals;
};

// A role of one kernel.
struct SampledLane {
  std::string name;                // as shown: "producer", "role 0 (load, wait full)", "thread 3"
  std::string kernel;              // where the traces hold several
  std::string role;                // as named; empty: unnamed
  bool inferred = false;           // from the regions of its warps
  std::string why;                 // of an inferred one: which warps, and by what
};

struct TraceSample {
  std::vector<std::string> regions;
  std::vector<SampledLane> lanes;
  std::vector<SampledPass> passes;
  uint64_t events = 0;             // recorded, of the launches asked for
  uint64_t kept = 0;
  int level = 0;                   // of the CTAs 1 in 2^level was kept
  uint64_t most_per_track = 0;     // 0: no bound was needed
  uint64_t ctas = 0;               // of all passes, seen and kept
  uint64_t ctas_kept = 0;

  bool whole() const { return kept == events; }
  // "1 in 4 CTAs (2,112 of 8,448)", for a note; empty: everything is here.
  std::string Describe() const;
};

// Reads one pass, chunk after chunk in time order. One thread.
class PassSampler {
 public:
  struct Options {
    uint64_t max_instances = 1 << 20;   // of one pass; up to twice as many for a moment
    uint64_t max_ctas = 1 << 16;        // spans kept
    const Kernels* kernels = nullptr;   // borrowed
    std::string kernel;                 // of several, this one alone; empty: all
  };
  explicit PassSampler(Options options);
  ~PassSampler();
  PassSampler(PassSampler&&);

  void Add(const chunk::Decoded& chunk);

 private:
  friend TraceSample JoinSamples(std::vector<PassSampler> passes);
  struct State;
  std::unique_ptr<State> state_;
};

// Uses up the samplers: brings all to the same sample, names regions and lanes.
TraceSample JoinSamples(std::vector<PassSampler> passes);

// A pass to read, and the kernels of its launches (null: one kernel).
struct PassToRead {
  const v1::PassInfo* info;
  const Kernels* kernels = nullptr;
};

struct ReadSampleOptions {
  std::string kernel;                   // as in PassSampler
  uint64_t max_instances = 2 << 20;     // over all passes
  uint64_t max_ctas = 1 << 20;          // spans, over all passes
};

// Where traces are read from: chunks in time order. Called from several threads.
using TraceSource = absl::FunctionRef<absl::Status(
    const v1::PassInfo&, absl::FunctionRef<absl::Status(const chunk::Decoded&)>)>;

// Reads the traces once, two passes at a time. Errors name the pass.
absl::StatusOr<TraceSample> ReadSample(TraceSource source, absl::Span<const PassToRead> passes,
                                       const ReadSampleOptions& options);

// Whether a kernel is the one asked for, by its whole name or what stands before the parameters.
bool IsKernel(absl::string_view name, absl::string_view wanted);

}  // namespace sextant::analysis
