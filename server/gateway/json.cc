#include "server/gateway/json.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sextant::gateway {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string ToJson(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  // Fails for what no message of ours holds: broken UTF-8, broken Any.
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok()) return "{}";
  return json;
}

absl::Status FromJson(absl::string_view json, Message* message) {
  if (absl::StripAsciiWhitespace(json).empty()) return absl::OkStatus();
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), message);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the body is not a ", message->GetDescriptor()->name(), " as JSON: ",
      absl::string_view(status.message().data(), status.message().size())));
}

namespace {

absl::Status Wrong(absl::string_view name, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": expected ", expected));
}

// Sets or adds, whichever the field takes.
#define SEXTANT_PUT(Type, value)                                   \
  (field->is_repeated() ? reflection->Add##Type(message, field, value) \
                        : reflection->Set##Type(message, field, value))

absl::Status Put(absl::string_view name, const std::string& value, const FieldDescriptor* field,
                 Message* message) {
  const auto* reflection = message->GetReflection();
  int32_t i32 = 0;
  int64_t i64 = 0;
  uint32_t u32 = 0;
  uint64_t u64 = 0;
  double real = 0;
  bool flag = false;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      if (!absl::SimpleAtoi(value, &i32)) return Wrong(name, "a whole number");
      SEXTANT_PUT(Int32, i32);
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      if (!absl::SimpleAtoi(value, &i64)) return Wrong(name, "a whole number");
      SEXTANT_PUT(Int64, i64);
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      if (!absl::SimpleAtoi(value, &u32)) return Wrong(name, "a whole number from 0");
      SEXTANT_PUT(UInt32, u32);
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      if (!absl::SimpleAtoi(value, &u64)) return Wrong(name, "a whole number from 0");
      SEXTANT_PUT(UInt64, u64);
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (!absl::SimpleAtod(value, &real)) return Wrong(name, "a number");
      SEXTANT_PUT(Double, real);
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      if (!absl::SimpleAtod(value, &real)) return Wrong(name, "a number");
      SEXTANT_PUT(Float, static_cast<float>(real));
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      if (!value.empty() && !absl::SimpleAtob(value, &flag)) return Wrong(name, "true or false");
      SEXTANT_PUT(Bool, value.empty() || flag);
      break;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* chosen = field->enum_type()->FindValueByName(value);
      if (chosen == nullptr) {
        std::string names;
        for (int i = 0; i < field->enum_type()->value_count(); ++i)
          absl::StrAppend(&names, i > 0 ? ", " : "", field->enum_type()->value(i)->name());
        return Wrong(name, absl::StrCat("one of ", names));
      }
      SEXTANT_PUT(Enum, chosen);
      break;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string bytes = value;
      if (field->type() == FieldDescriptor::TYPE_BYTES) {
        bytes = absl::HexStringToBytes(value);
        if (absl::BytesToHexString(bytes) != absl::AsciiStrToLower(value))
          return Wrong(name, "hexadecimal digits");
      }
      SEXTANT_PUT(String, bytes);
      break;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Wrong(name, "one of its fields, as NAME.FIELD");
  }
  return absl::OkStatus();
}
#undef SEXTANT_PUT

}  // namespace

absl::Status SetField(absl::string_view name, const std::string& value, Message* message) {
  const size_t dot = name.find('.');
  const std::string first(name.substr(0, dot));
  const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(first);
  if (field == nullptr) {
    std::string names;
    for (int i = 0; i < message->GetDescriptor()->field_count(); ++i)
      absl::StrAppend(&names, i > 0 ? ", " : "", message->GetDescriptor()->field(i)->name());
    return absl::InvalidArgumentError(
        absl::StrCat(absl::CHexEscape(first), ": there is no such parameter; there are ", names));
  }
  if (dot == absl::string_view::npos) return Put(name, value, field, message);
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_repeated())
    return Wrong(first, "no dot after it");
  return SetField(name.substr(dot + 1), value,
                  message->GetReflection()->MutableMessage(message, field));
}

std::string ErrorJson(const absl::Status& status) {
  const Problem problem = Explain(status);
  nlohmann::ordered_json json = {{"code", problem.code},
                                 {"message", problem.message},
                                 {"field", problem.field},
                                 {"remedy", problem.remedy}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

int HttpStatus(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk: return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange: return 400;
    case absl::StatusCode::kUnauthenticated: return 401;
    case absl::StatusCode::kPermissionDenied: return 403;
    case absl::StatusCode::kNotFound: return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted: return 409;
    case absl::StatusCode::kResourceExhausted: return 429;
    case absl::StatusCode::kCancelled: return 499;
    case absl::StatusCode::kUnimplemented: return 501;
    case absl::StatusCode::kUnavailable: return 503;
    case absl::StatusCode::kDeadlineExceeded: return 504;
    default: return 500;
  }
}

}  // namespace sextant::gateway
