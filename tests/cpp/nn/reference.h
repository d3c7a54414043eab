// The steps of a network, plainly and in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <random>
#include <utility>
#include <vector>

#include "nn/network.h"

namespace vista::nn::testing {

// Numbers [n, height, width, channels].
struct Grid {
  int n = 0, height = 0, width = 0, channels = 0;
  std::vector<double> values;

  Grid() = default;
  Grid(int images, int rows, int columns, int depth)
      : n(images),
        height(rows),
        width(columns),
        channels(depth),
        values(static_cast<std::size_t>(images) * rows * columns * depth) {}

  [[nodiscard]] std::size_t Place(int image, int y, int x, int c) const {
    return ((static_cast<std::size_t>(image) * height + y) * width + x) * channels + c;
  }
  double& At(int image, int y, int x, int c) { return values[Place(image, y, x, c)]; }
  [[nodiscard]] double At(int image, int y, int x, int c) const {
    return values[Place(image, y, x, c)];
  }
  // Calls `each(image, y, x, c)` for every number, which becomes what that gives.
  template <typename Each>
  void Fill(const Each& each) {
    for (int image = 0; image < n; ++image)
      for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
          for (int c = 0; c < channels; ++c) At(image, y, x, c) = each(image, y, x, c);
  }
};

// The same on every standard library.
inline float Uniform(std::mt19937& random) {
  return static_cast<float>(static_cast<double>(random()) / 2147483648.0 - 1);
}

inline std::vector<float> Uniform(std::size_t count, std::mt19937& random) {
  std::vector<float> values(count);
  for (float& value : values) value = Uniform(random);
  return values;
}

inline Grid RandomGrid(int n, int height, int width, int channels, std::mt19937& random) {
  Grid grid(n, height, width, channels);
  for (double& value : grid.values) value = Uniform(random);
  return grid;
}

inline std::vector<float> PlanesOf(const Grid& grid) {
  std::vector<float> planes;
  planes.reserve(grid.values.size());
  for (int image = 0; image < grid.n; ++image)
    for (int c = 0; c < grid.channels; ++c)
      for (int y = 0; y < grid.height; ++y)
        for (int x = 0; x < grid.width; ++x)
          planes.push_back(static_cast<float>(grid.At(image, y, x, c)));
  return planes;
}

inline Grid FromPlanes(const std::vector<float>& planes, int n, Extent extent, int channels) {
  Grid grid(n, extent.height, extent.width, channels);
  grid.Fill([&](int image, int y, int x, int c) {
    return planes[((static_cast<std::size_t>(image) * channels + c) * extent.height + y) *
                      extent.width +
                  x];
  });
  return grid;
}

inline Grid ImageOf(const Grid& grid, int image) {
  Grid one(1, grid.height, grid.width, grid.channels);
  one.Fill([&](int, int y, int x, int c) { return grid.At(image, y, x, c); });
  return one;
}

inline double Activated(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(0.0, x);
    case Activation::kGelu:
      return x * 0.5 * std::erfc(-x / std::numbers::sqrt2);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return x;
}

inline Grid Activated(Activation activation, Grid grid) {
  for (double& value : grid.values) value = Activated(activation, value);
  return grid;
}

// Places of a kernel along one side, and zeros before the first.
struct Along {
  int count = 0, before = 0;
};

inline Along Places(const Window& w, bool vertical, int size) {
  const int kernel = vertical ? w.height : w.width;
  const int stride = vertical ? w.stride_height : w.stride_width;
  const int before = vertical ? w.top : w.left;
  const int behind = vertical ? w.bottom : w.right;
  if (!w.same_upper) return {(size + before + behind - kernel) / stride + 1, before};
  const int count = (size + stride - 1) / stride;
  return {count, std::max(0, (count - 1) * stride + kernel - size) / 2};
}

// Calls `tap(dy, dx, row, column)` for what lies inside of the image.
template <typename Tap>
void ForTaps(const Window& w, const Grid& in, int y, int x, const Tap& tap) {
  const int top = y * w.stride_height - Places(w, true, in.height).before;
  const int left = x * w.stride_width - Places(w, false, in.width).before;
  for (int dy = std::max(0, -top); dy < std::min(w.height, in.height - top); ++dy)
    for (int dx = std::max(0, -left); dx < std::min(w.width, in.width - left); ++dx)
      tap(dy, dx, top + dy, left + dx);
}

inline Grid Outputs(const Window& w, const Grid& in, int channels) {
  return {in.n, Places(w, true, in.height).count, Places(w, false, in.width).count, channels};
}

// `weights` are [bias.size(), height, width, channels].
inline Grid Convolved(const Grid& in, const Window& w, const std::vector<float>& weights,
                      const std::vector<float>& bias) {
  Grid out = Outputs(w, in, static_cast<int>(bias.size()));
  out.Fill([&](int image, int y, int x, int c) {
    double sum = bias[c];
    ForTaps(w, in, y, x, [&](int dy, int dx, int row, int column) {
      const double* const from = &in.values[in.Place(image, row, column, 0)];
      const float* const by =
          &weights[((static_cast<std::size_t>(c) * w.height + dy) * w.width + dx) * in.channels];
      for (int k = 0; k < in.channels; ++k) sum += from[k] * by[k];
    });
    return sum;
  });
  return out;
}

// `weights` are [height, width, channels].
inline Grid DepthwiseConvolved(const Grid& in, const Window& w, const std::vector<float>& weights,
                               const std::vector<float>& bias) {
  Grid out = Outputs(w, in, in.channels);
  out.Fill([&](int image, int y, int x, int c) {
    double sum = bias[c];
    ForTaps(w, in, y, x, [&](int dy, int dx, int row, int column) {
      sum += in.At(image, row, column, c) *
             weights[(static_cast<std::size_t>(dy) * w.width + dx) * in.channels + c];
    });
    return sum;
  });
  return out;
}

inline Grid Sum(Grid one, const Grid& other) {
  for (std::size_t i = 0; i < one.values.size(); ++i) one.values[i] += other.values[i];
  return one;
}

inline Grid Upsampled(const Grid& in, int levels) {
  Grid out(in.n, in.height << levels, in.width << levels, in.channels);
  out.Fill(
      [&](int image, int y, int x, int c) { return in.At(image, y >> levels, x >> levels, c); });
  return out;
}

inline Grid Joined(const std::vector<Grid>& parts) {
  int channels = 0;
  for (const Grid& part : parts) channels += part.channels;
  Grid out(parts[0].n, parts[0].height, parts[0].width, channels);
  int first = 0;
  for (const Grid& part : parts) {
    for (int image = 0; image < part.n; ++image)
      for (int y = 0; y < part.height; ++y)
        for (int x = 0; x < part.width; ++x)
          for (int c = 0; c < part.channels; ++c)
            out.At(image, y, x, first + c) = part.At(image, y, x, c);
    first += part.channels;
  }
  return out;
}

// The numbers of a gate, [n, channels].
inline std::vector<double> GateOf(const Gate& gate, const Grid& of) {
  std::vector<double> numbers;
  for (int image = 0; image < of.n; ++image) {
    std::vector<double> means(of.channels);
    for (int y = 0; y < of.height; ++y)
      for (int x = 0; x < of.width; ++x)
        for (int c = 0; c < of.channels; ++c)
          means[c] += of.At(image, y, x, c) / (static_cast<double>(of.height) * of.width);
    std::vector<double> inner(gate.first_bias.begin(), gate.first_bias.end());
    for (int i = 0; i < gate.inner; ++i) {
      for (int c = 0; c < of.channels; ++c)
        inner[i] += gate.first[static_cast<std::size_t>(i) * of.channels + c] * means[c];
      inner[i] = std::max(0.0, inner[i]);
    }
    for (int c = 0; c < gate.channels; ++c) {
      double sum = gate.second_bias[c];
      for (int i = 0; i < gate.inner; ++i)
        sum += gate.second[static_cast<std::size_t>(c) * gate.inner + i] * inner[i];
      numbers.push_back(std::clamp(gate.slope * sum + gate.offset, 0.0, 1.0) + gate.raise);
    }
  }
  return numbers;
}

inline Grid Gated(Grid grid, const std::vector<double>& gate) {
  grid.Fill([&](int image, int y, int x, int c) {
    return grid.At(image, y, x, c) * gate[static_cast<std::size_t>(image) * grid.channels + c];
  });
  return grid;
}

inline double Largest(const Grid& grid) {
  double largest = 0;
  for (const double value : grid.values) largest = std::max(largest, std::abs(value));
  return largest;
}

// NaN where a number is none, infinity where the sizes differ.
inline double LargestDifference(const Grid& one, const Grid& other) {
  if (one.n != other.n || one.height != other.height || one.width != other.width ||
      one.channels != other.channels)
    return HUGE_VAL;
  double largest = 0;
  for (std::size_t i = 0; i < one.values.size(); ++i) {
    const double difference = std::abs(one.values[i] - other.values[i]);
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(largest)) break;
  }
  return largest;
}

}  // namespace vista::nn::testing
