// What the self-test program does on the GPU, to the instruction: backends are held to it.
#pragma once

#include <cstdint>

namespace sextant::gpu::selftest {

inline constexpr char kProgram[] = "sextant-gpu-selftest";  // beside libsextant_inject.so

inline constexpr char kSpinKernel[] = "sextant_selftest_spin";
inline constexpr char kFfmaKernel[] = "sextant_selftest_ffma";
inline constexpr char kCopyKernel[] = "sextant_selftest_copy";

// Each kernel is launched this often, in this order: spin, ffma, copy, spin, …
inline constexpr unsigned kLaunches = 2;

inline constexpr uint64_t kSpinCycles = 2'000'000;  // at least; of %clock64, in one warp

// A loop that issues kFfmaPerTurn FFMA a turn, in every thread of kFfmaBlocks × kFfmaThreads.
inline constexpr unsigned kFfmaTurns = 256, kFfmaPerTurn = 4;
inline constexpr unsigned kFfmaBlocks = 8, kFfmaThreads = 128;
inline constexpr uint64_t kFfmaPerThread = uint64_t{kFfmaTurns} * kFfmaPerTurn;
inline constexpr uint64_t kFfmaThreadInstructions = kFfmaPerThread * kFfmaBlocks * kFfmaThreads;
inline constexpr uint64_t kFfmaWarpInstructions = kFfmaThreadInstructions / 32;

// Each thread reads 16 bytes and writes them elsewhere.
inline constexpr unsigned kCopyThreads = 256;
inline constexpr uint64_t kCopyBytes = 64ull << 20;
inline constexpr unsigned kCopyBlocks = kCopyBytes / 16 / kCopyThreads;

}  // namespace sextant::gpu::selftest
