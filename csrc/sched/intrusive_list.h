// A doubly linked list through a hook inside its elements: no allocation, and an element leaves it
// in constant time.
#pragma once

#include <cstddef>

namespace vista::sched {

template <typename T>
struct ListHook {
  T* previous = nullptr;
  T* next = nullptr;
};

// Elements outlive their membership; one hook serves one list at a time.
template <typename T, ListHook<T> T::* kHook>
class IntrusiveList {
 public:
  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] T* front() const { return head_; }
  [[nodiscard]] T* back() const { return tail_; }
  [[nodiscard]] static T* Next(const T* item) { return (item->*kHook).next; }

  void PushBack(T* item) {
    item->*kHook = {tail_, nullptr};
    (tail_ == nullptr ? head_ : (tail_->*kHook).next) = item;
    tail_ = item;
    ++size_;
  }

  void Erase(T* item) {
    ListHook<T>& hook = item->*kHook;
    (hook.previous == nullptr ? head_ : (hook.previous->*kHook).next) = hook.next;
    (hook.next == nullptr ? tail_ : (hook.next->*kHook).previous) = hook.previous;
    hook = {};
    --size_;
  }

 private:
  T* head_ = nullptr;
  T* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace vista::sched
