#include "workers/inject/sha256.h"

#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace sextant::inject {
namespace {

// FIPS 180-4, section 4.2.2.
alignas(16) constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using State = std::array<uint32_t, 8>;
constexpr State kInitial = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

uint32_t BigEndian(const uint8_t* at) {
  uint32_t word;
  memcpy(&word, at, 4);
  return __builtin_bswap32(word);
}

void Blocks(State& state, const uint8_t* at, size_t blocks) {
  for (; blocks > 0; --blocks, at += 64) {
    uint32_t w[64];
    for (int i = 0; i < 16; ++i) w[i] = BigEndian(at + 4 * i);
    for (int i = 16; i < 64; ++i) {
      const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
      const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (int i = 0; i < 64; ++i) {
      const uint32_t t1 = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                          ((e & f) ^ (~e & g)) + kRound[i] + w[i];
      const uint32_t t2 =
          (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = d + t1;
      d = c;
      c = b;
      b = a;
      a = t1 + t2;
    }
    const uint32_t after[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) state[i] += after[i];
  }
}

#if defined(__x86_64__)
bool HasInstructions() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29)) != 0 &&
         __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

// Four rounds with the message words `w` and their constants.
__attribute__((target("sha,sse4.1,ssse3"), always_inline)) inline void Rounds(__m128i& abef,
                                                                              __m128i& cdgh,
                                                                              __m128i w, int i) {
  __m128i k = _mm_add_epi32(w, _mm_load_si128(reinterpret_cast<const __m128i*>(kRound) + i));
  cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
  k = _mm_shuffle_epi32(k, 0x0e);
  abef = _mm_sha256rnds2_epu32(abef, cdgh, k);
}

// The message words sixteen after those of `now`; `next`, `third`, `last` follow these.
__attribute__((target("sha,sse4.1,ssse3"), always_inline)) inline void Extend(__m128i& now,
                                                                              __m128i next,
                                                                              __m128i third,
                                                                              __m128i last) {
  now = _mm_sha256msg2_epu32(
      _mm_add_epi32(_mm_sha256msg1_epu32(now, next), _mm_alignr_epi8(last, third, 4)), last);
}

// The same with the processor's instructions: modules of libraries have tens of megabytes.
__attribute__((target("sha,sse4.1,ssse3"))) void BlocksFast(State& state, const uint8_t* at,
                                                            size_t blocks) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  // The instructions want the state as ABEF and CDGH.
  __m128i abef = _mm_set_epi32(static_cast<int>(state[0]), static_cast<int>(state[1]),
                               static_cast<int>(state[4]), static_cast<int>(state[5]));
  __m128i cdgh = _mm_set_epi32(static_cast<int>(state[2]), static_cast<int>(state[3]),
                               static_cast<int>(state[6]), static_cast<int>(state[7]));
  for (; blocks > 0; --blocks, at += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    const auto* const from = reinterpret_cast<const __m128i*>(at);
    __m128i a = _mm_shuffle_epi8(_mm_loadu_si128(from), swap);
    __m128i b = _mm_shuffle_epi8(_mm_loadu_si128(from + 1), swap);
    __m128i c = _mm_shuffle_epi8(_mm_loadu_si128(from + 2), swap);
    __m128i d = _mm_shuffle_epi8(_mm_loadu_si128(from + 3), swap);
    for (int i = 0;; i += 4) {
      Rounds(abef, cdgh, a, i);
      Rounds(abef, cdgh, b, i + 1);
      Rounds(abef, cdgh, c, i + 2);
      Rounds(abef, cdgh, d, i + 3);
      if (i == 12) break;
      Extend(a, b, c, d);
      Extend(b, c, d, a);
      Extend(c, d, a, b);
      Extend(d, a, b, c);
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  alignas(16) uint32_t out[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(out), abef);
  _mm_store_si128(reinterpret_cast<__m128i*>(out) + 1, cdgh);
  state = {out[3], out[2], out[7], out[6], out[1], out[0], out[5], out[4]};
}
#endif

void AnyBlocks(State& state, const uint8_t* at, size_t blocks) {
#if defined(__x86_64__)
  static const bool fast = HasInstructions();
  if (fast) return BlocksFast(state, at, blocks);
#endif
  Blocks(state, at, blocks);
}

}  // namespace

Sha256Digest Sha256(const void* bytes, size_t count) {
  State state = kInitial;
  const uint8_t* const at = static_cast<const uint8_t*>(bytes);
  const size_t whole = count / 64;
  if (whole > 0) AnyBlocks(state, at, whole);
  const size_t rest = count % 64;
  uint8_t last[128] = {};
  if (rest > 0) memcpy(last, at + whole * 64, rest);
  last[rest] = 0x80;
  const size_t blocks = rest < 56 ? 1 : 2;
  const uint64_t bits = __builtin_bswap64(static_cast<uint64_t>(count) * 8);
  memcpy(last + blocks * 64 - 8, &bits, 8);
  AnyBlocks(state, last, blocks);
  Sha256Digest digest;
  for (int i = 0; i < 8; ++i) {
    const uint32_t word = __builtin_bswap32(state[i]);
    memcpy(digest.data() + 4 * i, &word, 4);
  }
  return digest;
}

}  // namespace sextant::inject
