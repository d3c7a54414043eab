// What the vision encoders of CLIP, SigLIP, LLaVA and InternVL take: one or more normalised images
// of one size, channels apart. Equal to the Pillow backends of transformers' processors
// (CLIPImageProcessorPil, SiglipImageProcessorPil, LlavaImageProcessorPil,
// GotOcr2ImageProcessorPil).
#pragma once

#include <cstddef>

#include "base/status.h"
#include "image/normalise.h"
#include "image/pixels.h"
#include "image/resize.h"

namespace vista {

inline constexpr int kMostTiles = 256;

struct PlaneOptions {
  enum class Fit {
    kExact,   // to `size`, whatever the aspect ratio: SigLIP
    kCentre,  // the shorter side to `shortest_edge`, then the middle of `size`: CLIP and LLaVA
    kTiles,   // to a grid of tiles of `size`, and the whole as one more: InternVL
  };
  Fit fit = Fit::kExact;
  Size size = {224, 224};
  int shortest_edge = 224;
  bool pad_to_square = false;  // with the mean colour, before anything else
  int min_tiles = 1;           // to kMostTiles, both
  int max_tiles = 12;
  Channels mean = {0.5, 0.5, 0.5};
  Channels std = {0.5, 0.5, 0.5};
};

// `count` planes-of-three of `size`; `grid` is how tiles lie, {1, 1} without them.
struct PlaneLayout {
  Size size;
  Size grid;
  int count;
};

// The grid (columns, rows) of min_tiles to max_tiles tiles whose aspect ratio is nearest to the
// image's; of equal ones the larger, unless its tiles cover more than twice the image.
Size TileGrid(Size image, Size tile, int min_tiles, int max_tiles);

// Checks the options and lays out an image of that size.
Result<PlaneLayout> LayOutPlanes(Size image, const PlaneOptions& options);

// Resizes (bicubic), normalises and writes floats [layout.count, 3, height, width]. Tiles
// come row by row, the whole image last.
Status WritePlanes(const PixelView& source, const PlaneOptions& options, const PlaneLayout& layout,
                   float* out);

// Resizes the whole source, normalises it and writes it to the top left of a canvas of floats
// [3, canvas.height, canvas.width]; what lies beside it is left as it is. `size` must fit in.
Status LayPlanes(const PixelView& source, Size size, Filter filter, const NormalisationTable& table,
                 Size canvas, float* out);

// Writes what the table has for each sample to the planes blue, green and red, which lie `plane`
// floats apart, and their rows `pitch`.
void WriteBgr(const PixelView& source, const NormalisationTable& table, std::ptrdiff_t pitch,
              std::ptrdiff_t plane, float* out);

}  // namespace vista
