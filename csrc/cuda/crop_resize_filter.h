// Which samples an output of a resize weighs, and by how much: kernels/reference.py in float32.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define VISTA_DEVICE __host__ __device__ inline
#else
#define VISTA_DEVICE inline
#endif
#ifdef __CUDA_ARCH__
#define VISTA_UNROLL _Pragma("unroll")
#else
#define VISTA_UNROLL
#endif

namespace vista::cuda {

struct Arithmetic {
  bool bicubic;
  bool rounded;
};

struct Reach {
  int begin;
  int end;
};

// One axis of one row.
struct Axis {
  int step;          // bytes from one sample to the next
  int length;        // samples
  int size;          // outputs
  int taps;          // no output weighs more samples
  float unit;        // what takes a numerator of a distance to units of the stretched filter
  float per_output;  // 1 / (2 * size)
};

VISTA_DEVICE int Least(int a, int b) { return a < b ? a : b; }
VISTA_DEVICE int Most(int a, int b) { return a > b ? a : b; }

VISTA_DEVICE int SupportOf(const Arithmetic& arithmetic) { return arithmetic.bicubic ? 2 : 1; }

VISTA_DEVICE Axis AxisOf(int step, int length, int size, const Arithmetic& arithmetic) {
  const int stretched = Most(length, size);
  return {step,
          length,
          size,
          (2 * SupportOf(arithmetic) * stretched + size - 1) / size,
          1.0f / static_cast<float>(2 * stretched),
          1.0f / static_cast<float>(2 * size)};
}

// numerator / (2 * size), for a numerator that is not negative and a quotient up to 2.5 lengths.
VISTA_DEVICE int Quotient(int numerator, const Axis& axis) {
  const int divisor = 2 * axis.size;
  // Where a float may be off by more than one.
  if (axis.length > 1 << 20) return numerator / divisor;
  const int near = static_cast<int>(static_cast<float>(numerator) * axis.per_output);
  const int rest = numerator - near * divisor;
  return rest < 0 ? near - 1 : rest >= divisor ? near + 1 : near;
}

// The samples whose weight is not zero, from Begin to End. The distances are exact in int: the
// product of a length and a size stays under 2^28.
VISTA_DEVICE int BeginOf(int output, const Axis& axis, const Arithmetic& arithmetic) {
  const int radius = 2 * SupportOf(arithmetic) * Most(axis.length, axis.size);
  const int before = axis.length * (2 * output + 1) - radius - axis.size;
  return before < 0 ? 0 : Quotient(before, axis) + 1;
}

VISTA_DEVICE int EndOf(int output, const Axis& axis, const Arithmetic& arithmetic) {
  const int radius = 2 * SupportOf(arithmetic) * Most(axis.length, axis.size);
  const int after = axis.length * (2 * output + 1) + radius + axis.size - 1;
  return Least(Quotient(after, axis), axis.length);
}

VISTA_DEVICE Reach ReachOf(int output, const Axis& axis, const Arithmetic& arithmetic) {
  return {BeginOf(output, axis, arithmetic), EndOf(output, axis, arithmetic)};
}

// Before the weights of an output are divided by their sum.
VISTA_DEVICE float WeightOf(int sample, int output, const Axis& axis,
                            const Arithmetic& arithmetic) {
  const int numerator = axis.size * (2 * sample + 1) - axis.length * (2 * output + 1);
  float x = static_cast<float>(numerator) * axis.unit;
  x = x < 0 ? -x : x;
  if (!arithmetic.bicubic) return x < 1 ? 1 - x : 0;
  const float near = (1.5f * x - 2.5f) * x * x + 1;
  const float far = ((-0.5f * x + 2.5f) * x - 4) * x + 2;
  return x < 1 ? near : x < 2 ? far : 0;
}

// Red, green and blue as floats in two words: red and green in sixteen bits each, which is enough
// for whole numbers under 256, and blue in full.
struct alignas(8) Sample {
  std::uint32_t red_green;
  std::uint32_t blue;
};

union FloatBits {
  float value;
  std::uint32_t bits;
};

VISTA_DEVICE std::uint32_t BitsOf(float value) {
  FloatBits both;
  both.value = value;
  return both.bits;
}

VISTA_DEVICE float FloatOf(std::uint32_t bits) {
  FloatBits both;
  both.bits = bits;
  return both.value;
}

VISTA_DEVICE Sample SampleOf(const std::uint8_t* rgb) {
  const std::uint32_t red = BitsOf(static_cast<float>(rgb[0]));
  const std::uint32_t green = BitsOf(static_cast<float>(rgb[1]));
  return {red >> 16 | green, BitsOf(static_cast<float>(rgb[2]))};
}

// Sums of weighted samples, by channel. They begin at a half where they end at whole levels, which
// are then what lies below.
struct Levels {
  float of[3];
};

VISTA_DEVICE Levels NoLevels(const Arithmetic& arithmetic) {
  const float half = arithmetic.rounded ? 0.5f : 0.0f;
  return {{half, half, half}};
}

VISTA_DEVICE void Add(float weight, const Sample& sample, Levels* sum) {
  sum->of[0] += weight * FloatOf(sample.red_green << 16);
  sum->of[1] += weight * FloatOf(sample.red_green & 0xffff0000u);
  sum->of[2] += weight * FloatOf(sample.blue);
}

// Of a sum that began at 0.
VISTA_DEVICE Levels Scaled(const Levels& sum, float scale, const Arithmetic& arithmetic) {
  Levels scaled = NoLevels(arithmetic);
  for (int c = 0; c < 3; ++c) scaled.of[c] += sum.of[c] * scale;
  return scaled;
}

VISTA_DEVICE float Clamped(float level) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  // Floats from 0 on are ordered as their bits are, and those below are negative as integers: one
  // instruction of Hopper and later.
  return __int_as_float(__vimin_s32_relu(__float_as_int(level), __float_as_int(255.0f)));
#else
  return fminf(fmaxf(level, 0.0f), 255.0f);
#endif
}

// A clamped sum as a whole level.
VISTA_DEVICE float WholeLevel(float sum) {
#ifdef __CUDA_ARCH__
  // Rounded down to where a float has no fraction: two additions, where conversions have few units.
  constexpr float kWhole = 8388608;
  return __fadd_rd(Clamped(sum), kWhole) - kWhole;
#else
  return static_cast<float>(static_cast<int>(Clamped(sum)));
#endif
}

}  // namespace vista::cuda
