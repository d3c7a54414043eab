// BLAKE2b (RFC 7693) without a key, alone or as a node of BLAKE2's tree mode.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace vista {

// Where a node stands in a tree; by default it is the only one, as in RFC 7693.
struct Blake2bNode {
  std::uint8_t digest_bytes = 16;
  std::uint8_t fanout = 1;  // 0: as many children as there are
  std::uint8_t depth = 1;
  std::uint32_t leaf_bytes = 0;
  std::uint64_t offset = 0;      // from the left, on its level
  std::uint8_t level = 0;        // 0: a leaf
  std::uint8_t inner_bytes = 0;  // of the digests below the root
  bool last = false;             // on its level; not in a hash without a tree
};

class Blake2b {
 public:
  explicit Blake2b(const Blake2bNode& node);
  void Update(const void* data, std::size_t size);
  // Ends the message and writes the node's digest; the object may not be used afterwards.
  void Finish(std::uint8_t* digest);

 private:
  static constexpr std::size_t kBlock = 128;
  void Compress(const std::uint8_t* block, bool last);

  std::array<std::uint64_t, 8> state_;
  std::array<std::uint8_t, kBlock> pending_{};
  std::size_t pending_size_ = 0;
  std::uint64_t consumed_ = 0;  // bytes compressed so far; a message stays below 2^64 bytes
  std::uint8_t digest_bytes_;
  bool last_node_;
};

// With a 128-bit digest.
class Blake2b128 {
 public:
  using Digest = std::array<std::uint8_t, 16>;

  Blake2b128() : hash_(Blake2bNode{}) {}
  explicit Blake2b128(const Blake2bNode& node) : hash_(node) {}
  void Update(const void* data, std::size_t size) { hash_.Update(data, size); }
  [[nodiscard]] Digest Finish() {
    Digest digest;
    hash_.Finish(digest.data());
    return digest;
  }

 private:
  Blake2b hash_;
};

}  // namespace vista
