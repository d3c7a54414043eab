// Which samples an output of a resize weighs, and by how much: kernels/reference.py in float32.
#pragma once

#include "cuda/warp.h"

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
  float unit;        // what takes a numerator of a distance to units of the stretched filter
  float per_output;  // 1 / (2 * size)
};

VISTA_DEVICE int Least(int a, int b) { return a < b ? a : b; }
VISTA_DEVICE int Most(int a, int b) { return a > b ? a : b; }

VISTA_DEVICE int SupportOf(const Arithmetic& arithmetic) { return arithmetic.bicubic ? 2 : 1; }

VISTA_DEVICE Axis AxisOf(int step, int length, int size) {
  return {step, length, size, 1.0f / static_cast<float>(2 * Most(length, size)),
          1.0f / static_cast<float>(2 * size)};
}

// numerator / (2 * size), for a numerator that is not negative and a quotient up to 3 lengths.
VISTA_DEVICE int Quotient(int numerator, const Axis& axis) {
  const int divisor = 2 * axis.size;
  // Where a float may be off by more than one.
  if (axis.length > 1 << 20) return numerator / divisor;
  const int near = static_cast<int>(static_cast<float>(numerator) * axis.per_output);
  const int rest = numerator - near * divisor;
  return rest < 0 ? near - 1 : rest >= divisor ? near + 1 : near;
}

// The first sample that an output weighs, or the one after the last. The distances are exact in
// int: the product of a length and a size stays under 2^28.
VISTA_DEVICE int EdgeOf(bool end, int output, const Axis& axis, const Arithmetic& arithmetic) {
  const int radius = 2 * SupportOf(arithmetic) * Most(axis.length, axis.size);
  const int centre = axis.length * (2 * output + 1);
  const int numerator = end ? centre + radius + axis.size - 1 : centre - radius - axis.size;
  const int quotient = numerator < 0 ? -1 : Quotient(numerator, axis);
  return end ? Least(quotient, axis.length) : quotient + 1;
}

VISTA_DEVICE int BeginOf(int output, const Axis& axis, const Arithmetic& arithmetic) {
  return EdgeOf(false, output, axis, arithmetic);
}

VISTA_DEVICE int EndOf(int output, const Axis& axis, const Arithmetic& arithmetic) {
  return EdgeOf(true, output, axis, arithmetic);
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

}  // namespace vista::cuda
