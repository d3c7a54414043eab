#include "sched/result_cache.h"

#include <utility>

namespace vista::sched {

ResultRef ResultCache::Find(const Identity& identity) {
  const auto at = index_.find(&identity);
  if (at == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, at->second);
  return at->second->result;
}

void ResultCache::Insert(OpId op, Identity identity, ResultRef result, std::size_t result_bytes,
                         std::vector<ResultRef>* evicted) {
  // What an entry takes beside its key and its result: a list node, a map node, a bucket.
  constexpr std::size_t kOverhead = sizeof(Entry) + 6 * sizeof(void*);
  const std::size_t bytes = kOverhead + identity.bytes.capacity() + result_bytes;
  if (bytes > budget_ || index_.contains(&identity)) return;
  entries_.push_front({op, std::move(identity), std::move(result), bytes});
  index_.emplace(&entries_.front().identity, entries_.begin());
  bytes_ += bytes;
  shares_[op].bytes += bytes;
  while (bytes_ > budget_) Evict(evicted);
}

void ResultCache::Evict(std::vector<ResultRef>* evicted) {
  Entry& oldest = entries_.back();
  bytes_ -= oldest.bytes;
  Share& share = shares_[oldest.op];
  share.bytes -= oldest.bytes;
  ++share.evicted;
  index_.erase(&oldest.identity);
  evicted->push_back(std::move(oldest.result));
  entries_.pop_back();
}

ResultCache::Share ResultCache::share(OpId op) const {
  const auto at = shares_.find(op);
  return at == shares_.end() ? Share{} : at->second;
}

void ResultCache::Clear(std::vector<ResultRef>* evicted) {
  while (!entries_.empty()) Evict(evicted);
}

}  // namespace vista::sched
