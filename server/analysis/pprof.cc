#include "server/analysis/pprof.h"

#include <google/protobuf/io/gzip_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "server/analysis/role_inference.h"

namespace sextant::analysis {
namespace {

constexpr std::pair<const char*, const char*> kSampleTypes[] = {{"samples", "count"},
                                                                {"unhidden", "count"}};
constexpr uint64_t kMapping = 1;
constexpr size_t kMaxStacks = 1 << 20;   // beyond it instances count for their role alone

}  // namespace

PprofBuilder::PprofBuilder(absl::Span<const std::pair<const char*, const char*>> types) {
  TextId("");
  for (const auto& [name, unit] : types) {
    foreign::pprof::ValueType* type = profile_.add_sample_type();
    type->set_type(TextId(name));
    type->set_unit(TextId(unit));
  }
  foreign::pprof::Mapping* mapping = profile_.add_mapping();
  mapping->set_id(kMapping);
  mapping->set_has_functions(true);
  mapping->set_has_filenames(true);
  mapping->set_has_line_numbers(true);
}

int64_t PprofBuilder::TextId(absl::string_view text) {
  const auto [at, added] = texts_.try_emplace(text, profile_.string_table_size());
  if (added) profile_.add_string_table(text.data(), text.size());
  return at->second;
}

uint64_t PprofBuilder::Location(absl::string_view function, absl::string_view file, int64_t line,
                                uint64_t address) {
  const int64_t name = TextId(function), file_name = TextId(file);
  const auto [known, new_function] =
      functions_.try_emplace({name, file_name}, functions_.size() + 1);
  if (new_function) {
    foreign::pprof::Function* added = profile_.add_function();
    added->set_id(known->second);
    added->set_name(name);
    added->set_system_name(name);
    added->set_filename(file_name);
  }
  const auto [at, new_location] =
      locations_.try_emplace({known->second, line, address}, locations_.size() + 1);
  if (new_location) {
    foreign::pprof::Location* added = profile_.add_location();
    added->set_id(at->second);
    added->set_mapping_id(kMapping);
    added->set_address(address);
    added->add_line()->set_function_id(known->second);
    added->mutable_line(0)->set_line(line);
  }
  return at->second;
}

void PprofBuilder::Add(std::vector<uint64_t> stack,
                       absl::Span<const std::pair<absl::string_view, absl::string_view>> labels,
                       absl::Span<const int64_t> values) {
  std::vector<int64_t> texts;
  for (const auto& [name, text] : labels) {
    if (text.empty()) continue;
    texts.push_back(TextId(name));
    texts.push_back(TextId(text));
  }
  const auto [at, added] = samples_.try_emplace({std::move(stack), std::move(texts)},
                                                profile_.sample_size());
  if (added) {
    foreign::pprof::Sample* sample = profile_.add_sample();
    for (uint64_t location : at->first.first) sample->add_location_id(location);
    for (size_t i = 0; i + 1 < at->first.second.size(); i += 2) {
      foreign::pprof::Label* label = sample->add_label();
      label->set_key(at->first.second[i]);
      label->set_str(at->first.second[i + 1]);
    }
    for (size_t i = 0; i < values.size(); ++i) sample->add_value(0);
  }
  foreign::pprof::Sample* sample = profile_.mutable_sample(at->second);
  for (size_t i = 0; i < values.size(); ++i)
    sample->set_value(static_cast<int>(i), sample->value(static_cast<int>(i)) + values[i]);
}

void PprofBuilder::Comment(absl::string_view text) { profile_.add_comment(TextId(text)); }

std::string PprofBuilder::Finish(size_t default_type) {
  profile_.set_default_sample_type(profile_.sample_type(static_cast<int>(default_type)).type());
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream out(&bytes);
    google::protobuf::io::GzipOutputStream gzip(&out);
    profile_.SerializeToZeroCopyStream(&gzip);
    gzip.Close();
  }
  return bytes;
}

SampleProfile::SampleProfile() : builder_(kSampleTypes) {}

absl::Status SampleProfile::Add(const v1::DataTable& table) {
  const auto find = [&table](const char* name) { return table::Find(table, name); };
  const v1::DataColumn *kernel = find("kernel"), *pc = find("pc"), *samples = find("samples");
  if (kernel == nullptr || pc == nullptr || samples == nullptr)
    return absl::InvalidArgumentError(
        "table: pc_samples lacks one of the columns kernel, pc, samples");
  const v1::DataColumn *issued = find("issued"), *function = find("function"), *file = find("file"),
                       *line = find("line"), *stall = find("stall"), *opcode = find("opcode");
  for (uint64_t row = 0; row < table.rows(); ++row) {
    const auto number = [row](const v1::DataColumn* column) -> int64_t {
      const double value = column == nullptr ? 0 : table::NumberAt(*column, row);
      return value > 0 && value < 1e18 ? static_cast<int64_t>(value) : 0;
    };
    const auto text = [row](const v1::DataColumn* column) {
      const std::string_view found = column == nullptr ? "" : table::TextAt(*column, row);
      return absl::string_view(found.data(), found.size());
    };
    const absl::string_view name = text(kernel);
    const absl::string_view inlined = text(function).empty() ? name : text(function);
    std::vector<uint64_t> stack = {
        builder_.Location(inlined, text(file), number(line), static_cast<uint64_t>(number(pc)))};
    if (inlined != name) stack.push_back(builder_.Location(name, "", 0, 0));
    const int64_t all = number(samples);
    const int64_t values[] = {all, std::max<int64_t>(0, all - number(issued))};
    builder_.Add(std::move(stack), {{"stall", text(stall)}, {"opcode", text(opcode)}}, values);
  }
  return absl::OkStatus();
}

