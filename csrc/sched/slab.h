// Slab: elements at stable addresses under ids that are never used twice, with constant-time
// lookup.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace vista::sched {

template <typename T>
class Slab {
 public:
  using Id = std::uint64_t;  // never 0

  // A fresh default element and its id.
  std::pair<Id, T*> Insert() {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    slot.used = true;
    return {(static_cast<Id>(slot.generation) << 32) | index, &slot.item};
  }

  // Null when the id's element was erased.
  [[nodiscard]] T* Find(Id id) {
    const auto index = static_cast<std::uint32_t>(id);
    if (index >= slots_.size()) return nullptr;
    Slot& slot = slots_[index];
    return slot.used && slot.generation == static_cast<std::uint32_t>(id >> 32) ? &slot.item
                                                                                : nullptr;
  }

  void Erase(Id id) {
    const auto index = static_cast<std::uint32_t>(id);
    Slot& slot = slots_[index];
    slot.item = T();
    slot.used = false;
    ++slot.generation;
    free_.push_back(index);
  }

  [[nodiscard]] std::size_t size() const { return slots_.size() - free_.size(); }

  // Visits every element; the visitor may erase the one it is given.
  template <typename Visitor>
  void ForEach(Visitor visit) {
    for (std::size_t index = 0; index < slots_.size(); ++index) {
      Slot& slot = slots_[index];
      if (slot.used) visit((static_cast<Id>(slot.generation) << 32) | index, &slot.item);
    }
  }

 private:
  struct Slot {
    T item;
    std::uint32_t generation = 1;
    bool used = false;
  };
  std::deque<Slot> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace vista::sched
