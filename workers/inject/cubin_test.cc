// What is read of cubins, on files that nvcc 13.0 made (testdata).
#include "workers/inject/cubin.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/catch.h"
#include "workers/inject/kernels.h"

namespace sextant::inject {
namespace {

std::string Bytes(const std::string& name) {
  std::ifstream file("workers/inject/testdata/" + name, std::ios::binary);
  REQUIRE(file.good());
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

const CubinKernel& Named(const Cubin& cubin, std::string_view name) {
  const auto found = std::find_if(cubin.kernels.begin(), cubin.kernels.end(),
                                  [&](const CubinKernel& kernel) { return kernel.name == name; });
  REQUIRE(found != cubin.kernels.end());
  return *found;
}

std::string HexOf(const Sha256Digest& digest) { return Hex(digest.data(), digest.size()); }

TEST_CASE("SHA-256 gives the digests of the standard") {
  // FIPS 180-4, examples; the last is longer than two blocks.
  CHECK(HexOf(Sha256("abc", 3)) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(HexOf(Sha256("", 0)) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string million(1'000'000, 'a');
  CHECK(HexOf(Sha256(million.data(), million.size())) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  const std::string two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  CHECK(HexOf(Sha256(two.data(), two.size())) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("a cubin's kernels have what ptxas -v prints of them") {
  const std::string bytes = Bytes("mix_sm90.cubin");
  Cubin cubin;
  std::string why;
  REQUIRE(ParseCubinUntrusted(bytes, &cubin, &why));
  CHECK(cubin.architecture == 90);
  REQUIRE(cubin.kernels.size() == 3);
  const CubinKernel& spill = Named(cubin, "_Z5spillPfi");
  CHECK(spill.registers == 40);
  CHECK(spill.frame_bytes == 256);
  CHECK(spill.shared_bytes == 1024);  // the section holds the system's KiB too
  CHECK(spill.max_threads == 128);
  CHECK(spill.code.size() == 4096);
  CHECK(spill.symbol == 15);
  const CubinKernel& add = Named(cubin, "_Z3addIfEvPT_S1_");
  CHECK(add.registers == 10);
  CHECK(add.frame_bytes == 0);
  CHECK(add.shared_bytes == 0);
  CHECK(add.max_threads == -1);
}

TEST_CASE("older architectures keep no shared memory for the system") {
  const std::string bytes = Bytes("mix_sm75.cubin");
  Cubin cubin;
  std::string why;
  REQUIRE(ParseCubinUntrusted(bytes, &cubin, &why));
  CHECK(cubin.architecture == 75);
  CHECK(Named(cubin, "_Z5spillPfi").shared_bytes == 1024);
  CHECK(Named(cubin, "_Z5spillPfi").registers == 72);
}

TEST_CASE("the digest is of the instructions alone") {
  // Two kernels whose code differs, in one file; the same code in another file with other names
  // around it would have the same digest, because nothing but the section's bytes goes in.
  const std::string bytes = Bytes("mix_sm90.cubin");
  Cubin cubin;
  std::string why;
  REQUIRE(ParseCubinUntrusted(bytes, &cubin, &why));
  const CubinKernel& of_float = Named(cubin, "_Z3addIfEvPT_S1_");
  const CubinKernel& of_int = Named(cubin, "_Z3addIiEvPT_S1_");
  CHECK(HexOf(of_float.SassDigest()) ==
        "0cf845ed243293541cc7a207f4690ba7c269687d67ccf4788b7d609c092dc3d4");
  CHECK(of_float.SassDigest() != of_int.SassDigest());
  CHECK(of_float.SassDigest() == Sha256(of_float.code.data(), of_float.code.size()));
}

TEST_CASE("what is no cubin is refused") {
  Cubin cubin;
  std::string why;
  CHECK_FALSE(ParseCubinUntrusted("", &cubin, &why));
  CHECK_FALSE(ParseCubinUntrusted("\177ELF", &cubin, &why));
  CHECK(why == "it is no 64-bit ELF file for CUDA");
  CHECK_FALSE(ParseCubinUntrusted(std::string(4096, '\0'), &cubin, &why));
}

TEST_CASE("a cubin that is cut or damaged anywhere is read without harm") {
  const std::string whole = Bytes("twice_sm90.cubin");
  Cubin cubin;
  std::string why;
  REQUIRE(ParseCubinUntrusted(whole, &cubin, &why));
  const size_t kernels = cubin.kernels.size();
  REQUIRE(kernels == 1);
  for (size_t length = 0; length < whole.size(); length += 7) {
    // A copy of exactly that size, so that a sanitizer sees a byte too many.
    const std::string cut(whole.data(), length);
    if (ParseCubinUntrusted(cut, &cubin, &why)) CHECK(cubin.kernels.size() <= kernels);
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    if (!ParseCubinUntrusted(damaged, &cubin, &why)) continue;
    for (const CubinKernel& kernel : cubin.kernels) {
      // Views must lie within the file.
      CHECK(kernel.code.data() >= damaged.data());
      CHECK(kernel.code.data() + kernel.code.size() <= damaged.data() + damaged.size());
    }
  }
}

TEST_CASE("kernels are known by their demangled names") {
  CHECK(Demangle("_Z3addIfEvPT_S1_") == "void add<float>(float*, float*)");
  CHECK(Demangle("matmul_kernel") == "matmul_kernel");
  CHECK(Demangle("f") == "f");
  Kernels kernels;
  std::string why;
  CHECK(kernels.Matches("anything"));
  REQUIRE(kernels.SetFilter("^void add<(float|half)>", &why));
  CHECK(kernels.Matches("void add<float>(float*, float*)"));
  CHECK_FALSE(kernels.Matches("void add<int>(int*, int*)"));
  Kernels broken;
  CHECK_FALSE(broken.SetFilter("a(b", &why));
  CHECK_THAT(why, Catch::Contains("SEXTANT_KERNELS: \"a(b\""));
}

TEST_CASE("launches are counted when they succeed") {
  Kernels kernels;
  CHECK(kernels.Next() == 0);
  CHECK(kernels.Next() == 0);  // the call before failed
  kernels.Count();
  CHECK(kernels.Next() == 1);
  kernels.Count(3);
  CHECK(kernels.Next() == 4);
}

}  // namespace
}  // namespace sextant::inject
