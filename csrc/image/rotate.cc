#include "image/rotate.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numbers>

#include "image/orient.h"

namespace vista {
namespace {

constexpr double kMostDegrees = 1e6;

// Output to source: x' = a x + b y + c, y' = d x + e y + f.
struct Affine {
  double a, b, c, d, e, f;

  [[nodiscard]] std::array<double, 2> operator()(double x, double y) const {
    return {a * x + b * y + c, d * x + e * y + f};
  }
};

// Rounded to 15 decimals as Python's round does, so that a right angle's sine and cosine are whole.
double Round15(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 15).ptr;
  double rounded = 0.0;
  std::from_chars(text, end, rounded);
  return rounded;
}

struct Placement {
  Affine map;
  Size size;
};

Placement Place(Size source, double degrees, bool expand) {
  const double radians = -(degrees * (std::numbers::pi / 180.0));
  const double cosine = Round15(std::cos(radians));
  Affine map = {cosine, Round15(std::sin(radians)), 0.0, Round15(-std::sin(radians)), cosine, 0.0};
  const double centre_x = source.width / 2.0;
  const double centre_y = source.height / 2.0;
  const auto moved = map(-centre_x, -centre_y);
  map.c = moved[0] + centre_x;
  map.f = moved[1] + centre_y;
  if (!expand) return {map, source};

  const double w = source.width;
  const double h = source.height;
  const std::array<std::array<double, 2>, 4> corners = {map(0, 0), map(w, 0), map(w, h), map(0, h)};
  double low[2];
  double high[2];
  for (int axis : {0, 1}) {
    low[axis] = high[axis] = corners[0][axis];
    for (const auto& corner : corners) {
      low[axis] = std::min(low[axis], corner[axis]);
      high[axis] = std::max(high[axis], corner[axis]);
    }
  }
  const double wide = std::ceil(high[0]) - std::floor(low[0]);
  const double tall = std::ceil(high[1]) - std::floor(low[1]);
  const auto shifted = map(-(wide - w) / 2.0, -(tall - h) / 2.0);
  map.c = shifted[0];
  map.f = shifted[1];
  return {map, {static_cast<int>(wide), static_cast<int>(tall)}};
}

int Floor(double value) { return static_cast<int>(std::floor(value)); }

// The fill colour is in place; these write the pixels that the source reaches.

constexpr double kFixedOne = 65536.0;

std::int64_t ToFixed(double value) {
  return static_cast<std::int64_t>(std::floor(value * kFixedOne + 0.5));
}

// In 16.16 fixed point, as Pillow's.
void SampleNearest(const PixelView& source, const Affine& map, Pixels* out) {
  const std::int64_t a = ToFixed(map.a);
  const std::int64_t b = ToFixed(map.b);
  const std::int64_t d = ToFixed(map.d);
  const std::int64_t e = ToFixed(map.e);
  std::int64_t row_x = ToFixed(map.c + map.a * 0.5 + map.b * 0.5);
  std::int64_t row_y = ToFixed(map.f + map.d * 0.5 + map.e * 0.5);
  const Size size = out->size();
  for (int y = 0; y < size.height; ++y, row_x += b, row_y += e) {
    std::int64_t x_fixed = row_x;
    std::int64_t y_fixed = row_y;
    std::uint8_t* to = out->row(y);
    for (int x = 0; x < size.width; ++x, to += 3, x_fixed += a, y_fixed += d) {
      const std::int64_t from_x = x_fixed >> 16;
      const std::int64_t from_y = y_fixed >> 16;
      if (from_x < 0 || from_x >= source.size.width || from_y < 0 || from_y >= source.size.height)
        continue;
      std::memcpy(to, source.row(static_cast<int>(from_y)) + 3 * from_x, 3);
    }
  }
}

double Linear(double a, double b, double t) { return a + (b - a) * t; }

void Bilinear(const PixelView& source, double x, double y, std::uint8_t* to) {
  x -= 0.5;
  y -= 0.5;
  const int left = Floor(x);
  const int top = Floor(y);
  const int last_x = source.size.width - 1;
  const int last_y = source.size.height - 1;
  const std::ptrdiff_t x0 = 3 * static_cast<std::ptrdiff_t>(std::clamp(left, 0, last_x));
  const std::ptrdiff_t x1 = 3 * static_cast<std::ptrdiff_t>(std::clamp(left + 1, 0, last_x));
  const std::uint8_t* above = source.row(std::clamp(top, 0, last_y));
  const std::uint8_t* below = top + 1 <= last_y ? source.row(top + 1) : above;
  for (int c = 0; c < 3; ++c) {
    const double upper = Linear(above[x0 + c], above[x1 + c], x - left);
    const double lower = Linear(below[x0 + c], below[x1 + c], x - left);
    to[c] = static_cast<std::uint8_t>(Linear(upper, lower, y - top));
  }
}

double Cubic(double v0, double v1, double v2, double v3, double t) {
  const double p1 = v1;
  const double p2 = -v0 + v2;
  const double p3 = 2 * (v0 - v1) + v2 - v3;
  const double p4 = -v0 + v1 - v2 + v3;
  return p1 + t * (p2 + t * (p3 + t * p4));
}

void Bicubic(const PixelView& source, double x, double y, std::uint8_t* to) {
  x -= 0.5;
  y -= 0.5;
  const int left = Floor(x);
  const int top = Floor(y);
  const int last_x = source.size.width - 1;
  const int last_y = source.size.height - 1;
  std::ptrdiff_t columns[4];
  const std::uint8_t* rows[4];
  rows[0] = source.row(std::clamp(top - 1, 0, last_y));
  for (int i = 0; i < 4; ++i) {
    columns[i] = 3 * static_cast<std::ptrdiff_t>(std::clamp(left - 1 + i, 0, last_x));
    const int line = top - 1 + i;
    if (i > 0) rows[i] = line >= 0 && line <= last_y ? source.row(line) : rows[i - 1];
  }
  for (int c = 0; c < 3; ++c) {
    double lines[4];
    for (int i = 0; i < 4; ++i) {
      const std::uint8_t* row = rows[i] + c;
      lines[i] =
          Cubic(row[columns[0]], row[columns[1]], row[columns[2]], row[columns[3]], x - left);
    }
    const double value = Cubic(lines[0], lines[1], lines[2], lines[3], y - top);
    to[c] = static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
  }
}

template <auto kSample>
void SampleSmoothly(const PixelView& source, const Affine& map, Pixels* out) {
  const Size size = out->size();
  for (int y = 0; y < size.height; ++y) {
    std::uint8_t* to = out->row(y);
    for (int x = 0; x < size.width; ++x, to += 3) {
      const auto [from_x, from_y] = map(x + 0.5, y + 0.5);
      if (from_x < 0.0 || from_x >= source.size.width || from_y < 0.0 ||
          from_y >= source.size.height)
        continue;
      kSample(source, from_x, from_y, to);
    }
  }
}

void Fill(const Color& color, Pixels* out) {
  std::uint8_t* first = out->row(0);
  for (std::size_t i = 0; i < out->stride(); i += 3) {
    std::copy(color.begin(), color.end(), first + i);
  }
  for (int y = 1; y < out->size().height; ++y) std::memcpy(out->row(y), first, out->stride());
}

}  // namespace

