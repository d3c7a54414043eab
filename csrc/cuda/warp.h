// Matrix products of a warp on tensor cores, in halves with sums in floats.
//
// What a lane holds of a matrix is the hardware's choice, so code of a warp is written once for all
// its lanes: values that differ between them are Lanes, and ForEachLane runs what they do apart. On
// a GPU a Lanes holds the thread's own value; on the host it holds all 32, which is how tests run
// this code without a GPU.
#pragma once

#include <cstdint>

#ifndef __CUDACC__
#include <algorithm>
#include <cmath>
#endif

#ifdef __CUDACC__
#define VISTA_DEVICE __host__ __device__ inline
#else
#define VISTA_DEVICE inline
#endif
#ifdef __CUDA_ARCH__
#define VISTA_UNROLL _Pragma("unroll")
#define VISTA_NO_UNROLL _Pragma("unroll 1")
#else
#define VISTA_UNROLL
#define VISTA_NO_UNROLL
#endif

namespace vista::cuda {

inline constexpr int kWarp = 32;

// The bits of a float16. Below 2^-14 they are a number of 2^-24, as everywhere here: tensor cores
// compute with those in full.
using Half = std::uint16_t;

#ifdef __CUDA_ARCH__

template <typename T>
struct Lanes {
  T own;
  VISTA_DEVICE T& operator[](int) { return own; }
  VISTA_DEVICE const T& operator[](int) const { return own; }
};

template <typename Function>
VISTA_DEVICE void ForEachLane(const Function& function) {
  function(static_cast<int>(threadIdx.x) % kWarp);
}

#else

template <typename T>
struct Lanes {
  T of[kWarp];
  VISTA_DEVICE T& operator[](int lane) { return of[lane]; }
  VISTA_DEVICE const T& operator[](int lane) const { return of[lane]; }
};

template <typename Function>
VISTA_DEVICE void ForEachLane(const Function& function) {
  for (int lane = 0; lane < kWarp; ++lane) function(lane);
}

#endif

// The same value, of which a compiler knows nothing: it would else compute ahead of loops what then
// takes registers through all of them.
VISTA_DEVICE unsigned Opaque(int value) {
#ifdef __CUDA_ARCH__
  asm volatile("" : "+r"(value));
#endif
  return static_cast<unsigned>(value);
}

// After it lanes see what others of their warp have written.
VISTA_DEVICE void SyncWarp() {
#ifdef __CUDA_ARCH__
  __syncwarp();
#endif
}

// What one of the lanes has, for all.
VISTA_DEVICE int Told(const Lanes<int>& values, int lane) {
#ifdef __CUDA_ARCH__
  return __shfl_sync(0xffffffffu, values.own, lane);
#else
  return values[lane];
#endif
}

// What the lane before has; the first has its own.
VISTA_DEVICE Lanes<float> FromLaneBefore(const Lanes<float>& values) {
#ifdef __CUDA_ARCH__
  return {__shfl_up_sync(0xffffffffu, values.own, 1)};
#else
  Lanes<float> before;
  for (int lane = 0; lane < kWarp; ++lane) before[lane] = values[lane == 0 ? 0 : lane - 1];
  return before;
#endif
}

// A lane's share of four matrices of 8 x 8 halves: of each, numbers 2 * (lane % 4) and the next of
// row lane / 4.
struct Matrices {
  std::uint32_t of[4];
};

// A lane's share of 16 x 8 sums: numbers 2 * (lane % 4) and the next of row lane / 4, then of row
// lane / 4 + 8.
struct Sums {
  float of[4];
};

VISTA_DEVICE void Fill(float value, Lanes<Sums>* sums) {
  ForEachLane([&](int lane) {
    VISTA_UNROLL
    for (int n = 0; n < 4; ++n) (*sums)[lane].of[n] = value;
  });
}

#ifndef __CUDA_ARCH__
namespace on_host {

inline float FloatOf(Half half) {
  const int exponent = half >> 10 & 31;
  const int fraction = half & 1023;
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                   : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return half >> 15 ? -size : size;
}

inline Half HalfOf(float value) {
  if (value == 0) return 0;
  const float size = std::abs(value);
  const int exponent = std::max(std::ilogb(size), -14);
  const int fraction = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  return static_cast<Half>((value < 0 ? 0x8000 : 0) + ((exponent + 14) << 10) + fraction);
}

inline float At(std::uint32_t pair, int n) { return FloatOf(static_cast<Half>(pair >> 16 * n)); }

}  // namespace on_host
#endif

// The nearest halves, `low` in the lower bits.
VISTA_DEVICE std::uint32_t HalvesOf(float low, float high) {
#ifdef __CUDA_ARCH__
  std::uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return on_host::HalfOf(low) | std::uint32_t{on_host::HalfOf(high)} << 16;
#endif
}

VISTA_DEVICE float LowOf(std::uint32_t pair) {
#ifdef __CUDA_ARCH__
  float value;
  asm("{ .reg .f16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, low; }"
      : "=f"(value)
      : "r"(pair));
  return value;
#else
  return on_host::At(pair, 0);
#endif
}

VISTA_DEVICE float HighOf(std::uint32_t pair) {
#ifdef __CUDA_ARCH__
  float value;
  asm("{ .reg .f16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, high; }"
      : "=f"(value)
      : "r"(pair));
  return value;
#else
  return on_host::At(pair, 1);
#endif
}

// value * scale as bytes, to the nearest (a half upwards) and clamped: halves of 2^-24.
VISTA_DEVICE std::uint32_t NearestBytes(float low, float high, float scale) {
#ifdef __CUDA_ARCH__
  // A half has no fraction from 1024 to 2048: rounding towards zero there rounds down, and the
  // difference of its bits from those of 1024 is the number.
  std::uint32_t pair;
  asm("cvt.rz.f16x2.f32 %0, %1, %2;"
      : "=r"(pair)
      : "f"(__fmaf_rz(high, scale, 1024.5f)), "f"(__fmaf_rz(low, scale, 1024.5f)));
  return __viaddmin_s16x2_relu(pair, 0x9c009c00, 0x00ff00ff);
#else
  const auto byte = [scale](float value) {
    return static_cast<std::uint32_t>(std::clamp(std::floor(value * scale + 0.5f), 0.0f, 255.0f));
  };
  return byte(low) | byte(high) << 16;
#endif
}

// The same of values in units of 2^-24, rounded down.
VISTA_DEVICE std::uint32_t BytesBelow(float low, float high) {
#ifdef __CUDA_ARCH__
  // The bits of halves are such units up to 2^-14; more is clamped, and so is less than none.
  std::uint32_t pair;
  asm("cvt.rz.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return __vimin_s16x2_relu(pair, 0x00ff00ff);
#else
  const auto byte = [](float value) {
    return static_cast<std::uint32_t>(std::clamp(std::floor(value * 16777216), 0.0f, 255.0f));
  };
  return byte(low) | byte(high) << 16;
#endif
}

// Four matrices from shared memory: lane l tells where row l % 8 of matrix l / 8 lies, aligned to
// 16 bytes.
VISTA_DEVICE void LoadMatrices(const Lanes<const Half*>& rows, Lanes<Matrices>* loaded) {
#ifdef __CUDA_ARCH__
  std::uint32_t* const to = loaded->own.of;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(rows.own)))
               : "memory");
