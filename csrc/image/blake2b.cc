#include "image/blake2b.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>

#include "image/blake2b_tables.h"

namespace vista {
namespace {

std::uint64_t LoadLittleEndian(const std::uint8_t* bytes) {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

inline void Mix(std::uint64_t& a, std::uint64_t& b, std::uint64_t& c, std::uint64_t& d,
                std::uint64_t x, std::uint64_t y) {
  a += b + x;
  d = std::rotr(d ^ a, 32);
  c += d;
  b = std::rotr(b ^ c, 24);
  a += b + y;
  d = std::rotr(d ^ a, 16);
  c += d;
  b = std::rotr(b ^ c, 63);
}

}  // namespace

Blake2b::Blake2b(const Blake2bNode& node)
    : digest_bytes_(node.digest_bytes), last_node_(node.last) {
  std::copy(std::begin(blake2b::kInitial), std::end(blake2b::kInitial), state_.begin());
  state_[0] ^=
      blake2b::FirstParameters(node.digest_bytes, node.fanout, node.depth, node.leaf_bytes);
  state_[1] ^= node.offset;
  state_[2] ^= blake2b::LevelParameters(node.level, node.inner_bytes);
}

void Blake2b::Compress(const std::uint8_t* block, bool last) {
  std::uint64_t m[16];
  for (int i = 0; i < 16; ++i) m[i] = LoadLittleEndian(block + 8 * i);
  std::uint64_t v[16];
  for (int i = 0; i < 8; ++i) {
    v[i] = state_[i];
    v[i + 8] = blake2b::kInitial[i];
  }
  v[12] ^= consumed_;
  if (last) v[14] = ~v[14];
  if (last && last_node_) v[15] = ~v[15];
#pragma GCC unroll 12  // so that the schedule is known when this is compiled
  for (int round = 0; round < 12; ++round) {
    const std::uint8_t* s = blake2b::kSchedule[round % 10];
    Mix(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
    Mix(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
    Mix(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
    Mix(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
    Mix(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
    Mix(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
    Mix(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
    Mix(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
  }
  for (int i = 0; i < 8; ++i) state_[i] ^= v[i] ^ v[i + 8];
}

void Blake2b::Update(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  // A full pending block is compressed only once more bytes come, because the last block is
  // compressed differently.
  while (size > 0) {
    if (pending_size_ == kBlock) {
      consumed_ += kBlock;
      Compress(pending_.data(), false);
      pending_size_ = 0;
    }
    if (pending_size_ == 0) {
      for (; size > kBlock; bytes += kBlock, size -= kBlock) {
        consumed_ += kBlock;
        Compress(bytes, false);
      }
    }
    const std::size_t taken = std::min(size, kBlock - pending_size_);
    std::memcpy(pending_.data() + pending_size_, bytes, taken);
    pending_size_ += taken;
    bytes += taken;
    size -= taken;
  }
}

void Blake2b::Finish(std::uint8_t* digest) {
  std::fill(pending_.begin() + static_cast<std::ptrdiff_t>(pending_size_), pending_.end(),
            std::uint8_t{0});
  consumed_ += pending_size_;
  Compress(pending_.data(), true);
  for (std::size_t i = 0; i < digest_bytes_; ++i)
    digest[i] = static_cast<std::uint8_t>(state_[i / 8] >> (8 * (i % 8)));
}

}  // namespace vista
