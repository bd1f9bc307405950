// A small asynchronous program as many are: loader threads fill a ring of buffers, compute threads
// empty it, an epilogue reduces. A good first thing to profile.
//
//   cd examples/async_pipeline
//   g++ -O2 -std=c++17 -pthread -I ../../client/include async_pipeline.cc -o async_pipeline
//   ./async_pipeline --items 96 --loaders 1 --computers 2
//   sextant run --pass host*20 -- ./async_pipeline
//
// The data are time series: packed blocks of differences in a temporary file. A loader reads a
// block and unpacks it; a compute thread sorts it and takes its quantiles and a hash; the epilogue
// joins these. Blocks differ in size, threads compete for cores and for the ring, so that no two
// runs take the same time. The checksum printed at the end depends on --items and --seed alone.
//
// What it shows under Sextant: whether the loaders wait for the computers (`wait_empty`) or these
// for them (`wait_full`), and how that changes with --loaders, --computers and --ring.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sextant/scope.h"

namespace {

struct Options {
  uint64_t items = 96;
  uint64_t loaders = 1;
  uint64_t computers = 2;
  uint64_t ring = 4;
  uint64_t values = 32 * 1024;  // of a block, in the mean
  uint64_t seed = 1;
};

// SplitMix64, by Vigna: the i-th output is a function of seed + i, so that blocks are independent.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

// The packed blocks, in a file that vanishes with the program.
class BlockFile {
 public:
  explicit BlockFile(const Options& options) : file_(std::tmpfile(), &std::fclose) {
    if (file_ == nullptr) Fail("cannot make a temporary file");
    std::vector<uint8_t> packed;
    for (uint64_t item = 0; item < options.items; ++item) {
      Random random(options.seed * 1000003 + item);
      const uint64_t count = options.values / 2 + random.Next() % (options.values + 1);
      packed.clear();
      for (uint64_t i = 0; i < count; ++i) {
        const uint64_t draw = random.Next();
        uint64_t step = draw >> (43 + draw % 16);  // small steps are frequent
        for (; step >= 0x80; step >>= 7) packed.push_back(static_cast<uint8_t>(step | 0x80));
        packed.push_back(static_cast<uint8_t>(step));
      }
      if (std::fwrite(packed.data(), 1, packed.size(), file_.get()) != packed.size()) {
        Fail("cannot write the temporary file");
      }
      offsets_.push_back(offsets_.back() + packed.size());
    }
    if (std::fflush(file_.get()) != 0) Fail("cannot write the temporary file");
  }

  void Read(uint64_t item, std::vector<uint8_t>* packed) const {
    packed->resize(offsets_[item + 1] - offsets_[item]);
    const ssize_t got = pread(fileno(file_.get()), packed->data(), packed->size(),
                              static_cast<off_t>(offsets_[item]));
    if (got != static_cast<ssize_t>(packed->size())) Fail("cannot read the temporary file");
  }

 private:
  [[noreturn]] static void Fail(const char* what) {
    std::perror(what);
    std::exit(1);
  }

  std::unique_ptr<FILE, int (*)(FILE*)> file_;
  std::vector<uint64_t> offsets_ = {0};
};

void Unpack(const std::vector<uint8_t>& packed, std::vector<uint32_t>* values) {
  values->clear();
  uint32_t level = 0;
  uint32_t step = 0;
  int shift = 0;
  for (const uint8_t byte : packed) {
    step |= static_cast<uint32_t>(byte & 0x7f) << shift;
    shift += 7;
    if (byte & 0x80) continue;
    level = level * 5 + step;  // a series that jumps about: sorting it is work
    values->push_back(level);
    step = 0;
    shift = 0;
  }
}

// The ring. Buffer item % size serves item after item; its turn counts 2 per item: even, it is
// empty and waits for the loader of item turn / 2 · size + index; odd, it is full.
class Ring {
 public:
  explicit Ring(uint64_t size) : slots_(size) {}

  std::vector<uint32_t>& WaitEmpty(uint64_t item) { return Wait(item, 0); }
  std::vector<uint32_t>& WaitFull(uint64_t item) { return Wait(item, 1); }
  void SignalFull(uint64_t item) { Advance(item); }
  void SignalEmpty(uint64_t item) { Advance(item); }

 private:
  struct Slot {
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t turn = 0;  // guarded by mutex
    std::vector<uint32_t> values;
  };

  std::vector<uint32_t>& Wait(uint64_t item, uint64_t full) {
    Slot& slot = slots_[item % slots_.size()];
    std::unique_lock<std::mutex> lock(slot.mutex);
    slot.changed.wait(lock, [&] { return slot.turn == item / slots_.size() * 2 + full; });
    return slot.values;
  }
  void Advance(uint64_t item) {
    Slot& slot = slots_[item % slots_.size()];
    {
      std::lock_guard<std::mutex> lock(slot.mutex);
      ++slot.turn;
    }
    slot.changed.notify_all();
  }

