#include "server/gateway/openapi.h"

#include <google/protobuf/descriptor.pb.h>

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/gateway/calls.h"
#include "server/gateway/descriptors.h"

namespace sextant::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;
using Json = nlohmann::ordered_json;   // a vector inside: adding a key moves the others

// The comments above and behind a declaration, on one line.
template <typename Declared>
std::string Comment(const Declared* declared) {
  google::protobuf::SourceLocation location;
  if (!declared->GetSourceLocation(&location)) return "";
  std::string text = absl::StrCat(location.leading_comments, location.trailing_comments);
  absl::RemoveExtraAsciiWhitespace(&text);
  return absl::StrReplaceAll(text, {{"\n", " "}});
}

template <typename Declared>
void Describe(const Declared* declared, Json* json) {
  const std::string comment = Comment(declared);
  if (!comment.empty()) (*json)["description"] = comment;
}

class Document {
 public:
  explicit Document(const ServiceDescriptor* service) : service_(service) {}

  std::string Write() {
    Json paths = Json::object();
    for (int i = 0; i < service_->method_count(); ++i) {
      const MethodDescriptor* method = service_->method(i);
      if (method->client_streaming()) continue;
      const std::string path = absl::StrCat("/api/", service_->full_name(), "/", method->name());
      paths[path][method->server_streaming() ? "get" : "post"] = Operation(method);
    }
    Json document;
    document["openapi"] = "3.1.0";
    document["info"] = {{"title", "Sextant"}, {"version", SEXTANT_VERSION},
                        {"description", "Multi-pass GPU profiling. 64-bit integers and NaN travel as "
                                        "strings, bytes as base64 (hexadecimal in a query); fields at "
                                        "their default are left out."}};
    document["paths"] = std::move(paths);
    Json schemas;
    schemas["Error"] = {
        {"type", "object"},
        {"description", "Why a call failed. `code` is gRPC's; `field` and `remedy` may be empty."},
        {"properties", {{"code", {{"type", "string"}}}, {"message", {{"type", "string"}}},
                        {"field", {{"type", "string"}}}, {"remedy", {{"type", "string"}}}}},
        {"required", {"code", "message", "field", "remedy"}}};
    for (auto& [name, schema] : schemas_) schemas[name] = std::move(schema);
    document["components"]["schemas"] = std::move(schemas);
    document["components"]["securitySchemes"]["token"] = {{"type", "http"}, {"scheme", "bearer"}};
    return document.dump(1);
  }

 private:
  Json Operation(const MethodDescriptor* method) {
    Json operation;
    operation["operationId"] = method->name();
    Describe(method, &operation);
    Json answer;
    if (!method->server_streaming()) {
      operation["requestBody"]["content"]["application/json"]["schema"] = Reference(method->input_type());
      answer["description"] = "The answer.";
      answer["content"]["application/json"]["schema"] = Reference(method->output_type());
    } else {
      for (int i = 0; i < method->input_type()->field_count(); ++i)
        operation["parameters"].push_back(Parameter(method->input_type()->field(i)));
      if (StreamsBytes(*method)) {
        operation["parameters"].push_back(
            {{"name", "name"}, {"in", "query"}, {"description", "Name of the file that is saved."},
             {"schema", {{"type", "string"}}}});
        answer["description"] = "The bytes.";
        answer["content"]["application/octet-stream"] = Json::object();
      } else {
        answer["description"] = "Server-sent events; the data of each is JSON. The last is called "
                                "`end`, and its data is an Error with code OK when all went well.";
        answer["content"]["text/event-stream"]["schema"] = Reference(method->output_type());
      }
    }
    operation["responses"]["200"] = std::move(answer);
    Json error;
    error["description"] = "It failed.";
    error["content"]["application/json"]["schema"]["$ref"] = "#/components/schemas/Error";
    operation["responses"]["default"] = std::move(error);
    return operation;
  }

