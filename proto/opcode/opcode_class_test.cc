#include "proto/opcode/opcode_class.h"

#include "tests/catch.h"

namespace sextant::opcode {

TEST_CASE("an instruction's class is by its mnemonic; one that was never met is of no known class") {
  CHECK(ClassOf("FFMA") == "fp32");
  CHECK(ClassOf("HGMMA") == "tensor");
  CHECK(ClassOf("LDGSTS") == "copy");
  CHECK(ClassOf("") == "");
  CHECK(ClassOf("XYZZY") == "other");
}

}  // namespace sextant::opcode