  std::vector<Slot> slots_;
};

struct Summary {
  uint64_t count = 0;
  uint64_t hash = 0;
  std::array<uint32_t, 3> quantiles = {};
};

void Load(const BlockFile& blocks, uint64_t first, const Options& options, Ring* ring) {
  sextant_role("producer");
  std::vector<uint8_t> packed;
  for (uint64_t item = first; item < options.items; item += options.loaders) {
    std::vector<uint32_t>* buffer;
    {
      SEXTANT_SCOPE("wait_empty");
      buffer = &ring->WaitEmpty(item);
    }
    SEXTANT_SCOPE("load");
    {
      SEXTANT_SCOPE("read");
      blocks.Read(item, &packed);
    }
    {
      SEXTANT_SCOPE("unpack");
      Unpack(packed, buffer);
    }
    ring->SignalFull(item);
  }
}

Summary Summarize(std::vector<uint32_t>* values) {
  Summary summary;
  {
    SEXTANT_SCOPE("sort");
    std::sort(values->begin(), values->end());
  }
  SEXTANT_SCOPE("hash");
  summary.count = values->size();
  for (size_t q = 0; q < summary.quantiles.size(); ++q) {
    summary.quantiles[q] = (*values)[values->size() * (q + 1) / 4];
  }
  summary.hash = 0xcbf29ce484222325u;
  for (const uint32_t value : *values) summary.hash = (summary.hash ^ value) * 0x100000001b3u;
  return summary;
}

void Compute(uint64_t first, const Options& options, Ring* ring, std::vector<Summary>* summaries) {
  sextant_role("consumer");
  for (uint64_t item = first; item < options.items; item += options.computers) {
    std::vector<uint32_t>* buffer;
    {
      SEXTANT_SCOPE("wait_full");
      buffer = &ring->WaitFull(item);
    }
    SEXTANT_SCOPE("compute");
    (*summaries)[item] = Summarize(buffer);
    ring->SignalEmpty(item);
  }
}

Summary Reduce(const std::vector<Summary>& summaries) {
  SEXTANT_SCOPE("reduce");
  Summary total;
  std::vector<uint32_t> quantiles;
  for (const Summary& summary : summaries) {
    total.count += summary.count;
    total.hash = (total.hash ^ summary.hash) * 0x100000001b3u;
    quantiles.insert(quantiles.end(), summary.quantiles.begin(), summary.quantiles.end());
  }
  std::sort(quantiles.begin(), quantiles.end());
  for (size_t q = 0; q < total.quantiles.size(); ++q) {
    total.quantiles[q] = quantiles[quantiles.size() * (q + 1) / 4];
  }
  return total;
}

bool Parse(int argc, char** argv, Options* options) {
  const std::pair<const char*, uint64_t*> known[] = {
      {"--items", &options->items},   {"--loaders", &options->loaders},
      {"--ring", &options->ring},     {"--computers", &options->computers},
      {"--values", &options->values}, {"--seed", &options->seed}};
  for (int i = 1; i < argc; i += 2) {
    uint64_t* value = nullptr;
    for (const auto& [name, target] : known) {
      if (std::strcmp(argv[i], name) == 0) value = target;
    }
    char* end = nullptr;
    if (value != nullptr && i + 1 < argc) *value = std::strtoull(argv[i + 1], &end, 10);
    if (end == nullptr || *end != 0 || end == argv[i + 1]) return false;
  }
  return options->items > 0 && options->items <= 1000000 && options->loaders > 0 &&
         options->loaders <= 256 && options->computers > 0 && options->computers <= 256 &&
         options->ring > 0 && options->ring <= 4096 && options->values >= 8 &&
         options->values <= 1 << 24;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, &options)) {
    std::fprintf(
        stderr,
        "usage: async_pipeline [--items N] [--loaders N] [--computers N] [--ring BUFFERS]\n"
        "                      [--values MEAN_PER_ITEM] [--seed N]\n");
    return 2;
  }
  sextant_role("epilogue");
  std::unique_ptr<BlockFile> blocks;
  {
    SEXTANT_SCOPE("prepare");
    blocks = std::make_unique<BlockFile>(options);
  }
  Ring ring(options.ring);
  std::vector<Summary> summaries(options.items);
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < options.loaders; ++i) {
    threads.emplace_back([&, i] { Load(*blocks, i, options, &ring); });
  }
  for (uint64_t i = 0; i < options.computers; ++i) {
    threads.emplace_back([&, i] { Compute(i, options, &ring, &summaries); });
  }
  {
    SEXTANT_SCOPE("join");
    for (std::thread& thread : threads) thread.join();
  }
  const Summary total = Reduce(summaries);
  std::printf("items %llu, values %llu, quartiles %u %u %u, checksum %016llx\n",
              static_cast<unsigned long long>(options.items),
              static_cast<unsigned long long>(total.count), total.quantiles[0], total.quantiles[1],
              total.quantiles[2], static_cast<unsigned long long>(total.hash));
  return 0;
}
