#include "image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "image/box.h"
#include "image/resample_axis.h"
#include "image/resample_kernels.h"
#include "image/resample_packed.h"
#include "image/resample_rows.h"

namespace vista {
namespace {

// The pixels of row y that the axis weighs.
const std::uint8_t* Weighed(const PixelView& source, const Axis& axis, int y) {
  return source.row(y) + 3 * static_cast<std::ptrdiff_t>(axis.begin());
}

void ResizeRows(const PixelView& source, const Axis& axis, const ResampleKernels& kernels,
                Pixels* out) {
  RowResizer resizer(axis, kernels);
  std::uint8_t* rows[kLanes];
  for (int y = 0; y < source.size.height; y += resizer.rows()) {
    const int count = std::min(resizer.rows(), source.size.height - y);
    for (int i = 0; i < count; ++i) rows[i] = out->row(y + i);
    resizer.Run(Weighed(source, axis, y), source.stride, count, rows);
  }
}

// Resizes vertically, one output row at a time; `row_of` says where an input row begins.
template <typename RowOf>
class ColumnResizer {
 public:
  ColumnResizer(const Axis& axis, const ResampleKernels& kernels, RowOf row_of)
      : axis_(axis),
        kernels_(kernels),
        row_of_(std::move(row_of)),
        rows_(static_cast<std::size_t>(axis.most_taps())) {}

  void Run(int y, std::size_t bytes, std::uint8_t* to) {
    for (int k = 0; k < axis_.count(y); ++k)
      rows_[static_cast<std::size_t>(k)] = row_of_(axis_.first(y) + k);
    kernels_.vertical(rows_.data(), axis_.weights(y), axis_.count(y), bytes, to);
  }

