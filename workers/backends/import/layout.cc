#include "workers/backends/import/layout.h"

#include <algorithm>
#include <fstream>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "workers/backends/cutracer/traces.h"
#include "workers/backends/formats/gzip.h"
#include "workers/backends/ncu/command.h"
#include "workers/backends/proton/results.h"
#include "workers/backends/result_file.h"

namespace sextant::backends::import {
namespace {
namespace fs = std::filesystem;

std::string Shown(const fs::path& path) { return chunk::CleanName(path.filename().string(), 128); }

// The first kHeadBytes of a file, unpacked when it is gzipped.
absl::StatusOr<std::string> ReadHead(const fs::path& path, bool* gzipped) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::InvalidArgumentError(absl::StrCat(Shown(path), " cannot be opened"));
  std::string head(kHeadBytes, '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(file.gcount()));
  *gzipped = formats::IsGzip(head);
  return *gzipped ? formats::UnpackGzipHead(head, kHeadBytes) : head;
}

absl::Status Move(const Input& input, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  if (fs::exists(to, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Shown(input.path), " (", Describe(input.kind),
                     ") is the second of its kind; import it as a pass of its own"));
  }
  if (!input.gzipped) {
    fs::rename(input.path, to, error);
    if (error) return absl::InternalError(absl::StrCat(Shown(input.path), ": ", error.message()));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string bytes, ReadInput(input));
  std::ofstream file(to, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return absl::ResourceExhaustedError(absl::StrCat("writing ", Shown(to), " failed"));
  return absl::OkStatus();
}

// A name that proton_launch.py could have given: its readers take no other.
std::string BufferName(size_t index) { return absl::StrCat("0-", index, ".raw"); }

absl::Status LayOutProton(const std::vector<Input>& inputs, const BufferNames& names,
                          const fs::path& folder) {
  const bool with_log = std::any_of(inputs.begin(), inputs.end(),
                                    [](const Input& one) { return one.kind == Kind::kProtonLog; });
  std::string log;
  size_t buffers = 0;
  for (const Input& input : inputs) {
    switch (input.kind) {
      case Kind::kProtonTrace:
        RETURN_IF_ERROR(Move(input, folder / "intra.chrome_trace"));
        break;
      case Kind::kProtonLog:
        RETURN_IF_ERROR(Move(input, folder / absl::StrCat("launches-", buffers, ".jsonl")));
        break;
      default: {
        const std::string name = with_log ? input.name : BufferName(buffers);
        const nlohmann::json line = {
            {"kind", "launch"},     {"launch", buffers},
            {"kernel", names.kernel.empty() ? "kernel" : names.kernel},
            {"scopes", names.scopes}, {"file", name}};
        absl::StrAppend(&log, line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), "\n");
        ++buffers;
        RETURN_IF_ERROR(Move(input, folder / name));
      }
    }
  }
  if (buffers == 0 || with_log) return absl::OkStatus();
  std::ofstream file(folder / "launches-0.jsonl", std::ios::binary);
  file << log;
  file.close();
  if (!file) return absl::ResourceExhaustedError("writing the list of launches failed");
  return absl::OkStatus();
}

// CUTracer's own names say which launch a file is about; others stand for one launch.
absl::StatusOr<bool> LayOutCutracer(const std::vector<Input>& inputs, const fs::path& results) {
  bool histogram = false;
  for (const Input& input : inputs) {
    const bool csv = input.kind == Kind::kCutracerHistogram;
    histogram |= csv;
    cutracer::FileName named;
    std::string name = input.name;
    if (!cutracer::ParseFileName(name, &named)) {
      name = absl::StrCat("kernel_imported_iter0_kernel", csv ? "_hist.csv" : ".ndjson");
    }
    RETURN_IF_ERROR(Move(input, results / name));
  }
  return histogram;
}

absl::Status LayOutNcu(const std::vector<Input>& inputs, const fs::path& results) {
  bool raw = false;
  for (const Input& input : inputs) {
    raw |= input.kind == Kind::kNcuRaw;
    RETURN_IF_ERROR(Move(input, results / (input.kind == Kind::kNcuRaw       ? ncu::kRawPage
                                           : input.kind == Kind::kNcuDetails ? ncu::kDetailsPage
                                                                             : ncu::kReport)));
  }
  if (raw) return absl::OkStatus();
  return WithRemedy(
      absl::InvalidArgumentError(absl::StrCat(inputs[0].name, " is ", Describe(inputs[0].kind),
                                              "; what is read is the raw page")),
      "`ncu --import REPORT.ncu-rep --csv --page raw > raw.csv` writes it; import that, or both in a folder");
}

absl::Status LayOutRocprof(const std::vector<Input>& inputs, const fs::path& results) {
  size_t index = 0;
  for (const Input& input : inputs) {
    const char* ending = input.kind == Kind::kRocprofKernels    ? "_kernel_trace.csv"
                         : input.kind == Kind::kRocprofCopies   ? "_memory_copy_trace.csv"
                         : input.kind == Kind::kRocprofCounters ? "_counter_collection.csv"
                                                                : "_results.json";
    RETURN_IF_ERROR(Move(input, results / absl::StrCat("import", index++, ending)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadInput(const Input& input) {
  ASSIGN_OR_RETURN(std::string bytes, ReadResultFile(input.path, kMaxUnpackedBytes));
  if (!input.gzipped) return bytes;
  ASSIGN_OR_RETURN(std::string unpacked, formats::UnpackGzipUntrusted(bytes, kMaxUnpackedBytes),
                   Shown(input.path));
  return unpacked;
}

absl::StatusOr<std::vector<Input>> Recognise(const std::vector<fs::path>& files,
                                             const std::string& only,
                                             std::vector<std::string>* notes) {
  if (files.size() > kMaxFiles) {
    return absl::OutOfRangeError(absl::StrCat("more than ", kMaxFiles, " files (kMaxFiles) in one pass"));
  }
  std::vector<Input> inputs;
  for (const fs::path& path : files) {
    Input input;
    input.path = path;
    ASSIGN_OR_RETURN(const std::string head,
                     ReadHead(path, &input.gzipped));
    const std::optional<Kind> kind = KindOf(head);
    if (!kind.has_value()) {
      if (files.size() > 1 && notes->size() < 32) {
        notes->push_back(absl::StrCat(Shown(path), " was left out: it is no file of a known tool"));
      }
      continue;
    }
    input.kind = *kind;
    input.name = std::string(absl::StripSuffix(path.filename().string(), ".gz"));
    if (input.kind == Kind::kRecording) {
      return WithRemedy(absl::InvalidArgumentError(absl::StrCat(Shown(path), " is a recording of a pass")),
                        "play it with `--pass replay:FILE`");
    }
    // Any Chrome trace may be read as one, whoever wrote it.
    if (only == "chrome" && std::string(ToolOf(*kind)) == "kineto") input.kind = Kind::kChrome;
    if (only == "kineto" && *kind == Kind::kChrome) input.kind = Kind::kKineto;
    if (!only.empty() && only != ToolOf(input.kind)) {
      return absl::InvalidArgumentError(absl::StrCat("options[\"kind\"]: ", Shown(path), " is not of ", only,
                                                     " but ", Describe(input.kind)));
    }
    inputs.push_back(std::move(input));
  }
  if (inputs.empty()) {
    return WithRemedy(
        absl::InvalidArgumentError(absl::StrCat(
            files.empty() ? "there is no file" : Shown(files[0]), files.size() > 1 ? " and the others are" : " is",
            " no file of a known tool")),
        absl::StrCat("what can be imported is of ", kTools, " (docs/formats.md)"));
  }
  for (const Input& input : inputs) {
    if (std::string(ToolOf(input.kind)) == ToolOf(inputs[0].kind)) continue;
    return WithRemedy(
        absl::InvalidArgumentError(absl::StrCat(
            "the files are of two tools: ", inputs[0].name, " is ", Describe(inputs[0].kind), ", ",
            input.name, " is ", Describe(input.kind))),
        "import them one by one: each becomes a pass");
  }
  return inputs;
}

absl::StatusOr<v1::PassSpec> LayOut(const std::vector<Input>& inputs, const BufferNames& names,
                                    const fs::path& results) {
  v1::PassSpec spec;
  spec.set_repeat(1);
  const std::string tool = ToolOf(inputs[0].kind);
  const fs::path proton = results / proton::kResultsFolder;
  spec.set_backend(tool);
  if (tool == "proton") {
    RETURN_IF_ERROR(LayOutProton(inputs, names, proton));
  } else if (tool == "proton-host") {
    spec.set_backend("proton");
    (*spec.mutable_options())["mode"] = "host";
    for (const Input& input : inputs) {
      RETURN_IF_ERROR(Move(
          input, proton / (input.kind == Kind::kHatchet ? "host.hatchet" : "kernels.chrome_trace")));
    }
  } else if (tool == "ncu") {
    RETURN_IF_ERROR(LayOutNcu(inputs, results));
  } else if (tool == "cutracer") {
    ASSIGN_OR_RETURN(const bool histogram, LayOutCutracer(inputs, results));
    if (!histogram) (*spec.mutable_options())["mode"] = "opcodes";
  } else if (tool == "rocprofv3") {
    spec.set_backend("exec:rocprof");
    RETURN_IF_ERROR(LayOutRocprof(inputs, results));
  } else if (tool == "scopes") {
    size_t index = 0;
    for (const Input& input : inputs) {
      RETURN_IF_ERROR(Move(input, results / absl::StrCat("sextant-scopes-0-", index++, ".bin")));
    }
  } else if (tool == "host") {
    for (const Input& input : inputs) RETURN_IF_ERROR(Move(input, results / input.name));
  } else if (inputs.size() > 1) {
    return WithRemedy(absl::InvalidArgumentError(absl::StrCat(
                          inputs.size(), " traces (", inputs[0].name, ", ", inputs[1].name,
                          inputs.size() > 2 ? ", …" : "", ") were given as one pass")),
                      "import them one by one: each becomes a pass");
  }
  return spec;
}

}  // namespace sextant::backends::import
