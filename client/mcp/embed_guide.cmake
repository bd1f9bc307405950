# cmake -DIN=guide.md -DOUT=guide.cc -P: writes the C++ source that holds the guide.
file(READ ${IN} text)
file(WRITE ${OUT} "// Made from guide.md when the room is built.\n#include \"client/mcp/resources.h\"\n\n"
  "namespace sextant::mcp {\nabsl::string_view Guide() {\n  return R\"guide(${text})guide\";\n}\n}  // namespace sextant::mcp\n")
