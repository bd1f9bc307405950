// A producer and consumers that pass items through a ring of stages, simulated: runs whose longest path
// and whose span after any change are known.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "server/analysis/event_graph.h"

namespace sextant::analysis {

// Times in cycles. Regions, roles and barriers by the indices below.
struct SyntheticPipeline {
  enum Region : uint32_t { kWaitEmpty, kLoad, kWaitFull, kMultiply, kStore, kInner };
  enum Role : uint32_t { kProducer, kConsumer };
  enum Barrier : uint32_t { kEmpty, kFull };

  uint64_t items = 40;
  uint64_t stages = 4;
  uint64_t consumers = 2;        // warps; the last is `slower` cycles slower an item
  uint64_t load = 100;           // what the producer does for an item
  uint64_t copy = 400;           // from signal to the end of a consumer's wait
  uint64_t multiply = 300;
  uint64_t inner = 0;            // region within multiply, at its begin
  uint64_t slower = 0;
  uint64_t store = 1000;         // once, at the end
  uint64_t wake = 20;            // from a consumer's signal to the end of the producer's wait
  uint64_t cost = 10;            // of a wait that need not wait
  bool shared = false;           // one unit multiplies for all consumers, an item at a time
  uint64_t jitter = 0;           // up to so many cycles more for each load and multiply

  struct Run {
    std::vector<RunWarp> warps;  // the producer, then the consumers
    uint64_t end = 0;
  };

  Run Simulate() const {
    Run run;
    run.warps.resize(1 + consumers);
    for (uint32_t w = 0; w < run.warps.size(); ++w) {
      run.warps[w].warp = w;
      run.warps[w].role = w == 0 ? kProducer : kConsumer;
    }
    uint64_t producer = 0;
    std::vector<uint64_t> consumer(consumers, 0);
    uint64_t unit_free = 0;
    std::vector<uint64_t> filled(items), emptied(items);
    for (uint64_t k = 0; k < items; ++k) {
      const uint32_t slot = static_cast<uint32_t>(k % stages);
      const uint64_t free_at = k < stages ? 0 : emptied[k - stages] + wake;
      producer = Wait(&run.warps[0], kEmpty, kWaitEmpty, slot, k, producer, free_at);
      producer = Work(&run.warps[0], kLoad, k, producer, load + Jitter(2 * k));
      filled[k] = producer;
      Signal(&run.warps[0], kFull, slot, producer);
      for (uint64_t c = 0; c < consumers; ++c) {
        RunWarp* warp = &run.warps[1 + c];
        const uint64_t begin = Wait(warp, kFull, kWaitFull, slot, k, consumer[c], filled[k] + copy);
        if (inner > 0) Work(warp, kInner, k, begin, inner);
        const uint64_t queued = shared && unit_free > begin ? unit_free - begin : 0;
        consumer[c] = Work(warp, kMultiply, k, begin,
                           queued + inner + multiply + Jitter(2 * k + 1) + (c + 1 == consumers ? slower : 0));
        unit_free = consumer[c];
        Signal(warp, kEmpty, slot, consumer[c]);
        emptied[k] = std::max(emptied[k], consumer[c]);
      }
    }
    for (uint64_t c = 0; c < consumers; ++c)
      run.end = std::max(run.end, Work(&run.warps[1 + c], kStore, 0, consumer[c], store));
    return run;
  }

  // Keeps what a ring would that lost everything of each warp before about `from`: whole regions and marks.
  static void LoseHead(Run* run, uint64_t from) {
    for (RunWarp& warp : run->warps) {
      warp.head_lost = true;
      std::erase_if(warp.regions, [&](const RunRegion& region) { return region.begin < from; });
      std::erase_if(warp.marks, [&](const RunMark& mark) { return mark.begin < from; });
    }
  }

 private:
  uint64_t Jitter(uint64_t draw) const {
    return jitter == 0 ? 0 : (draw * 0x9e3779b97f4a7c15u >> 33) % jitter;
  }
  uint64_t Wait(RunWarp* warp, uint32_t barrier, uint32_t region, uint32_t slot, uint64_t ordinal,
                uint64_t at, uint64_t ready) const {
    const uint64_t end = std::max(at + cost, ready);
    warp->regions.push_back({region, ordinal, at, end});
    warp->marks.push_back({barrier, slot, true, at, end});
    return end;
  }
  static uint64_t Work(RunWarp* warp, uint32_t region, uint64_t ordinal, uint64_t at, uint64_t takes) {
    warp->regions.push_back({region, ordinal, at, at + takes});
    return at + takes;
  }
  static void Signal(RunWarp* warp, uint32_t barrier, uint32_t slot, uint64_t at) {
    warp->marks.push_back({barrier, slot, false, at, at});
  }
};

}  // namespace sextant::analysis
