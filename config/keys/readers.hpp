// How the keys of every section are read: by the form of their value.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/keys.hpp"
#include "config/suggest.hpp"

namespace vethd::config {

/// How one value of the file is read: what it belongs to, and where to complain.
struct Given {
  const Value& value;
  const KeyInfo& key;
  Diagnostics& out;

  void refuse(const Value& part, std::string what) const {
    out.add(part.where, std::move(what),
            fmt::format("{}, as in {} = {}", key.rule, key.name, key.example));
  }
  void refuse(std::string what) const { refuse(value, std::move(what)); }
  void refuse_kind(const Value& part) const {
    refuse(part, fmt::format("{} cannot be {}", key.name, kind_of(part)));
  }
};

template <class Section>
struct Key {
  KeyInfo info;
  void (*read)(const Given&, Section&);
};

// What the value is, or nothing and a complaint.

/// The integer if it lies in the key's range.
std::optional<std::int64_t> integer_of(const Given& given, const Value& value);
const std::string* string_of(const Given& given, const Value& value);
const Array* array_of(const Given& given);

// Readers that set one member.

/// The declared range must fit the member; a test sets both ends of each.
template <auto Member, class Section>
void integer(const Given& given, Section& to) {
  using Number = std::remove_reference_t<decltype(to.*Member)>;
  if (const auto number = integer_of(given, given.value)) {
    if constexpr (std::is_integral_v<Number>) {
      to.*Member = static_cast<Number>(*number);
    } else {
      to.*Member = Number{*number};
    }
  }
}

/// Rounded up, as the kernel rounds its flow tables: roundup_pow_of_two(); 0 stays 0.
template <auto Member, class Section>
void flow_entries(const Given& given, Section& to) {
  if (const auto number = integer_of(given, given.value)) {
    const auto entries = static_cast<std::uint32_t>(*number);
    to.*Member = entries == 0 ? 0 : std::bit_ceil(entries);
  }
}

inline std::uint32_t element(std::int64_t number, std::uint32_t) {
  return static_cast<std::uint32_t>(number);
}
inline CpuId element(std::int64_t number, CpuId) { return {static_cast<std::uint32_t>(number)}; }

template <class Element>
std::vector<Element> cpus_of(const Given& given, const Array& array) {
  std::vector<Element> list;
  for (const Value& value : array) {
    const auto number = integer_of(given, value);
    if (!number) continue;
    const Element cpu = element(*number, Element{});
    if (std::ranges::find(list, cpu) != list.end()) {
      given.refuse(value, fmt::format("CPU {} is listed twice in {}", *number, given.key.name));
      continue;
    }
    list.push_back(cpu);
  }
  return list;
}

template <auto Member, class Section>
void cpu_list(const Given& given, Section& to) {
  auto& list = to.*Member;
  using Element = typename std::remove_reference_t<decltype(list)>::value_type;
  if (const Array* array = array_of(given)) list = cpus_of<Element>(given, *array);
}

/// The same in ascending order: a mask in the kernel.
template <auto Member, class Section>
void cpu_mask(const Given& given, Section& to) {
  cpu_list<Member>(given, to);
  std::ranges::sort(to.*Member);
}

/// One mask, or a list of masks; an empty one is no mask.
template <auto Member, class Section>
void cpu_masks(const Given& given, Section& to) {
  const Array* const array = array_of(given);
  if (array == nullptr) return;
  auto& masks = to.*Member;
  masks.clear();
  const auto add = [&](const Array& cpus) {
    masks.push_back(cpus_of<CpuId>(given, cpus));
    std::ranges::sort(masks.back());
  };
  const bool nested = std::ranges::any_of(
      *array, [](const Value& value) { return std::holds_alternative<Array>(value.data); });
  if (!nested) {
    if (!array->empty()) add(*array);
    return;
  }
  for (const Value& value : *array) {
    if (const auto* cpus = std::get_if<Array>(&value.data))
      add(*cpus);
    else
      given.refuse(value, fmt::format("{} has CPUs beside lists of CPUs", given.key.name));
  }
}

template <auto Member, class Section>
void boolean(const Given& given, Section& to) {
  if (const auto* flag = std::get_if<bool>(&given.value.data)) {
    to.*Member = *flag;
  } else {
    given.refuse_kind(given.value);
  }
}

template <class Enum>
using Choice = std::pair<std::string_view, Enum>;

template <auto Member, const auto& Choices, class Section>
void choice(const Given& given, Section& to) {
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  for (const auto& [name, meaning] : Choices) {
    if (*text != name) continue;
    to.*Member = meaning;
    return;
  }
  given.refuse(fmt::format("{} = {} is not known", given.key.name, quote(*text)));
}

template <class Keys>
std::vector<KeyInfo> infos(const Keys& keys) {
  std::vector<KeyInfo> list;
  for (const auto& key : keys) list.push_back(key.info);
  return list;
}

template <class Section>
void read_keys(std::type_identity_t<std::span<const Key<Section>>> keys, const Table& entries,
               std::string_view section, Section& to, Diagnostics& out) {
  for (const Entry& entry : entries) {
    const auto found =
        std::ranges::find(keys, entry.key, [](const Key<Section>& key) { return key.info.name; });
    if (found == keys.end()) {
      std::vector<std::string_view> names;
      for (const Key<Section>& key : keys) names.push_back(key.info.name);
      out.add(entry.where, fmt::format("unknown key {} in {}", quote(entry.key), section),
              suggest(entry.key, names));
      continue;
    }
    const std::size_t errors = out.size();
    found->read({entry.value, found->info, out}, to);
    to.written.keys.push_back({found->info.name, entry.value.where, out.size() == errors});
  }
}

}  // namespace vethd::config
