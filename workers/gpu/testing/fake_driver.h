// A driver's root with a fake NVML in it, for tests: device nodes are ordinary files.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace sextant::gpu {

// Owns a directory below /tmp; sets SEXTANT_FAKE_NVML for this process. One at a time.
class FakeDriver {
 public:
  // `library`: the built libnvidia-ml.so.1.
  FakeDriver(const std::string& library, int gpus) {
    char name[] = "/tmp/sextant-driver-XXXXXX";
    root_ = mkdtemp(name);
    std::filesystem::permissions(root_, std::filesystem::perms(0755));
    for (const char* directory : {"usr/lib/x86_64-linux-gnu", "dev", "lock"}) {
      std::filesystem::create_directories(root_ / directory);
    }
    std::filesystem::copy_file(library, root_ / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1");
    for (const char* node : {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"}) Touch(node);
    values_ = {{"driver", "580.1"}, {"cuda", "13000"}, {"count", std::to_string(gpus)}};
    for (int i = 0; i < gpus; ++i) {
      const std::string n = std::to_string(i);
      Touch("nvidia" + n);
      for (const auto& [key, value] : std::map<std::string, std::string>{
               {"uuid", "GPU-" + n + "000"}, {"name", "Fake H200"}, {"minor", n},
               {"pci", "00000000:1" + n + ":00.0"}, {"memory", "150000000000"}, {"compute", "90"},
               {"sm_clock", "1980"}, {"mem_clock", "3201"}, {"sm_target", "1980"},
               {"sm_default", "1980"}, {"power_mw", "120500"}, {"temperature", "41"},
               {"throttle", "0"}, {"ecc_corrected", "0"}, {"ecc_uncorrected", "0"},
               {"rows_failed", "0"}, {"compute_mode", "0"}, {"energy_mj", "5000"},
               {"processes", ""}}) {
        values_[n + "." + key] = value;
      }
    }
    Write();
    setenv("SEXTANT_FAKE_NVML", (root_ / "nvml").c_str(), 1);
  }
  ~FakeDriver() {
    unsetenv("SEXTANT_FAKE_NVML");
    std::error_code error;
    std::filesystem::remove_all(root_, error);
  }

  void Set(const std::string& key, const std::string& value) {
    values_[key] = value;
    Write();
  }
  void Touch(const std::string& node) {
    std::filesystem::create_directories((root_ / "dev" / node).parent_path());
    std::ofstream(root_ / "dev" / node) << node;
  }
  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path locks() const { return root_ / "lock"; }

 private:
  // Readers never see half a file.
  void Write() const {
    {
      std::ofstream file(root_ / "nvml.part");
      for (const auto& [key, value] : values_) file << key << "=" << value << "\n";
    }
    std::filesystem::rename(root_ / "nvml.part", root_ / "nvml");
  }

  std::filesystem::path root_;
  std::map<std::string, std::string> values_;
};

}  // namespace sextant::gpu
