// Pictures for tests.
#pragma once

#include <cstdint>
#include <random>

#include "image/pixels.h"

namespace vista::testing {

inline Pixels Blank(int width, int height) {
  Pixels pixels = std::move(Pixels::Allocate({width, height})).value();
  std::fill_n(pixels.data(), pixels.bytes(), std::uint8_t{0});
  return pixels;
}

inline Pixels Noise(int width, int height, unsigned seed) {
  Pixels pixels = Blank(width, height);
  std::mt19937 random(seed);
  for (std::size_t i = 0; i < pixels.bytes(); ++i) {
    pixels.data()[i] = static_cast<std::uint8_t>(random() >> 24);
  }
  return pixels;
}

// Red grows to the right, green downwards; compresses well.
inline Pixels Gradient(int width, int height) {
  Pixels pixels = Blank(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::uint8_t* pixel = pixels.row(y) + 3 * x;
      pixel[0] = static_cast<std::uint8_t>(255 * x / width);
      pixel[1] = static_cast<std::uint8_t>(255 * y / height);
      pixel[2] = 128;
    }
  }
  return pixels;
}

inline bool Equal(const Pixels& a, const Pixels& b) {
  return a.size() == b.size() && std::equal(a.data(), a.data() + a.bytes(), b.data());
}

}  // namespace vista::testing
