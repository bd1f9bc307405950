#include "proto/opcode/opcode_class.h"

#include <algorithm>
#include <iterator>

namespace sextant::opcode {
namespace {

struct Class {
  std::string_view opcode;
  std::string_view name;
};

// Sorted by opcode.
constexpr Class kClasses[] = {
    {"ACQBULK", "control"},    {"ATOM", "atomic"},        {"ATOMG", "atomic"},
    {"ATOMS", "atomic"},       {"B2R", "barrier"},        {"BAR", "barrier"},
    {"BGMMA", "tensor"},       {"BPT", "control"},        {"BRA", "control"},
    {"BREAK", "control"},      {"BREV", "integer"},       {"BRX", "control"},
    {"BSSY", "control"},       {"BSYNC", "control"},      {"CALL", "control"},
    {"CCTL", "global"},        {"CGAERRBAR", "barrier"},  {"CS2R", "move"},
    {"DADD", "fp64"},          {"DEPBAR", "barrier"},     {"DFMA", "fp64"},
    {"DMMA", "tensor"},        {"DMUL", "fp64"},          {"DSETP", "fp64"},
    {"ELECT", "warp"},         {"ENDCOLLECTIVE", "control"}, {"ERRBAR", "barrier"},
    {"EXIT", "control"},       {"F2F", "conversion"},     {"F2FP", "conversion"},
    {"F2I", "conversion"},     {"F2IP", "conversion"},    {"FADD", "fp32"},
    {"FCHK", "fp32"},          {"FENCE", "barrier"},      {"FFMA", "fp32"},
    {"FLO", "integer"},        {"FMNMX", "fp32"},         {"FMUL", "fp32"},
    {"FRND", "conversion"},    {"FSEL", "fp32"},          {"FSETP", "fp32"},
    {"HADD2", "fp16"},         {"HFMA2", "fp16"},         {"HGMMA", "tensor"},
    {"HMMA", "tensor"},        {"HMNMX2", "fp16"},        {"HMUL2", "fp16"},
    {"HSET2", "fp16"},         {"HSETP2", "fp16"},        {"I2F", "conversion"},
    {"I2FP", "conversion"},    {"IABS", "integer"},       {"IADD3", "integer"},
    {"IDP", "integer"},        {"IGMMA", "tensor"},       {"IMAD", "integer"},
    {"IMMA", "tensor"},        {"ISETP", "integer"},      {"LD", "global"},
    {"LDC", "constant"},       {"LDG", "global"},         {"LDGDEPBAR", "copy"},
    {"LDGSTS", "copy"},        {"LDL", "local"},          {"LDS", "shared"},
    {"LDSM", "shared"},        {"LEA", "integer"},        {"LEPC", "control"},
    {"LOP3", "integer"},       {"MATCH", "warp"},         {"MEMBAR", "barrier"},
    {"MOV", "move"},           {"MUFU", "special"},       {"NANOSLEEP", "control"},
    {"NOP", "control"},        {"P2R", "move"},           {"PLOP3", "integer"},
    {"POPC", "integer"},       {"PREEXIT", "control"},    {"PRMT", "integer"},
    {"QGMMA", "tensor"},       {"QSPC", "other"},         {"R2P", "move"},
    {"R2UR", "move"},          {"REDG", "atomic"},        {"REDUX", "warp"},
    {"RET", "control"},        {"S2R", "move"},           {"S2UR", "move"},
    {"SEL", "integer"},        {"SGXT", "integer"},       {"SHF", "integer"},
    {"SHFL", "warp"},          {"ST", "global"},          {"STAS", "copy"},
    {"STG", "global"},         {"STL", "local"},          {"STS", "shared"},
    {"STSM", "shared"},        {"SULD", "texture"},       {"SUST", "texture"},
    {"SYNCS", "barrier"},      {"TEX", "texture"},        {"TLD", "texture"},
    {"TLD4", "texture"},       {"TXD", "texture"},        {"UBLKCP", "copy"},
    {"UBLKRED", "copy"},       {"UCGABAR_ARV", "barrier"}, {"UCGABAR_WAIT", "barrier"},
    {"UFLO", "uniform"},       {"UIADD3", "uniform"},     {"UIMAD", "uniform"},
    {"UISETP", "uniform"},     {"ULDC", "constant"},      {"ULEA", "uniform"},
    {"ULOP3", "uniform"},      {"UMOV", "uniform"},       {"UPLOP3", "uniform"},
    {"UPOPC", "uniform"},      {"UPRMT", "uniform"},      {"USEL", "uniform"},
    {"USETMAXREG", "control"}, {"USHF", "uniform"},       {"UTMACCTL", "copy"},
    {"UTMACMDFLUSH", "copy"},  {"UTMALDG", "copy"},       {"UTMAPF", "copy"},
    {"UTMAREDG", "copy"},      {"UTMASTG", "copy"},       {"VABSDIFF", "integer"},
    {"VABSDIFF4", "integer"},  {"VIADD", "integer"},      {"VIADDMNMX", "integer"},
    {"VIMNMX", "integer"},     {"VIMNMX3", "integer"},    {"VOTE", "warp"},
    {"VOTEU", "warp"},         {"WARPGROUP", "barrier"},  {"WARPSYNC", "barrier"},
    {"YIELD", "control"},
};

}  // namespace

std::string_view ClassOf(std::string_view opcode) {
  if (opcode.empty()) return "";
  const auto* const found =
      std::lower_bound(std::begin(kClasses), std::end(kClasses), opcode,
                       [](const Class& one, std::string_view wanted) { return one.opcode < wanted; });
  return found != std::end(kClasses) && found->opcode == opcode ? found->name : "other";
}

}  // namespace sextant::opcode