namespace {

class PprofExporter : public TraceExporter {
 public:
  explicit PprofExporter(ByteSink sink) : sink_(sink), builder_(kTypes) {}

  absl::Status Begin() override { return absl::OkStatus(); }

  absl::Status BeginPass(const v1::PassInfo& pass, const v1::DataTable*) override {
    builder_.Comment(PassTitle(pass));
    return absl::OkStatus();
  }

  // Instances of a track come by start, the longer first: what encloses one came before it.
  absl::Status Add(const chunk::Decoded& chunk) override {
    const v1::ChunkHeader& header = chunk.header;
    const size_t unit = header.unit() == v1::CYCLES ? kCycles : kTime;
    for (const chunk::TrackSlice& slice : chunk.tracks) {
      const chunk::Track& track = slice.track;
      Open& open = open_[{track.launch, track.cta, track.warp, track.role}];
      if (open.root == 0) open.root = Child(Child(kNone, header.kernel().empty() ? "program" : header.kernel()),
                                           LaneName(header, track));
      for (uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
        const uint64_t end = chunk.start[i] + chunk.duration[i];
        while (!open.stack.empty() && open.stack.back().end <= chunk.start[i]) open.stack.pop_back();
        size_t enclosing = open.stack.size();
        while (enclosing > 0 && open.stack[enclosing - 1].end < end) --enclosing;
        const uint32_t parent = enclosing == 0 ? open.root : open.stack[enclosing - 1].node;
        const uint32_t node = Child(parent, header.regions(static_cast<int>(chunk.region[i])));
        nodes_[node].values[kInstances] += 1;
        nodes_[node].values[unit] += static_cast<int64_t>(chunk.duration[i]);
        if (enclosing > 0) nodes_[parent].values[unit] -= static_cast<int64_t>(chunk.duration[i]);
        any_cycles_ |= unit == kCycles;
        open.stack.push_back({end, node});
      }
    }
    return absl::OkStatus();
  }

  absl::Status EndPass() override {
    open_.clear();
    return absl::OkStatus();
  }

  absl::Status End() override {
    for (const Node& node : nodes_) {
      if (node.values[kInstances] == 0) continue;
      std::vector<uint64_t> stack;
      for (const Node* at = &node;; at = &nodes_[at->parent]) {
        stack.push_back(at->location);
        if (at->parent == kNone) break;
      }
      // Overlap without nesting may take more from a region than it has.
      int64_t values[kValues];
      for (size_t i = 0; i < kValues; ++i) values[i] = std::max<int64_t>(0, node.values[i]);
      builder_.Add(std::move(stack), {}, values);
    }
    return sink_(builder_.Finish(any_cycles_ ? kCycles : kTime));
  }

 private:
  enum Value : size_t { kInstances, kTime, kCycles, kValues };
  static constexpr std::pair<const char*, const char*> kTypes[kValues] = {
      {"instances", "count"}, {"time", "nanoseconds"}, {"cycles", "cycles"}};
  static constexpr uint32_t kNone = UINT32_MAX;

  // A region as it nests in others, with what its instances took, those within left out.
  struct Node {
    uint32_t parent = kNone;
    uint64_t location = 0;
    int64_t values[kValues] = {};
  };
  struct Span {
    uint64_t end;
    uint32_t node;
  };
  struct Open {
    uint32_t root = 0;
    std::vector<Span> stack;
  };

  uint32_t Child(uint32_t parent, const std::string& name) {
    const uint64_t location = builder_.Location(name, "", 0, 0);
    const auto [at, added] =
        children_.try_emplace({parent, location}, static_cast<uint32_t>(nodes_.size()));
    if (!added) return at->second;
    if (nodes_.size() >= kMaxStacks) {
      children_.erase(at);
      return parent == kNone ? 0 : parent;
    }
    nodes_.push_back({.parent = parent, .location = location});
    return at->second;
  }

  const ByteSink sink_;
  PprofBuilder builder_;
  std::vector<Node> nodes_;
  absl::flat_hash_map<std::pair<uint32_t, uint64_t>, uint32_t> children_;
  bool any_cycles_ = false;
  absl::flat_hash_map<std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>, Open> open_;   // of the pass
};

}  // namespace

std::unique_ptr<TraceExporter> MakePprofExporter(ByteSink sink) {
  return std::make_unique<PprofExporter>(sink);
}

}  // namespace sextant::analysis
