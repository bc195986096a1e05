#include "tests/system/lib/pattern.hpp"

namespace vethd::system_test {

const std::vector<std::uint8_t>& pattern() {
  static const std::vector<std::uint8_t> bytes = [] {
    std::vector<std::uint8_t> made(kBlockBytes + kLargestDatagram);
    std::uint64_t state = 0x9e3779b97f4a7c15;
    for (std::uint8_t& byte : made) {  // xorshift64
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      byte = static_cast<std::uint8_t>(state);
    }
    return made;
  }();
  return bytes;
}

}  // namespace vethd::system_test
