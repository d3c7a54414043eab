// BLAKE2b (RFC 7693) with a 128-bit digest and no key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace vista {

class Blake2b128 {
 public:
  using Digest = std::array<std::uint8_t, 16>;

  Blake2b128();
  void Update(const void* data, std::size_t size);
  // Ends the message; the object may not be used afterwards.
  [[nodiscard]] Digest Finish();

 private:
  static constexpr std::size_t kBlock = 128;
  void Compress(const std::uint8_t* block, bool last);

  std::array<std::uint64_t, 8> state_;
  std::array<std::uint8_t, kBlock> pending_{};
  std::size_t pending_size_ = 0;
  std::uint64_t consumed_ = 0;  // bytes compressed so far; a message stays below 2^64 bytes
};

}  // namespace vista
