// image.encode(image, format="png", quality=90, subsampling="4:2:0", level=6): bytes of a PNG (zlib
// level 0 to 9) or a JPEG (quality 1 to 100; subsampling "4:4:4", "4:2:2" or "4:2:0").
#include "image/codec.h"
#include "ops/arguments.h"
#include "ops/image_op.h"

namespace vista::ops {
namespace {

struct Encode {
  static constexpr const char* kName = "image.encode";
  static constexpr const char* kVersion = "1";

  Image::Ref image;
  bool png;
  PngOptions png_options;
  JpegOptions jpeg_options;

  static Result<Encode> Parse(const Value& call) {
    Arguments arguments(kName, call);
    Image::Ref image = arguments.GetImage();
    const bool png = arguments.Choice("format", {"png", "jpeg"}, 0) == 0;
    PngOptions png_options;
    JpegOptions jpeg_options;
    png_options.level = static_cast<int>(arguments.Int("level", png_options.level, 0, 9));
    jpeg_options.quality = static_cast<int>(arguments.Int("quality", jpeg_options.quality, 1, 100));
    jpeg_options.subsampling = static_cast<Subsampling>(
        arguments.Choice("subsampling", {"4:4:4", "4:2:2", "4:2:0"},
                         static_cast<std::size_t>(jpeg_options.subsampling)));
    if (Status status = arguments.Finish(); !status.ok()) return status;
    return Encode{std::move(image), png, png_options, jpeg_options};
  }

  // PNG's compression costs some fifty times what other Ops do with a pixel.
  [[nodiscard]] double megapixels() const { return (png ? 50 : 1) * Megapixels(image->size()); }

  [[nodiscard]] Result<Value> Run() const {
    Result<std::string> encoded =
        png ? EncodePng(image->view(), png_options) : EncodeJpeg(image->view(), jpeg_options);
    if (!encoded.ok()) return encoded.status();
    return Value{Bytes{std::move(encoded).value()}};
  }
};

}  // namespace

std::unique_ptr<exec::NativeOp> MakeEncode() { return std::make_unique<ImageOp<Encode>>(); }

}  // namespace vista::ops