  Json Parameter(const FieldDescriptor* field) {
    Json parameter = {{"name", field->name()}, {"in", "query"}};
    Describe(field, &parameter);
    parameter["schema"] = field->type() == FieldDescriptor::TYPE_BYTES
                              ? Json{{"type", "string"}, {"pattern", "^[0-9a-fA-F]*$"}}
                              : Schema(field);
    return parameter;
  }

  Json Reference(const Descriptor* type) {
    if (schemas_.count(type->name()) == 0) {
      schemas_[type->name()] = Json::object();   // may reach itself
      Json properties = Json::object();
      for (int i = 0; i < type->field_count(); ++i) {
        Json field = Schema(type->field(i));
        Describe(type->field(i), &field);
        properties[type->field(i)->name()] = std::move(field);
      }
      Json schema = {{"type", "object"}};
      Describe(type, &schema);
      schema["properties"] = std::move(properties);
      schemas_[type->name()] = std::move(schema);
    }
    return {{"$ref", absl::StrCat("#/components/schemas/", type->name())}};
  }

  Json Reference(const EnumDescriptor* type) {
    if (schemas_.count(type->name()) == 0) {
      Json schema = {{"type", "string"}};
      std::string text = Comment(type);
      for (int i = 0; i < type->value_count(); ++i) {
        schema["enum"].push_back(type->value(i)->name());
        const std::string comment = Comment(type->value(i));
        if (!comment.empty())
          absl::StrAppend(&text, text.empty() ? "" : " ", type->value(i)->name(), ": ", comment, ".");
      }
      if (!text.empty()) schema["description"] = text;
      schemas_[type->name()] = std::move(schema);
    }
    return {{"$ref", absl::StrCat("#/components/schemas/", type->name())}};
  }

  Json Schema(const FieldDescriptor* field) {
    if (field->is_map())
      return {{"type", "object"},
              {"additionalProperties", Single(field->message_type()->FindFieldByName("value"))}};
    if (field->is_repeated()) return {{"type", "array"}, {"items", Single(field)}};
    return Single(field);
  }

  Json Single(const FieldDescriptor* field) {
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32: return {{"type", "integer"}, {"format", "int32"}};
      case FieldDescriptor::CPPTYPE_UINT32: return {{"type", "integer"}, {"minimum", 0}};
      case FieldDescriptor::CPPTYPE_INT64: return {{"type", "string"}, {"format", "int64"}};
      case FieldDescriptor::CPPTYPE_UINT64: return {{"type", "string"}, {"format", "uint64"}};
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT:
        return {{"oneOf", {{{"type", "number"}},
                           {{"type", "string"}, {"enum", {"NaN", "Infinity", "-Infinity"}}}}}};
      case FieldDescriptor::CPPTYPE_BOOL: return {{"type", "boolean"}};
      case FieldDescriptor::CPPTYPE_ENUM: return Reference(field->enum_type());
      case FieldDescriptor::CPPTYPE_STRING:
        if (field->type() == FieldDescriptor::TYPE_BYTES)
          return {{"type", "string"}, {"contentEncoding", "base64"}};
        return {{"type", "string"}};
      case FieldDescriptor::CPPTYPE_MESSAGE: return Reference(field->message_type());
    }
    return Json::object();
  }

  const ServiceDescriptor* const service_;
  std::map<std::string, Json> schemas_;
};

}  // namespace

std::string OpenApi(const ServiceDescriptor* service) {
  // Generated code leaves comments out; the same files with them were embedded when this was built.
  google::protobuf::FileDescriptorSet files;
  google::protobuf::DescriptorPool pool;
  if (files.ParseFromArray(DescriptorSet().data(), static_cast<int>(DescriptorSet().size())))
    for (const auto& file : files.file()) pool.BuildFile(file);
  const ServiceDescriptor* commented = pool.FindServiceByName(service->full_name());
  return Document(commented == nullptr ? service : commented).Write();
}

}  // namespace sextant::gateway
