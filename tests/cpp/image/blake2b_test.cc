#include "image/blake2b.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "image/blake2b_tree.h"
#include "image/image.h"

namespace vista {
namespace {

std::string HexOf(const std::vector<std::uint8_t>& message) {
  Blake2b128 hash;
  hash.Update(message.data(), message.size());
  return ImageHash{hash.Finish()}.Hex();
}

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

class TreeHashOnInstructionSet : public ::testing::TestWithParam<const char*> {};

TEST_P(TreeHashOnInstructionSet, GivesTheBytesOfTheGenericLoop) {
  std::vector<const LeafKernel*> kernels = {&generic::kLeaves};
  for (const LeafKernel* usable : UsableLeafKernels()) {
    if (usable->name == std::string_view(GetParam()) && usable->lanes > 1)
      kernels.push_back(usable);
  }
  if (kernels.back()->name != std::string_view(GetParam()))
    GTEST_SKIP() << "this processor has no " << GetParam();
  for (const std::size_t leaves : {0u, 1u, 2u, 4u, 5u, 8u, 9u, 16u, 21u, 29u}) {
    for (const std::size_t more : {0u, 1u, 127u, 8000u}) {
      const std::vector<std::uint8_t> message = Counting(leaves * kLeafBytes + more);
      EXPECT_EQ(TreeHash("head", message, kernels),
                TreeHash("head", message, {{&generic::kLeaves}}))
          << leaves << " leaves and " << more << " bytes";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, TreeHashOnInstructionSet,
                         ::testing::Values("generic", "avx2", "avx512"),
                         [](const auto& set) { return std::string(set.param); });

// The digests are those of hashlib.blake2b with the tree's parameters; see
// tests/image/test_pixel_hash.py.
TEST(TreeHash, MatchesTheReference) {
  const auto hex = [](std::size_t size) {
    return ImageHash{TreeHash("head", Counting(size))}.Hex();
  };
  EXPECT_EQ(hex(0), "49c7385c01e8cee85aa3fd2f0e8c4a80");
  EXPECT_EQ(hex(1), "62f2b193172df55634b00002524cc758");
  EXPECT_EQ(hex(8320), "a314b351be0bc6c153ebc2cc67779bff");
  EXPECT_EQ(hex(8321), "091e069f57d7bbe807653cee4dfc1a43");
  EXPECT_EQ(hex(200000), "3d62e04d73a47302fc333feae0257840");
}

}  // namespace
}  // namespace vista
