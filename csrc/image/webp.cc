// WebP by libwebp.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>
#include <string>

#include "image/exif.h"
#include "image/formats.h"

namespace vista {
namespace {

using Demuxer =
    std::unique_ptr<WebPDemuxer, decltype([](WebPDemuxer* demuxer) { WebPDemuxDelete(demuxer); })>;
using AnimationDecoder =
    std::unique_ptr<WebPAnimDecoder,
                    decltype([](WebPAnimDecoder* decoder) { WebPAnimDecoderDelete(decoder); })>;

struct ChunkIterator {
  WebPChunkIterator chunk{};

  ChunkIterator() = default;
  ~ChunkIterator() { WebPDemuxReleaseChunkIterator(&chunk); }
  ChunkIterator(const ChunkIterator&) = delete;
  ChunkIterator& operator=(const ChunkIterator&) = delete;
};

Orientation OrientationOf(const WebPData& data) {
  const Demuxer demuxer(WebPDemux(&data));
  ChunkIterator exif;
  if (!demuxer || WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &exif.chunk) == 0)
    return Orientation::kNone;
  return ExifOrientation({exif.chunk.chunk.bytes, exif.chunk.chunk.size});
}

Status Unreadable(std::size_t size, const char* why) {
  return Status::InvalidArgument("the WebP of " + std::to_string(size) +
                                 " bytes can't be decoded (" + why + "); give an intact file");
}

const char* Why(VP8StatusCode code) {
  switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "no memory";
    case VP8_STATUS_BITSTREAM_ERROR:
      return "damaged data";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "unsupported feature";
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "the data ends too early";
    default:
      return "damaged header";
  }
}

bool ReadStill(const WebPData& data, const WebPBitstreamFeatures& features, Pixels* pixels) {
  const int width = pixels->size().width;
  if (!features.has_alpha) {
    return WebPDecodeRGBInto(data.bytes, data.size, pixels->data(), pixels->bytes(), 3 * width) !=
           nullptr;
  }
  const std::size_t count = pixels->bytes() / 3;
  const auto with_alpha = std::make_unique_for_overwrite<std::uint8_t[]>(4 * count);
  if (WebPDecodeRGBAInto(data.bytes, data.size, with_alpha.get(), 4 * count, 4 * width) == nullptr)
    return false;
  FlattenOverWhite(with_alpha.get(), count, pixels->data());
  return true;
}

bool ReadFirstFrame(const WebPData& data, Pixels* pixels) {
  WebPAnimDecoderOptions options;
  if (WebPAnimDecoderOptionsInit(&options) == 0) return false;
  options.color_mode = MODE_RGBA;
  const AnimationDecoder decoder(WebPAnimDecoderNew(&data, &options));
  std::uint8_t* with_alpha = nullptr;
  int timestamp = 0;
  if (!decoder || WebPAnimDecoderGetNext(decoder.get(), &with_alpha, &timestamp) == 0) return false;
  FlattenOverWhite(with_alpha, pixels->bytes() / 3, pixels->data());
  return true;
}

}  // namespace

Result<Decoded> DecodeWebp(std::span<const std::uint8_t> encoded, std::int64_t pixel_limit) {
  WebPBitstreamFeatures features;
  const VP8StatusCode code = WebPGetFeatures(encoded.data(), encoded.size(), &features);
  if (code != VP8_STATUS_OK) return Unreadable(encoded.size(), Why(code));
  if (Status status = CheckSize("the WebP", features.width, features.height, pixel_limit);
      !status.ok())
    return status;
  Result<Pixels> pixels = Pixels::Allocate({features.width, features.height}, pixel_limit);
  if (!pixels.ok()) return pixels.status();
  const WebPData data = {encoded.data(), encoded.size()};
  const bool read = features.has_animation ? ReadFirstFrame(data, &pixels.value())
                                           : ReadStill(data, features, &pixels.value());
  if (!read) return Unreadable(encoded.size(), "damaged data, or its end is missing");
  return Decoded{std::move(pixels).value(), OrientationOf(data)};
}

}  // namespace vista
