#include "image/planes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "image/box.h"

namespace vista {
namespace {

std::string Text(Size size) {
  return std::to_string(size.width) + " x " + std::to_string(size.height);
}

// The shorter side to `edge`, the other with it, cut to a whole number.
Size ShortestEdge(Size image, int edge) {
  const bool wide = image.width > image.height;
  const double ratio_of_long = wide ? image.width : image.height;
  const double ratio_of_short = wide ? image.height : image.width;
  const double along = std::floor(edge * ratio_of_long / ratio_of_short);
  const int other = static_cast<int>(std::min<double>(along, kMaxSide + 1.0));
  return wide ? Size{other, edge} : Size{edge, other};
}

Size Square(Size image) {
  const int side = std::max(image.width, image.height);
  return {side, side};
}

// Centred on the mean colour.
Result<Pixels> PadToSquare(const PixelView& source, const Channels& mean) {
  Result<Pixels> padded = Pixels::Allocate(Square(source.size));
  if (!padded.ok()) return padded;
  Pixels& pixels = padded.value();
  std::uint8_t colour[3];
  for (std::size_t c = 0; c < 3; ++c) {
    colour[c] = static_cast<std::uint8_t>(std::clamp(std::trunc(mean[c] * 255), 0.0, 255.0));
  }
  for (std::size_t i = 0; i < pixels.bytes(); ++i) pixels.data()[i] = colour[i % 3];
  const int left = (pixels.size().width - source.size.width) / 2;
  const int top = (pixels.size().height - source.size.height) / 2;
  for (int y = 0; y < source.size.height; ++y) {
    std::copy_n(source.row(y), 3 * static_cast<std::ptrdiff_t>(source.size.width),
                pixels.row(top + y) + 3 * static_cast<std::ptrdiff_t>(left));
  }
  return padded;
}

Status CheckOptions(const PlaneOptions& options) {
  if (Status status = CheckSize("size", options.size.width, options.size.height); !status.ok())
    return status;
  if (options.min_tiles < 1 || options.max_tiles < options.min_tiles ||
      options.max_tiles > kMostTiles) {
    return Status::InvalidArgument(
        "min_tiles is " + std::to_string(options.min_tiles) + " and max_tiles " +
        std::to_string(options.max_tiles) +
        "; give 1 <= min_tiles <= max_tiles <= " + std::to_string(kMostTiles));
  }
  return MakeNormalisationTable(options.mean, options.std).status();
}

// What the whole image is resized to.
Size Resized(Size image, const PlaneOptions& options, Size grid) {
  if (options.fit == PlaneOptions::Fit::kCentre) return ShortestEdge(image, options.shortest_edge);
  return {options.size.width * grid.width, options.size.height * grid.height};
}

}  // namespace

Size TileGrid(Size image, Size tile, int min_tiles, int max_tiles) {
  const double aspect = static_cast<double>(image.width) / image.height;
  const double area = static_cast<double>(image.width) * image.height;
  const double tile_area = static_cast<double>(tile.width) * tile.height;
  double nearest = std::numeric_limits<double>::infinity();
  Size best = {1, 1};
  // By number of tiles, then by columns.
  for (int tiles = min_tiles; tiles <= max_tiles; ++tiles) {
    for (int columns = 1; columns <= tiles; ++columns) {
      if (tiles % columns != 0) continue;
      const Size grid = {columns, tiles / columns};
      const double difference = std::abs(aspect - static_cast<double>(grid.width) / grid.height);
      if (difference < nearest || (difference == nearest && area > 0.5 * tile_area * tiles))
        best = grid;
      nearest = std::min(nearest, difference);
    }
  }
  return best;
}

Result<PlaneLayout> LayOutPlanes(Size image, const PlaneOptions& options) {
  if (Status status = CheckOptions(options); !status.ok()) return status;
  if (options.pad_to_square) image = Square(image);
  if (Status status = CheckSize("the padded image", image.width, image.height); !status.ok())
    return status;
  const bool tiles = options.fit == PlaneOptions::Fit::kTiles;
  const Size grid =
      tiles ? TileGrid(image, options.size, options.min_tiles, options.max_tiles) : Size{1, 1};
  const Size resized = Resized(image, options, grid);
  if (Status status = CheckSize("the resized image", resized.width, resized.height); !status.ok())
    return status;
  if (resized.width < options.size.width || resized.height < options.size.height) {
    return Status::InvalidArgument("size is " + Text(options.size) +
                                   ", larger than the resized image of " + Text(resized) +
                                   "; raise shortest_edge to at least the longer side of size");
  }
  const int count = grid.width * grid.height;
  return PlaneLayout{options.size, grid, count > 1 ? count + 1 : 1};
}

Status WritePlanes(const PixelView& source, const PlaneOptions& options, const PlaneLayout& layout,
                   float* out) {
  const Result<NormalisationTable> table = MakeNormalisationTable(options.mean, options.std);
  if (!table.ok()) return table.status();
  std::optional<Pixels> padded;
  PixelView image = source;
  if (options.pad_to_square && source.size.width != source.size.height) {
    Result<Pixels> square = PadToSquare(source, options.mean);
    if (!square.ok()) return square.status();
    padded = std::move(square).value();
    image = padded->view();
  }
  const auto [width, height] = layout.size;
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(width) * height;
  const Result<Pixels> resized =
      Resize(image, Resized(image.size, options, layout.grid), Filter::kBicubic);
  if (!resized.ok()) return resized.status();
  // Of a single plane this is what the middle leaves on the left and above; of tiles it is 0.
  const Size whole = resized.value().size();
  const int left = (whole.width - layout.grid.width * width) / 2;
  const int top = (whole.height - layout.grid.height * height) / 2;
  for (int row = 0; row < layout.grid.height; ++row) {
    for (int column = 0; column < layout.grid.width; ++column, out += 3 * plane) {
      const int x = left + column * width;
      const int y = top + row * height;
      Normalise(Region(resized.value().view(), {x, y, x + width, y + height}), table.value(), out,
                plane);
    }
  }
  if (layout.count == 1) return {};
  return LayPlanes(image, layout.size, Filter::kBicubic, table.value(), layout.size, out);
}

Status LayPlanes(const PixelView& source, Size size, Filter filter, const NormalisationTable& table,
                 Size canvas, float* out) {
  if (size.width > canvas.width || size.height > canvas.height) {
    return Status::InvalidArgument("the resized image of " + Text(size) +
                                   " does not fit into the canvas of " + Text(canvas));
  }
  const Result<Pixels> resized = Resize(source, size, filter);
  if (!resized.ok()) return resized.status();
  const std::ptrdiff_t along = canvas.width;
  const std::ptrdiff_t plane = along * canvas.height;
  const PixelView view = resized.value().view();
  for (int y = 0; y < size.height; ++y, out += along) {
    Normalise(Region(view, {0, y, size.width, y + 1}), table, out, plane);
  }
  return {};
}

void WriteBgr(const PixelView& source, const NormalisationTable& table, std::ptrdiff_t pitch,
              std::ptrdiff_t plane, float* out) {
  const auto [width, height] = source.size;
  float* red = out + 2 * plane;
  for (int y = 0; y < height; ++y, red += pitch)
    Normalise(Region(source, {0, y, width, y + 1}), table, red, -plane);
}

}  // namespace vista
