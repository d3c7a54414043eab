#include "image/blake2b.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "image/image.h"

namespace vista {
namespace {

std::string HexOf(const std::vector<std::uint8_t>& message) { return HashEncoded(message).Hex(); }

std::vector<std::uint8_t> Counting(std::size_t size) {
  std::vector<std::uint8_t> message(size);
  for (std::size_t i = 0; i < size; ++i) message[i] = static_cast<std::uint8_t>(i % 251);
  return message;
}

// The digests are those of Python's hashlib.blake2b(message, digest_size=16).
TEST(Blake2b, MatchesTheReference) {
  EXPECT_EQ(HexOf({}), "cae66941d9efbd404e4d88758ea67670");
  EXPECT_EQ(HexOf({'a', 'b', 'c'}), "cf4ab791c62b8d2b2109c90275287816");
  EXPECT_EQ(HexOf(Counting(128)), "a74787004ef589e31149183900d0294a");
  EXPECT_EQ(HexOf(Counting(129)), "aaf1b0371f6d4ee49ee4fb5ddd9c49ef");
  EXPECT_EQ(HexOf(Counting(1000)), "bca120dfd89cd95d82898473a5b01c90");
}

TEST(Blake2b, DoesNotDependOnHowTheMessageIsCut) {
  const std::vector<std::uint8_t> message = Counting(700);
  for (const std::size_t size : {1u, 127u, 128u, 129u, 256u, 257u, 700u}) {
    Blake2b128 whole;
    whole.Update(message.data(), size);
    const Blake2b128::Digest expected = whole.Finish();
    for (std::size_t cut = 0; cut <= size; ++cut) {
      Blake2b128 parts;
      parts.Update(message.data(), cut);
      parts.Update(message.data() + cut, size - cut);
      ASSERT_EQ(parts.Finish(), expected) << size << " bytes, cut at " << cut;
    }
  }
}

}  // namespace
}  // namespace vista
