// Values for tests, as Python would send them.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>

#include "base/value.h"
#include "image/image.h"

namespace vista::testing {

inline Value Int(std::int64_t number) { return Value{number}; }
inline Value Float(double number) { return Value{number}; }
inline Value Text(std::string text) { return Value{std::move(text)}; }
inline Value List(std::initializer_list<Value> items) { return Value{Value::List(items)}; }

inline Value Dict(Value::Dict entries) {
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return Value{std::move(entries)};
}

inline Value Picture(int width, int height) {
  Pixels pixels = std::move(Pixels::Allocate({width, height})).value();
  for (std::size_t i = 0; i < pixels.bytes(); ++i)
    pixels.data()[i] = static_cast<std::uint8_t>(i * 37 + i / 7);
  return Value{ObjectRef(Image::Create(std::move(pixels)))};
}

inline const Image& ImageOf(const Value& value) {
  return dynamic_cast<const Image&>(**value.get_if<ObjectRef>());
}

}  // namespace vista::testing