 private:
  const Axis& axis_;
  const ResampleKernels& kernels_;
  RowOf row_of_;
  std::vector<const std::uint8_t*> rows_;
};

void ResizeColumns(const PixelView& source, const Axis& axis, const ResampleKernels& kernels,
                   Pixels* out) {
  ColumnResizer resizer(axis, kernels, [&](int y) { return source.row(y); });
  for (int y = 0; y < axis.outputs(); ++y) resizer.Run(y, out->stride(), out->row(y));
}

// Both passes, rows first, on quads of rows. As for ResizeRowsThenColumns, a ring holds those that
// output rows still need.
void ResizeInQuads(const PixelView& source, const Axis& horizontal, const Axis& vertical,
                   const ResampleKernels& kernels, const RowResizer& rows,
                   const PackedColumns& columns, Pixels* out) {
  const int slots = columns.most() + 1;
  const std::size_t stride = out->stride();
  const std::size_t quad_blocks = (kPackedRows * stride + kQuadSlack) / sizeof(Block) + 1;
  std::vector<Block> ring(static_cast<std::size_t>(slots) * quad_blocks);
  const auto slot = [&](int quad) {
    return ring[static_cast<std::size_t>(quad % slots) * quad_blocks].bytes;
  };
  std::vector<const std::uint8_t*> quads(static_cast<std::size_t>(columns.most()));
  int ready = 0;  // the quads up to here have been resized
  for (int y = 0; y < vertical.outputs(); ++y) {
    const int first = columns.first(y);
    const int count = columns.count(y);
    for (; ready < first + count; ++ready) {
      const int row = vertical.begin() + kPackedRows * ready;
      rows.RunQuad(Weighed(source, horizontal, row), source.stride,
                   std::min(kPackedRows, vertical.end() - row), slot(ready));
    }
    for (int q = 0; q < count; ++q) quads[static_cast<std::size_t>(q)] = slot(first + q);
    kernels.vertical_quads(quads.data(), columns.digits(y), count, stride, out->row(y));
  }
}

// Both passes, rows first. Resized rows wait in a ring just as long as an output row still needs
// them, so that they are read from the cache, and memory stays small however tall the source is.
void ResizeRowsThenColumns(const PixelView& source, const Axis& horizontal, const Axis& vertical,
                           const ResampleKernels& kernels, Pixels* out) {
  RowResizer rows(horizontal, kernels);
  if (rows.MakesQuads()) {
    const PackedColumns columns(vertical);
    if (!columns.empty()) {
      ResizeInQuads(source, horizontal, vertical, kernels, rows, columns, out);
      return;
    }
  }
  const int slots = vertical.most_taps() + rows.rows();
  const std::size_t stride = out->stride();
  std::vector<std::uint8_t> ring(static_cast<std::size_t>(slots) * stride);
  const auto slot = [&](int y) {
    return ring.data() + static_cast<std::size_t>(y % slots) * stride;
  };
  ColumnResizer columns(vertical, kernels, slot);
  int ready = vertical.begin();  // the rows from vertical.begin() to here have been resized
  for (int y = 0; y < vertical.outputs(); ++y) {
    const int end = vertical.first(y) + vertical.count(y);
    while (ready < end) {
      std::uint8_t* to[kLanes];
      const int count = std::min(rows.rows(), vertical.end() - ready);
      for (int i = 0; i < count; ++i) to[i] = slot(ready + i);
      rows.Run(Weighed(source, horizontal, ready), source.stride, count, to);
      ready += count;
    }
    columns.Run(y, stride, out->row(y));
  }
}

void ResizeColumnsThenRows(const PixelView& source, const Axis& horizontal, const Axis& vertical,
                           const ResampleKernels& kernels, Pixels* out) {
  const std::size_t stride = 3 * static_cast<std::size_t>(horizontal.end() - horizontal.begin());
  RowResizer rows(horizontal, kernels);
  std::vector<std::uint8_t> block(static_cast<std::size_t>(rows.rows()) * stride);
  ColumnResizer columns(vertical, kernels, [&](int y) { return Weighed(source, horizontal, y); });
  for (int y = 0; y < vertical.outputs(); y += rows.rows()) {
    std::uint8_t* to[kLanes];
    const int count = std::min(rows.rows(), vertical.outputs() - y);
    for (int i = 0; i < count; ++i) {
      columns.Run(y + i, stride, block.data() + static_cast<std::size_t>(i) * stride);
      to[i] = out->row(y + i);
    }
    rows.Run(block.data(), static_cast<std::ptrdiff_t>(stride), count, to);
  }
}

// Each pass rounds to whole pixel values, so their order shows in the result. This is the order
// that Pillow 13 takes (Pillow 12 and earlier always resize rows first).
bool ColumnsFirst(Size from, Size to) {
  const int lost_rows = from.height - to.height;
  return lost_rows > 0 && lost_rows > 2 * (from.width - to.width);
}

// The source position of each output position. Positions are summed up, not multiplied out, because
// that is how Pillow rounds them.
std::vector<int> NearestPositions(int input, float begin, float end, int output) {
  const double step = static_cast<double>(end - begin) / output;
  std::vector<int> positions(static_cast<std::size_t>(output));
  double position = begin + step * 0.5;
  for (int& nearest : positions) {
    nearest = std::min(static_cast<int>(position), input - 1);
    position += step;
  }
  return positions;
}

void ResizeNearest(const PixelView& source, const std::array<float, 4>& part, Pixels* out) {
  const Size size = out->size();
  const std::vector<int> columns =
      NearestPositions(source.size.width, part[0], part[2], size.width);
  const std::vector<int> lines =
      NearestPositions(source.size.height, part[1], part[3], size.height);
  for (int y = 0; y < size.height; ++y) {
    const int line = lines[static_cast<std::size_t>(y)];
    std::uint8_t* to = out->row(y);
    if (y > 0 && line == lines[static_cast<std::size_t>(y - 1)]) {
      std::memcpy(to, out->row(y - 1), out->stride());
      continue;
    }
    const std::uint8_t* from = source.row(line);
    for (const int column : columns) {
      std::memcpy(to, from + 3 * static_cast<std::ptrdiff_t>(column), 3);
      to += 3;
    }
  }
}

Status CheckPart(const std::array<float, 4>& part, Size size) {
  const auto [left, top, right, bottom] = part;
  const bool inside = left >= 0 && top >= 0 && right <= static_cast<float>(size.width) &&
                      bottom <= static_cast<float>(size.height) && left < right && top < bottom;
  if (inside) return {};
  char text[256];
  std::snprintf(text, sizeof text,
                "source (%.6g, %.6g, %.6g, %.6g) is not a part of an image of %d x %d pixels; give "
                "(left, top, right, "
                "bottom) inside it with left < right and top < bottom",
                static_cast<double>(left), static_cast<double>(top), static_cast<double>(right),
                static_cast<double>(bottom), size.width, size.height);
  return Status::InvalidArgument(text);
}

}  // namespace

Result<Pixels> Resize(const PixelView& source, Size size, Filter filter) {
  return Resize(
      source, size, filter,
      {0, 0, static_cast<float>(source.size.width), static_cast<float>(source.size.height)});
}

Result<Pixels> Resize(const PixelView& source, Size size, Filter filter,
                      const std::array<float, 4>& part) {
  return Resize(source, size, filter, part, BestResampleKernels());
}

Result<Pixels> Resize(const PixelView& source, Size size, Filter filter,
                      const std::array<float, 4>& part, const ResampleKernels& kernels) {
  if (Status status = CheckPart(part, source.size); !status.ok()) return status;
  if (Status status = CheckSize("size", size.width, size.height); !status.ok()) return status;
  const auto [left, top, right, bottom] = part;
  if (left == std::floor(left) && top == std::floor(top) &&
      right - left == static_cast<float>(size.width) &&
      bottom - top == static_cast<float>(size.height)) {
    const Box box = {static_cast<int>(left), static_cast<int>(top), static_cast<int>(right),
                     static_cast<int>(bottom)};
    return Copy(Region(source, box));
  }
  Result<Pixels> result = Pixels::Allocate(size);
  if (!result.ok()) return result;
  Pixels& out = result.value();
  if (filter == Filter::kNearest) {
    ResizeNearest(source, part, &out);
    return result;
  }
  const Axis horizontal(source.size.width, left, right, size.width, filter);
  const Axis vertical(source.size.height, top, bottom, size.height, filter);
  if (horizontal.identity()) {
    ResizeColumns(source, vertical, kernels, &out);
  } else if (vertical.identity()) {
    ResizeRows(source, horizontal, kernels, &out);
  } else if (ColumnsFirst(source.size, size)) {
    ResizeColumnsThenRows(source, horizontal, vertical, kernels, &out);
  } else {
    ResizeRowsThenColumns(source, horizontal, vertical, kernels, &out);
  }
  return result;
}

}  // namespace vista
