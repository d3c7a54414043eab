// ResultCache: results of finished Flights by full identity, within a budget of bytes, least
// recently used first out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "sched/expectations.h"
#include "sched/flight.h"

namespace vista::sched {

class ResultCache {
 public:
  explicit ResultCache(std::size_t budget_bytes) : budget_(budget_bytes) {}

  // Null when it is not there.
  ResultRef Find(const Identity& identity);
  // Keeps a result, unless it alone is over the budget. What goes for it is moved to `evicted`, so
  // that the caller can let go of it outside its lock.
  void Insert(OpId op, Identity identity, ResultRef result, std::size_t result_bytes,
              std::vector<ResultRef>* evicted);
  void Clear(std::vector<ResultRef>* evicted);

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t budget() const { return budget_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  // What an Op has of it.
  struct Share {
    std::size_t bytes = 0;
    std::uint64_t evicted = 0;  // entries that went for newer ones, so far
  };
  [[nodiscard]] Share share(OpId op) const;

 private:
  struct Entry {
    OpId op;
    Identity identity;
    ResultRef result;
    std::size_t bytes;
  };
  using Entries = std::list<Entry>;  // most recently used first

  void Evict(std::vector<ResultRef>* evicted);

  std::size_t budget_;
  std::size_t bytes_ = 0;
  Entries entries_;
  std::unordered_map<OpId, Share> shares_;
  std::unordered_map<const Identity*, Entries::iterator, IdentityHash, IdentityEqual> index_;
};

}  // namespace vista::sched
