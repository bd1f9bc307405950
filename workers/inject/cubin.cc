#include "workers/inject/cubin.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace sextant::inject {
namespace {

constexpr uint16_t kMachineCuda = 190;  // EM_CUDA
constexpr uint8_t kSymbolEntry = 0x10;  // in st_other: a kernel

// Attributes of .nv.info; each is a format byte, a code byte and a 16-bit value or size.
constexpr uint8_t kFormatSized = 4;
constexpr uint8_t kMaxThreads = 0x05;  // three numbers
constexpr uint8_t kFrameSize = 0x11;   // symbol, bytes
constexpr uint8_t kRegisters = 0x2f;   // symbol, count

// A file whose parts are looked at only where they lie within it.
class Elf {
 public:
  explicit Elf(std::string_view bytes) : bytes_(bytes) {}

  bool Open(std::string* why) {
    if (!Read(0, &header_) || memcmp(header_.e_ident, ELFMAG, SELFMAG) != 0 ||
        header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_machine != kMachineCuda) {
      *why = "it is no 64-bit ELF file for CUDA";
      return false;
    }
    if (header_.e_shentsize != sizeof(Elf64_Shdr) || header_.e_shoff > bytes_.size() ||
        (bytes_.size() - header_.e_shoff) / sizeof(Elf64_Shdr) < header_.e_shnum) {
      *why = "its section headers do not lie within it";
      return false;
    }
    sections_.resize(header_.e_shnum);
    if (!sections_.empty()) {
      memcpy(sections_.data(), bytes_.data() + header_.e_shoff,
             sections_.size() * sizeof(Elf64_Shdr));
    }
    names_ = Contents(header_.e_shstrndx);
    return true;
  }

  const Elf64_Ehdr& header() const { return header_; }
  const std::vector<Elf64_Shdr>& sections() const { return sections_; }

  // Empty where the section does not lie within the file, or is not in it at all.
  std::string_view Contents(size_t index) const {
    if (index >= sections_.size()) return {};
    const Elf64_Shdr& section = sections_[index];
    if (section.sh_type == SHT_NOBITS || section.sh_offset > bytes_.size() ||
        section.sh_size > bytes_.size() - section.sh_offset) {
      return {};
    }
    return bytes_.substr(section.sh_offset, section.sh_size);
  }

  std::string_view NameOf(const Elf64_Shdr& section) const { return Text(names_, section.sh_name); }

  static std::string_view Text(std::string_view table, uint64_t offset) {
    if (offset >= table.size()) return {};
    const std::string_view rest = table.substr(offset);
    const size_t end = rest.find('\0');
    return end == std::string_view::npos ? std::string_view() : rest.substr(0, end);
  }

 private:
  template <typename T>
  bool Read(uint64_t offset, T* out) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return false;
    memcpy(out, bytes_.data() + offset, sizeof(T));
    return true;
  }

  std::string_view bytes_;
  Elf64_Ehdr header_ = {};
  std::vector<Elf64_Shdr> sections_;
  std::string_view names_;
};

uint32_t Word(std::string_view bytes, size_t offset) {
  uint32_t word = 0;
  if (offset + sizeof(word) <= bytes.size()) memcpy(&word, bytes.data() + offset, sizeof(word));
  return word;
}

// Calls `use(code, value bytes)` for every attribute that carries a size.
template <typename Use>
void ForAttributes(std::string_view info, Use&& use) {
  while (info.size() >= 4) {
    const uint8_t format = static_cast<uint8_t>(info[0]);
    const uint8_t code = static_cast<uint8_t>(info[1]);
    const size_t size = static_cast<uint8_t>(info[2]) | static_cast<uint8_t>(info[3]) << 8;
    info.remove_prefix(4);
    if (format != kFormatSized) continue;  // its value was in the two bytes
    if (size > info.size()) return;
    use(code, info.substr(0, size));
    info.remove_prefix(size);
  }
}

int32_t Clamped(uint64_t value) {
  return static_cast<int32_t>(std::min<uint64_t>(value, INT32_MAX));
}

CubinKernel* BySymbol(std::vector<CubinKernel>& kernels, uint32_t symbol) {
  const auto found = std::lower_bound(
      kernels.begin(), kernels.end(), symbol,
      [](const CubinKernel& kernel, uint32_t wanted) { return kernel.symbol < wanted; });
  return found != kernels.end() && found->symbol == symbol ? &*found : nullptr;
}

