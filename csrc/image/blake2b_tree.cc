#include "image/blake2b_tree.h"

#include <algorithm>

namespace vista {
namespace {

Blake2bNode Leaf(std::uint64_t offset, bool last) {
  return {.digest_bytes = kInnerBytes,
          .fanout = 0,
          .depth = 2,
          .leaf_bytes = kLeafBytes,
          .offset = offset,
          .inner_bytes = kInnerBytes,
          .last = last};
}

constexpr Blake2bNode kRoot = {.digest_bytes = 16,
                               .fanout = 0,
                               .depth = 2,
                               .leaf_bytes = kLeafBytes,
                               .level = 1,
                               .inner_bytes = kInnerBytes,
                               .last = true};

void HashLeaf(std::span<const std::uint8_t> data, std::uint64_t offset, bool last,
              std::uint8_t* digest) {
  Blake2b hash(Leaf(offset, last));
  hash.Update(data.data(), data.size());
  hash.Finish(digest);
}

constexpr std::size_t kMostLanes = 8;

}  // namespace

namespace generic {
const LeafKernel kLeaves = {
    "generic", 1, [](const std::uint8_t* data, std::uint64_t offset, std::uint8_t* digests) {
      HashLeaf({data, kLeafBytes}, offset, false, digests);
    }};
}  // namespace generic

std::vector<const LeafKernel*> UsableLeafKernels() {
  std::vector<const LeafKernel*> usable = {&generic::kLeaves};
#ifdef VISTA_X86_KERNELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) usable.push_back(&avx2::kLeaves);
  if (__builtin_cpu_supports("avx512f")) usable.push_back(&avx512::kLeaves);
#endif
  return usable;
}

Blake2b128::Digest TreeHash(std::string_view head, std::span<const std::uint8_t> message) {
  static const std::vector<const LeafKernel*> kernels = UsableLeafKernels();
  return TreeHash(head, message, kernels);
}

Blake2b128::Digest TreeHash(std::string_view head, std::span<const std::uint8_t> message,
                            std::span<const LeafKernel* const> kernels) {
  Blake2b128 root(kRoot);
  root.Update(head.data(), head.size());
  const std::size_t leaves =
      std::max<std::size_t>((message.size() + kLeafBytes - 1) / kLeafBytes, 1);
  std::uint8_t digests[kMostLanes * kInnerBytes];
  std::size_t at = 0;
  for (auto kernel = kernels.rbegin(); kernel != kernels.rend(); ++kernel) {
    const std::size_t lanes = (*kernel)->lanes;
    for (; at + lanes < leaves; at += lanes) {
      (*kernel)->hash(message.data() + at * kLeafBytes, at, digests);
      root.Update(digests, lanes * kInnerBytes);
    }
  }
  HashLeaf(message.subspan(at * kLeafBytes), at, true, digests);
  root.Update(digests, kInnerBytes);
  return root.Finish();
}

}  // namespace vista
