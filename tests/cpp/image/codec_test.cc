#include "image/codec.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "image/formats.h"
#include "images.h"

namespace vista {
namespace {

using testing::Gradient;
using testing::Noise;

std::span<const std::uint8_t> BytesOf(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

bool SamePixels(const Image& image, const Pixels& pixels) {
  return image.size() == pixels.size() &&
         std::equal(pixels.data(), pixels.data() + pixels.bytes(), image.data());
}

std::string Png(const Pixels& pixels) { return std::move(EncodePng(pixels.view())).value(); }

std::string Jpeg(const Pixels& pixels, const JpegOptions& options = {}) {
  return std::move(EncodeJpeg(pixels.view(), options)).value();
}

TEST(Codec, PngKeepsEveryPixel) {
  for (const int level : {0, 1, 6, 9}) {
    const Pixels pixels = Noise(33, 21, 4);
    const std::string png = std::move(EncodePng(pixels.view(), {level})).value();
    EXPECT_TRUE(SamePixels(*std::move(Decode(BytesOf(png))).value(), pixels));
  }
}

TEST(Codec, JpegStaysClose) {
  const Pixels pixels = Gradient(64, 48);
  for (const Subsampling subsampling : {Subsampling::k444, Subsampling::k422, Subsampling::k420}) {
    const Image::Ref image = std::move(Decode(BytesOf(Jpeg(pixels, {95, subsampling})))).value();
    ASSERT_EQ(image->size(), pixels.size());
    for (std::size_t i = 0; i < pixels.bytes(); ++i)
      ASSERT_NEAR(image->data()[i], pixels.data()[i], 12);
  }
}

TEST(Codec, LowerQualityIsSmaller) {
  const Pixels pixels = Noise(64, 64, 1);
  EXPECT_LT(Jpeg(pixels, {20, Subsampling::k420}).size(),
            Jpeg(pixels, {90, Subsampling::k420}).size());
  EXPECT_LT(Jpeg(pixels, {90, Subsampling::k420}).size(),
            Jpeg(pixels, {90, Subsampling::k444}).size());
}

TEST(Codec, RefusesSettingsOutOfRange) {
  const Pixels pixels = Noise(8, 8, 1);
  for (const int quality : {0, 101, -5}) {
    EXPECT_EQ(EncodeJpeg(pixels.view(), {quality, Subsampling::k444}).status().code(),
              StatusCode::kInvalidArgument);
  }
  for (const int level : {-1, 10}) {
    EXPECT_EQ(EncodePng(pixels.view(), {level}).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(EncodeJpeg(Noise(70000, 1, 1).view()).status().code(), StatusCode::kInvalidArgument);
}

TEST(Codec, WhatIsNoImageSaysSo) {
  for (const std::string& text :
       {std::string(), std::string("GIF89a"), std::string("\xff\xd8"), std::string("\x89PNG"),
        std::string("RIFF1234WEB"), std::string(1000, '\0')}) {
    const Status status = Decode(BytesOf(text)).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(std::to_string(text.size())), std::string::npos)
        << status.message();
  }
}

TEST(Codec, ChecksThePixelLimitBeforeAllocating) {
  std::string png = Png(Gradient(8, 8));
  for (int i : {16, 20}) {
    png[static_cast<std::size_t>(i + 2)] = static_cast<char>(50000 >> 8);
    png[static_cast<std::size_t>(i + 3)] = static_cast<char>(50000 & 255);
  }
  const Status status = Decode(BytesOf(png)).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("50000 x 50000"), std::string::npos) << status.message();

  const Pixels pixels = Gradient(20, 10);
  for (const std::string& encoded : {Png(pixels), Jpeg(pixels)}) {
    EXPECT_TRUE(Decode(BytesOf(encoded), {200}).ok());
    EXPECT_EQ(Decode(BytesOf(encoded), {199}).status().code(), StatusCode::kResourceExhausted);
  }
}

// A copy of exactly that many bytes, so that the address sanitizer sees any read past them.
Status DecodeStatus(std::span<const std::uint8_t> bytes) {
  const std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
  return Decode(copy, {1 << 20}).status();
}

TEST(Codec, TruncatedFilesAreAnError) {
  const Pixels pixels = Gradient(40, 30);
  for (const std::string& encoded : {Png(pixels), Jpeg(pixels)}) {
    const bool png = encoded[0] == '\x89';
    // Pixels end before the PNG's closing chunk, without which the picture is still whole.
    const std::size_t closing = png ? 12 : 0;
    for (std::size_t size = 0; size < encoded.size() - closing; ++size) {
      const Status status = DecodeStatus(BytesOf(encoded).first(size));
      if (png && size > encoded.size() - closing - 5) continue;  // only a check sum is missing
      ASSERT_EQ(status.code(), StatusCode::kInvalidArgument)
          << size << " of " << encoded.size() << " bytes";
    }
  }
}

TEST(Codec, DamageIsAnErrorOrAPicture) {
  std::mt19937 random(1);
  const Pixels pixels = Noise(24, 24, 1);
  for (const std::string& encoded : {Png(pixels), Jpeg(pixels)}) {
    for (int i = 0; i < 3000; ++i) {
      std::string damaged = encoded;
      for (unsigned changes = random() % 8 + 1; changes > 0; --changes) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      const StatusCode code = DecodeStatus(BytesOf(damaged)).code();
      ASSERT_TRUE(code == StatusCode::kOk || code == StatusCode::kInvalidArgument ||
                  code == StatusCode::kResourceExhausted)
          << StatusCodeName(code);
    }
  }
}

TEST(FlattenOverWhite, RoundsToTheNearest) {
  for (int alpha = 0; alpha < 256; ++alpha) {
    for (int color = 0; color < 256; ++color) {
      const std::uint8_t pixel[4] = {static_cast<std::uint8_t>(color), 0, 255,
                                     static_cast<std::uint8_t>(alpha)};
      std::uint8_t flat[3];
      FlattenOverWhite(pixel, 1, flat);
      ASSERT_EQ(flat[0], (2 * (color * alpha + 255 * (255 - alpha)) + 255) / 510);
      ASSERT_EQ(flat[2], 255);
    }
  }
}

}  // namespace
}  // namespace vista