Result<Pixels> Rotate(const PixelView& source, double degrees, const RotateOptions& options) {
  if (!std::isfinite(degrees) || std::abs(degrees) > kMostDegrees) {
    char text[128];
    std::snprintf(text, sizeof text, "angle is %.6g; give degrees between %.0f and %.0f", degrees,
                  -kMostDegrees, kMostDegrees);
    return Status::InvalidArgument(text);
  }
  if (options.filter == Filter::kBox || options.filter == Filter::kLanczos) {
    return Status::InvalidArgument(
        "filter is a resizing filter; rotate takes nearest, bilinear or bicubic");
  }
  double angle = std::fmod(degrees, 360.0);
  if (angle < 0) angle += 360.0;
  if (angle == 0 || angle == 360.0) return Copy(source);
  if (angle == 180) return Orient(source, Orientation::kTurn180);
  if ((angle == 90 || angle == 270) &&
      (options.expand || source.size.width == source.size.height)) {
    return Orient(source, angle == 90 ? Orientation::kTurn90 : Orientation::kTurn270);
  }
  const Placement placement = Place(source.size, angle, options.expand);
  Result<Pixels> result = Pixels::Allocate(placement.size);
  if (!result.ok()) return result;
  Fill(options.fill, &result.value());
  if (options.filter == Filter::kNearest) {
    SampleNearest(source, placement.map, &result.value());
  } else if (options.filter == Filter::kBilinear) {
    SampleSmoothly<Bilinear>(source, placement.map, &result.value());
  } else {
    SampleSmoothly<Bicubic>(source, placement.map, &result.value());
  }
  return result;
}

}  // namespace vista
