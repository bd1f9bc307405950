// Loads modules through the driver, tells the Recorder of each, and launches their kernel `scoped`.
//   scoped_module FILE…    cubins or PTX; FILE.cu is compiled by NVRTC, with $SEXTANT_INCLUDE
// Exits with 4 when a module was not taken.
#include <cuda.h>
#include <dlfcn.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "check.h"
#include "sextant/scope.cuh"

template <typename Function>
static Function* Driver(Function*, const char* name) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found;
  MUST(cudaGetDriverEntryPointByVersion(name, &entry, 12000, cudaEnableDefault, &found));
  return reinterpret_cast<Function*>(entry);
}
#define DRIVER(name, ...)                                              \
  do {                                                                 \
    const CUresult result = Driver(&name, #name)(__VA_ARGS__);         \
    if (result == CUDA_SUCCESS) break;                                 \
    std::fprintf(stderr, "%s: %d\n", #name, static_cast<int>(result)); \
    std::exit(9);                                                      \
  } while (false)

static std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// By the NVRTC that the machine has, whose headers need not be here; "" where it has none.
static std::string Compile(const std::string& path) {
  void* const library = dlopen("libnvrtc.so.13", RTLD_NOW);
  if (library == nullptr) return "";
  const auto call = [&](const char* name, auto... arguments) {
    return reinterpret_cast<int (*)(decltype(arguments)...)>(dlsym(library, name))(arguments...);
  };
  const char* const include = std::getenv("SEXTANT_INCLUDE");
  const std::string search = std::string("-I") + (include != nullptr ? include : ".");
  const char* options[] = {"-arch=sm_90", "-std=c++17", search.c_str()};
  const std::string source = Read(path);
  void* program = nullptr;
  size_t bytes = 0;
  std::string out;
  const char** const none = nullptr;
  if (call("nvrtcCreateProgram", &program, source.c_str(), "scoped.cu", 0, none, none) != 0) return "";
  if (call("nvrtcCompileProgram", program, 3, static_cast<const char**>(options)) != 0) {
    call("nvrtcGetProgramLogSize", program, &bytes);
    out.resize(bytes);
    call("nvrtcGetProgramLog", program, out.data());
    std::fprintf(stderr, "%s\n", out.c_str());
    std::exit(8);
  }
  call("nvrtcGetCUBINSize", program, &bytes);
  out.resize(bytes);
  call("nvrtcGetCUBIN", program, out.data());
  return out;
}

int main(int argc, char** argv) {
  MUST(cudaFree(nullptr));
  sextant::Recorder recorder;
  CUdeviceptr data;
  DRIVER(cuMemAlloc, &data, 4096);
  std::vector<CUmodule> modules;
  for (int i = 1; i < argc; ++i) {
    const std::string path = argv[i];
    const bool source = path.size() > 3 && path.compare(path.size() - 3, 3, ".cu") == 0;
    const std::string image = source ? Compile(path) : Read(path);
    if (image.empty()) {
      std::fprintf(stderr, "scoped_module: %s was left out: no NVRTC here\n", path.c_str());
      continue;
    }
    CUmodule module;
    CUfunction function;
    DRIVER(cuModuleLoadData, &module, image.data());
    if (recorder.recording() && !recorder.Add(module)) return 4;
    DRIVER(cuModuleGetFunction, &function, module, "scoped");
    int rounds = 10 * i;
    void* arguments[] = {&data, &rounds};
    for (int launch = 0; launch < 2; ++launch) {
      DRIVER(cuLaunchKernel, function, 4, 1, 1, 64, 1, 1, 0, nullptr, arguments, nullptr);
    }
    modules.push_back(module);
  }
  MUST(cudaDeviceSynchronize());
  for (const CUmodule module : modules) {
    recorder.Remove(module);
    DRIVER(cuModuleUnload, module);
  }
  return 0;
}
