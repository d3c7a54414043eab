#include "image/image.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "image/codec.h"
#include "images.h"

namespace vista {
namespace {

using testing::Gradient;
using testing::Noise;

std::string Identity(const Image& image) {
  std::string identity;
  EXPECT_TRUE(image.AppendIdentity(&identity).ok());
  return identity;
}

TEST(Image, EqualPixelsHaveEqualHashes) {
  EXPECT_EQ(Image::Create(Noise(7, 5, 1))->hash(), Image::Create(Noise(7, 5, 1))->hash());
  EXPECT_FALSE(Image::Create(Noise(7, 5, 1))->hash() == Image::Create(Noise(7, 5, 2))->hash());
}

TEST(Image, TheShapeIsPartOfTheHash) {
  EXPECT_FALSE(Image::Create(testing::Blank(6, 4))->hash() ==
               Image::Create(testing::Blank(4, 6))->hash());
}

TEST(Image, ADecodedImageHasTheHashOfItsBytes) {
  const std::string png = std::move(EncodePng(Gradient(9, 9).view())).value();
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(png.data()), png.size());
  const Image::Ref image = std::move(Decode(bytes)).value();
  EXPECT_EQ(image->hash(), HashEncoded(bytes));
  EXPECT_NE(Identity(*image), Identity(*Image::Create(Gradient(9, 9))));
}

TEST(Image, TakesAHashThatIsKnown) {
  const std::string png = std::move(EncodePng(Gradient(9, 9).view())).value();
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(png.data()), png.size());
  DecodeOptions options;
  options.hash = HashEncoded(bytes);
  const Image::Ref known = std::move(Decode(bytes, options)).value();
  const Image::Ref hashed = std::move(Decode(bytes)).value();
  EXPECT_EQ(known->hash(), hashed->hash());
  EXPECT_EQ(known->bytes() + bytes.size(), hashed->bytes()) << "the bytes are kept for the hash";
}

TEST(Image, TheHashIsComputedOnceUnderThreads) {
  const std::string png = std::move(EncodePng(Noise(200, 200, 3).view())).value();
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(png.data()), png.size());
  const Image::Ref image = std::move(Decode(bytes)).value();
  std::vector<std::string> hashes(4);
  std::vector<std::thread> threads;
  for (std::string& hash : hashes) threads.emplace_back([&] { hash = image->hash().Hex(); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& hash : hashes) EXPECT_EQ(hash, image->hash().Hex());
}

TEST(Image, CountsItsPixelsAsMemory) {
  EXPECT_GE(Image::Create(Noise(100, 50, 1))->bytes(), 3u * 100 * 50);
}

TEST(ImageHash, GoesThroughHexAndBack) {
  const ImageHash hash = Image::Create(Noise(3, 3, 1))->hash();
  EXPECT_EQ(std::move(ImageHash::FromHex(hash.Hex())).value(), hash);
  for (const char* bad :
       {"", "00", "zz", "0123456789abcdef0123456789abcdeg", "0123456789ABCDEF0123456789ABCDEF"}) {
    EXPECT_FALSE(ImageHash::FromHex(bad).ok()) << bad;
  }
}

TEST(CheckSize, HasLimitsOnSidesAndPixels) {
  EXPECT_TRUE(CheckSize("it", 1, 1).ok());
  EXPECT_TRUE(CheckSize("it", 13377, 13377).ok());
  EXPECT_EQ(CheckSize("it", 0, 5).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckSize("it", 50000, 50000).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(CheckSize("it", kMaxSide + 1, 1).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(CheckSize("it", 11, 10, 109).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(CheckSize("it", INT64_MAX, INT64_MAX).code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace vista