void FindKernels(const Elf& elf, std::vector<CubinKernel>* kernels) {
  for (size_t i = 0; i < elf.sections().size(); ++i) {
    const Elf64_Shdr& section = elf.sections()[i];
    if (section.sh_type != SHT_SYMTAB || section.sh_entsize != sizeof(Elf64_Sym)) continue;
    const std::string_view symbols = elf.Contents(i);
    const std::string_view names = elf.Contents(section.sh_link);
    const size_t count = symbols.size() / sizeof(Elf64_Sym);
    for (size_t s = 0; s < count && kernels->size() < kMaxCubinKernels; ++s) {
      Elf64_Sym symbol;
      memcpy(&symbol, symbols.data() + s * sizeof(symbol), sizeof(symbol));
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || (symbol.st_other & kSymbolEntry) == 0) {
        continue;
      }
      CubinKernel kernel;
      kernel.name = Elf::Text(names, symbol.st_name);
      kernel.symbol = static_cast<uint32_t>(s);
      kernel.code = elf.Contents(symbol.st_shndx);
      if (!kernel.name.empty() && !kernel.code.empty()) kernels->push_back(kernel);
    }
    return;  // there is one symbol table
  }
}

// "<prefix><kernel>" → the kernel, by name.
CubinKernel* ByName(std::vector<CubinKernel*>& by_name, std::string_view section,
                    std::string_view prefix) {
  if (section.substr(0, prefix.size()) != prefix) return nullptr;
  const std::string_view name = section.substr(prefix.size());
  const auto found = std::lower_bound(
      by_name.begin(), by_name.end(), name,
      [](const CubinKernel* kernel, std::string_view wanted) { return kernel->name < wanted; });
  return found != by_name.end() && (*found)->name == name ? *found : nullptr;
}

void FillKernels(const Elf& elf, uint32_t architecture, std::vector<CubinKernel>* kernels) {
  // From sm_90 on the first KiB of a block's shared memory is the system's, and counted here.
  const uint64_t reserved_shared = architecture >= 90 ? 1024 : 0;
  std::vector<CubinKernel*> by_name;
  for (CubinKernel& kernel : *kernels) by_name.push_back(&kernel);
  std::sort(by_name.begin(), by_name.end(),
            [](const CubinKernel* a, const CubinKernel* b) { return a->name < b->name; });
  for (CubinKernel& kernel : *kernels) kernel.shared_bytes = 0;
  for (size_t i = 0; i < elf.sections().size(); ++i) {
    const std::string_view section = elf.NameOf(elf.sections()[i]);
    if (section == ".nv.info") {
      ForAttributes(elf.Contents(i), [&](uint8_t code, std::string_view value) {
        CubinKernel* const kernel = BySymbol(*kernels, Word(value, 0));
        if (kernel == nullptr || value.size() < 8) return;
        if (code == kRegisters) kernel->registers = Clamped(Word(value, 4));
        if (code == kFrameSize) kernel->frame_bytes = Clamped(Word(value, 4));
      });
    } else if (CubinKernel* kernel = ByName(by_name, section, ".nv.info.")) {
      ForAttributes(elf.Contents(i), [&](uint8_t code, std::string_view value) {
        if (code != kMaxThreads || value.size() < 12) return;
        const auto side = [&](size_t at) { return std::min<uint64_t>(Word(value, at), 65535); };
        kernel->max_threads = Clamped(side(0) * side(4) * side(8));
      });
    } else if (CubinKernel* kernel = ByName(by_name, section, ".nv.shared.")) {
      const uint64_t bytes = elf.sections()[i].sh_size;
      kernel->shared_bytes = Clamped(bytes - std::min(bytes, reserved_shared));
    }
  }
}

}  // namespace

bool ParseCubinUntrusted(std::string_view bytes, Cubin* cubin, std::string* why) {
  *cubin = {};
  Elf elf(bytes);
  if (!elf.Open(why)) return false;
  // The place of the architecture in the flags moved with the version of the ABI.
  const uint32_t flags = elf.header().e_flags;
  const bool moved = elf.header().e_ident[EI_ABIVERSION] >= 8;
  cubin->architecture = moved ? flags >> 8 & 0xff : flags & 0xff;
  FindKernels(elf, &cubin->kernels);
  FillKernels(elf, cubin->architecture, &cubin->kernels);
  return true;
}

std::string Hex(const uint8_t* bytes, size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(count * 2);
  for (size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace sextant::inject
