#include "config/literals.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

namespace vethd::config {
namespace {

TEST(Size, IsAWholeNumberWithABinaryUnit) {
  EXPECT_EQ(parse_size("1KiB"), 1024U);
  EXPECT_EQ(parse_size("64MiB"), 64U << 20);
  EXPECT_EQ(parse_size("3GiB"), 3ULL << 30);
  EXPECT_EQ(parse_size("0KiB"), 0U);
  EXPECT_EQ(parse_size("17179869183GiB"), 17179869183ULL << 30);
}

TEST(Size, IsNothingElse) {
  for (const char* text :
       {"", "MiB", "64", "64 MiB", "64MB", "64M", "64mib", "-1MiB", "+1MiB", "1.5GiB", "0x10KiB",
        "64MiB ", " 64MiB", "17179869184GiB", "18446744073709551616KiB"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(Address, KeepsFamilyBytesAndPrefix) {
  const auto v4 = parse_address("192.168.1.2/24");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->family, AF_INET);
  EXPECT_EQ(v4->prefix, 24);
  EXPECT_EQ(v4->bytes[0], 192);
  EXPECT_EQ(v4->bytes[3], 2);
  const auto v6 = parse_address("fd00::1/128");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->family, AF_INET6);
  EXPECT_EQ(v6->prefix, 128);
  EXPECT_EQ(v6->bytes[0], 0xfd);
  EXPECT_EQ(v6->bytes[15], 1);
}

TEST(Address, IsNothingElse) {
  for (const char* text : {"", "/", "/24", "192.168.1.1", "192.168.1.1/", "192.168.1.1/33",
                           "192.168.1.1/-1", "192.168.1.1/2 4", "192.168.1/24", "192.168.1.256/24",
                           "192.168.1.1/24/1", "fd00::1", "fd00::1/129", "fd00::1/256",
                           "fd00::1%eth0/64", "fd00:::1/64", "host/24", " 192.168.1.1/24"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
  EXPECT_FALSE(parse_address(std::string("192.168.1.1\0x/24", 16)));
}

TEST(InterfaceName, FollowsDevValidName) {
  for (const char* text : {"a", "veth0", "eth0.100", "a-b_c", "...", "fifteen_letters"}) {
    EXPECT_TRUE(is_interface_name(text)) << text;
  }
  for (const char* text : {"", ".", "..", "a/b", "a:b", "a b", "a\tb", "veth%d", "a\nb", "a\x7f",
                           "sixteen_letters_"}) {
    EXPECT_FALSE(is_interface_name(text)) << text;
  }
}

TEST(PlainName, HasUpTo63PrintableCharacters) {
  EXPECT_TRUE(is_plain_name("web"));
  EXPECT_TRUE(is_plain_name(std::string(63, 'x')));
  EXPECT_FALSE(is_plain_name(std::string(64, 'x')));
  EXPECT_FALSE(is_plain_name(""));
  EXPECT_FALSE(is_plain_name("a/b"));
  EXPECT_FALSE(is_plain_name("a b"));
  EXPECT_FALSE(is_plain_name("a\x1b"));
}

}  // namespace
}  // namespace vethd::config
