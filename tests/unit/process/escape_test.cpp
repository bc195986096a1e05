#include "daemon/process/escape.hpp"

#include <gtest/gtest.h>

namespace vethd {
namespace {

TEST(Escaped, LeavesPrintableAsciiAsItIs) {
  EXPECT_EQ(escaped("pair web: red/veth0 (it's \"up\")"), "pair web: red/veth0 (it's \"up\")");
}

TEST(Escaped, ShowsControlCharactersAndForeignBytesByNumber) {
  EXPECT_EQ(escaped("\x1b[31mred\x07\n\x7f"), "\\x1b[31mred\\x07\\x0a\\x7f");
  EXPECT_EQ(escaped("\xff\x9b"), "\\xff\\x9b");
  EXPECT_EQ(escaped(std::string_view("\0", 1)), "\\x00");
}

TEST(Escaped, TellsItsOwnBackslashFromOneThatWasThere) {
  EXPECT_NE(escaped("\\x1b"), escaped("\x1b"));
}

}  // namespace
}  // namespace vethd
