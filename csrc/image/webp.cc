// WebP by libwebp.
#include <webp/decode.h>
#include <webp/demux.h>

#include <cstring>
#include <memory>
#include <string>

#include "base/buffer.h"
#include "image/exif.h"
#include "image/formats.h"

namespace vista {
namespace {

using Demuxer =
    std::unique_ptr<WebPDemuxer, decltype([](WebPDemuxer* demuxer) { WebPDemuxDelete(demuxer); })>;

struct ChunkIterator {
  WebPChunkIterator chunk{};

  ChunkIterator() = default;
  ~ChunkIterator() { WebPDemuxReleaseChunkIterator(&chunk); }
  ChunkIterator(const ChunkIterator&) = delete;
  ChunkIterator& operator=(const ChunkIterator&) = delete;
};

struct Frame {
  WebPIterator iterator{};

  Frame() = default;
  ~Frame() { WebPDemuxReleaseIterator(&iterator); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
};

Orientation OrientationOf(const WebPData& data) {
  const Demuxer demuxer(WebPDemux(&data));
  ChunkIterator exif;
  if (!demuxer || WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &exif.chunk) == 0)
    return Orientation::kNone;
  return ExifOrientation({exif.chunk.chunk.bytes, exif.chunk.chunk.size});
}

const char* Why(VP8StatusCode code) {
  switch (code) {
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "unsupported feature";
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "the data ends too early";
    default:
      return "damaged data, or its end is missing";
  }
}

Status Unreadable(std::size_t size, VP8StatusCode code) {
  if (code == VP8_STATUS_OUT_OF_MEMORY) return NoMemoryToDecode("the WebP", size);
  return Status::InvalidArgument("the WebP of " + std::to_string(size) +
                                 " bytes can't be decoded (" + Why(code) +
                                 "); give an intact file");
}

// Decodes a still into rows of `mode` without gaps.
VP8StatusCode ReadInto(const WebPData& data, WEBP_CSP_MODE mode, Size size, std::uint8_t* rows) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) return VP8_STATUS_INVALID_PARAM;
  const int stride = (mode == MODE_RGB ? 3 : 4) * size.width;
  config.output.colorspace = mode;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {rows, stride,
                          static_cast<std::size_t>(stride) * static_cast<std::size_t>(size.height)};
  return WebPDecode(data.bytes, data.size, &config);
}

// Decodes a still and lays it over the white of the rows at `to`, which are `stride` bytes apart.
VP8StatusCode ReadOverWhite(const WebPData& data, Size size, std::uint8_t* to, std::size_t stride) {
  const auto width = static_cast<std::size_t>(size.width);
  const auto height = static_cast<std::size_t>(size.height);
  const Buffer with_alpha = AllocateBuffer(4 * width * height);
  if (with_alpha == nullptr) return VP8_STATUS_OUT_OF_MEMORY;
  const VP8StatusCode code = ReadInto(data, MODE_RGBA, size, with_alpha.get());
  if (code != VP8_STATUS_OK) return code;
  for (std::size_t y = 0; y < height; ++y)
    FlattenOverWhite(with_alpha.get() + 4 * width * y, width, to + stride * y);
  return code;
}

// An animation's first frame, which may cover a part of the picture only.
VP8StatusCode ReadFirstFrame(const WebPData& data, Pixels* pixels) {
  const Demuxer demuxer(WebPDemux(&data));
  Frame frame;
  if (!demuxer || WebPDemuxGetFrame(demuxer.get(), 1, &frame.iterator) == 0)
    return VP8_STATUS_BITSTREAM_ERROR;
  const WebPIterator& at = frame.iterator;
  const Size whole = pixels->size();
  if (at.width < 1 || at.height < 1 || at.x_offset < 0 || at.y_offset < 0 ||
      at.x_offset > whole.width - at.width || at.y_offset > whole.height - at.height)
    return VP8_STATUS_BITSTREAM_ERROR;
  std::memset(pixels->data(), 255, pixels->bytes());
  std::uint8_t* corner = pixels->row(at.y_offset) + 3 * static_cast<std::ptrdiff_t>(at.x_offset);
  return ReadOverWhite(at.fragment, {at.width, at.height}, corner, pixels->stride());
}

VP8StatusCode ReadPixels(const WebPData& data, const WebPBitstreamFeatures& features,
                         Pixels* pixels) {
  if (features.has_animation) return ReadFirstFrame(data, pixels);
  if (features.has_alpha)
    return ReadOverWhite(data, pixels->size(), pixels->data(), pixels->stride());
  return ReadInto(data, MODE_RGB, pixels->size(), pixels->data());
}

}  // namespace

Result<Decoded> DecodeWebp(std::span<const std::uint8_t> encoded, std::int64_t pixel_limit) {
  WebPBitstreamFeatures features;
  VP8StatusCode code = WebPGetFeatures(encoded.data(), encoded.size(), &features);
  if (code != VP8_STATUS_OK) return Unreadable(encoded.size(), code);
  if (Status status = CheckSize("the WebP", features.width, features.height, pixel_limit);
      !status.ok())
    return status;
  Result<Pixels> pixels = Pixels::Allocate({features.width, features.height}, pixel_limit);
  if (!pixels.ok()) return pixels.status();
  const WebPData data = {encoded.data(), encoded.size()};
  code = ReadPixels(data, features, &pixels.value());
  if (code != VP8_STATUS_OK) return Unreadable(encoded.size(), code);
  return Decoded{std::move(pixels).value(), OrientationOf(data)};
}

}  // namespace vista
