// Random numbers that are the same everywhere for the same seed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vethd {

/// SplitMix64 (Steele, Lea, Flood, 2014). The library's distributions differ between libraries.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// Of 0 … n - 1.
  std::uint32_t below(std::uint32_t n) {
    return static_cast<std::uint32_t>(((next() >> 32) * n) >> 32);
  }
  bool percent(std::uint32_t chance) { return below(100) < chance; }
  template <class T, std::size_t n>
  T one_of(const T (&choices)[n]) {
    return choices[below(static_cast<std::uint32_t>(n))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace vethd
