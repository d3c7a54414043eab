// Tally: the first, in the order of `Before`, of keys that come and go.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>

namespace vista::sched {

// Keys may be equal. While all are, as with one waiter or with many alike, nothing is allocated and
// each step takes constant time; else it takes the logarithm of the number of different keys.
template <typename Key, typename Before = std::less<Key>>
class Tally {
 public:
  void Add(const Key& key) {
    if (count_ > 0 && Before()(first_, key)) {
      ++Later()[key];
      return;
    }
    if (count_ > 0 && Before()(key, first_)) {
      Later().emplace(first_, count_);
      count_ = 0;
    }
    first_ = key;
    ++count_;
  }

  // `key` is one that was added.
  void Remove(const Key& key) {
    if (Before()(first_, key)) {
      const auto at = later_->find(key);
      if (--at->second == 0) later_->erase(at);
    } else if (--count_ == 0 && later_ && !later_->empty()) {
      first_ = later_->begin()->first;
      count_ = later_->begin()->second;
      later_->erase(later_->begin());
    }
  }

  [[nodiscard]] bool empty() const { return count_ == 0; }
  // Needs a key.
  [[nodiscard]] const Key& first() const { return first_; }

 private:
  using Counts = std::map<Key, std::size_t, Before>;

  Counts& Later() {
    if (!later_) later_ = std::make_unique<Counts>();
    return *later_;
  }

  Key first_{};
  std::size_t count_ = 0;          // of keys that are equal to the first
  std::unique_ptr<Counts> later_;  // how many there are of each of the others; null while all agree
};

}  // namespace vista::sched