#else
  for (int lane = 0; lane < kWarp; ++lane) {
    for (int matrix = 0; matrix < 4; ++matrix) {
      const Half* const from = rows[matrix * 8 + lane / 4] + lane % 4 * 2;
      (*loaded)[lane].of[matrix] = from[0] | std::uint32_t{from[1]} << 16;
    }
  }
#endif
}

// sums = before + a * b, for a of 16 x 16 (rows 0 to 7 and then 8 to 15 of its first eight columns,
// and so of the others) and b of 16 x 8, columns in place of rows: matrices 2 * half and the next
// of `b`. `before` may be `sums`.
VISTA_DEVICE void MultiplyAdd(const Lanes<Matrices>& a, const Lanes<Matrices>& b, int half,
                              const Lanes<Sums>& before, Lanes<Sums>* sums) {
#ifdef __CUDA_ARCH__
  const std::uint32_t* const x = a.own.of;
  const std::uint32_t* const y = b.own.of + 2 * half;
  const float* const start = before.own.of;
  float* const s = sums->own.of;
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %11, %12, %13};"
      : "=f"(s[0]), "=f"(s[1]), "=f"(s[2]), "=f"(s[3])
      : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]), "f"(start[0]),
        "f"(start[1]), "f"(start[2]), "f"(start[3]));
#else
  float left[16][16];
  float right[8][16];
  for (int lane = 0; lane < kWarp; ++lane) {
    for (int n = 0; n < 8; ++n) {
      const int part = n / 2;
      const int column = part / 2 * 8 + lane % 4 * 2 + n % 2;
      left[part % 2 * 8 + lane / 4][column] = on_host::At(a[lane].of[part], n % 2);
      if (part < 2)
        right[lane / 4][part * 8 + lane % 4 * 2 + n % 2] =
            on_host::At(b[lane].of[2 * half + part], n % 2);
    }
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    for (int n = 0; n < 4; ++n) {
      const int row = lane / 4 + n / 2 * 8;
      const int column = lane % 4 * 2 + n % 2;
      float sum = before[lane].of[n];
      for (int k = 0; k < 16; ++k) sum += left[row][k] * right[column][k];
      (*sums)[lane].of[n] = sum;
    }
  }
#endif
}

VISTA_DEVICE void MultiplyAdd(const Lanes<Matrices>& a, const Lanes<Matrices>& b, int half,
                              Lanes<Sums>* sums) {
  MultiplyAdd(a, b, half, *sums, sums);
}

}  // namespace vista::cuda
