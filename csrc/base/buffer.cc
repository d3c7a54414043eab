#include "base/buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "base/poison.h"

namespace vista {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kSmallestKept = std::size_t{128} << 10;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// From here on pages are asked for by 2 MiB: what walks through a tensor leaves a page of 4 KiB
// every few pixels.
constexpr std::size_t kFewPages = std::size_t{4} << 20;
constexpr std::size_t kLargestKept = std::size_t{512} << 20;

#ifdef VISTA_ADDRESS_SANITIZER
constexpr bool kKeeps = false;  // so that the sanitizer sees every use after a release
#else
constexpr bool kKeeps = true;
#endif

// Sizes are rounded up to a power of two or to one of three steps between two of them, so that
// crops of almost equal size share memory: at most a fifth of it lies idle inside.
std::size_t RoundUp(std::size_t bytes) {
  if (bytes < kSmallestKept) return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::size_t step = std::bit_floor(bytes) / 4;
  return (bytes + step - 1) / step * step;
}

std::size_t ClassOf(std::size_t capacity) {
  const std::size_t power = std::bit_floor(capacity);
  const auto octave =
      static_cast<std::size_t>(std::countr_zero(power) - std::countr_zero(kSmallestKept));
  return 4 * octave + (capacity - power) / (power / 4);
}

// Locks are only tried. Who does not get one goes to the system instead, so that a process that
// was forked while another thread held a lock does not wait for it forever.
class IdleBuffers {
 public:
  std::uint8_t* Take(std::size_t capacity) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return nullptr;
    Kept& kept = UsedNow(capacity);
    if (kept.idle.empty()) return nullptr;
    std::uint8_t* data = kept.idle.back();
    kept.idle.pop_back();
    bytes_ -= capacity;
    return data;
  }

  // False when it can't be kept. Gives sizes up that were not asked for lately to make room.
  bool Keep(std::uint8_t* data, std::size_t capacity) {
    std::vector<std::uint8_t*> given_up;
    const bool is_kept = KeepOver(data, capacity, &given_up);
    for (std::uint8_t* each : given_up) std::free(each);
    return is_kept;
  }

  // Gives everything back to the system.
  void Drop() {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    for (Kept& kept : kept_) {
      for (std::uint8_t* data : kept.idle) std::free(data);
      kept.idle.clear();
    }
    bytes_ = 0;
  }

  std::size_t bytes() {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }

 private:
  // Those of one capacity.
  struct Kept {
    std::vector<std::uint8_t*> idle;
    std::size_t capacity = 0;
    std::uint64_t used = 0;  // the turn in which one was taken or kept last
  };

  Kept& UsedNow(std::size_t capacity) {
    Kept& kept = kept_[ClassOf(capacity)];
    kept.capacity = capacity;
    kept.used = ++turn_;
    return kept;
  }

  Kept& LeastLatelyUsed() {
    Kept* least = nullptr;
    for (Kept& kept : kept_) {
      if (!kept.idle.empty() && (least == nullptr || kept.used < least->used)) least = &kept;
    }
    return *least;
  }

  bool KeepOver(std::uint8_t* data, std::size_t capacity, std::vector<std::uint8_t*>* given_up) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return false;
    Kept& own = UsedNow(capacity);
    try {
      while (bytes_ + capacity > kIdleBytes) {
        Kept& least = LeastLatelyUsed();
        given_up->push_back(least.idle.back());
        least.idle.pop_back();
        bytes_ -= least.capacity;
      }
      own.idle.push_back(data);
    } catch (const std::bad_alloc&) {
      return false;
    }
    bytes_ += capacity;
    return true;
  }

  std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::uint64_t turn_ = 0;
  std::array<Kept, 52> kept_;
};

static_assert(kLargestKept <= kIdleBytes);

// Never destroyed: objects with static lifetime may hold Buffers.
IdleBuffers& Idle() {
  static auto* idle = new IdleBuffers;
  return *idle;
}

// Null when there is none.
std::uint8_t* FreshMemory(std::size_t capacity) {
  const bool huge = capacity >= kFewPages;
  const std::size_t alignment = huge ? kHugePage : kAlignment;
  auto* data = static_cast<std::uint8_t*>(
      std::aligned_alloc(alignment, (capacity + alignment - 1) / alignment * alignment));
  if (huge && data != nullptr) madvise(data, capacity, MADV_HUGEPAGE);
  return data;
}

bool IsKept(std::size_t capacity) {
  return kKeeps && capacity >= kSmallestKept && capacity <= kLargestKept;
}

}  // namespace

void buffer_internal::Release::operator()(std::uint8_t* data) const {
  if (!IsKept(capacity) || !Idle().Keep(data, capacity)) std::free(data);
}

Buffer AllocateBuffer(std::size_t bytes) {
  const std::size_t capacity = RoundUp(std::max<std::size_t>(bytes, 1));
  if (IsKept(capacity)) {
    if (std::uint8_t* data = Idle().Take(capacity); data != nullptr)
      return Buffer(data, {capacity});
  }
  std::uint8_t* data = FreshMemory(capacity);
  if (data == nullptr) {
    Idle().Drop();
    data = FreshMemory(capacity);
  }
  return Buffer(data, {capacity});
}

std::size_t IdleBufferBytes() { return Idle().bytes(); }

}  // namespace vista
