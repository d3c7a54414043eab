#include "sched/result_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace vista::sched {
namespace {

ResultRef Number(std::int64_t number) { return std::make_shared<const Value>(Value{number}); }

class ResultCacheTest : public ::testing::Test {
 protected:
  void Insert(ResultCache* cache, const std::string& key, std::int64_t value, std::size_t bytes) {
    cache->Insert(0, Identity(key), Number(value), bytes, &evicted_);
  }
  std::vector<ResultRef> evicted_;
};

TEST_F(ResultCacheTest, FindsWhatWasInserted) {
  ResultCache cache(10000);
  Insert(&cache, "a", 1, 100);
  ASSERT_NE(cache.Find(Identity("a")), nullptr);
  EXPECT_EQ(*cache.Find(Identity("a"))->get_if<std::int64_t>(), 1);
  EXPECT_EQ(cache.Find(Identity("b")), nullptr);
}

TEST_F(ResultCacheTest, ComparesTheKeyAndNotItsHashAlone) {
  ResultCache cache(10000);
  Insert(&cache, "a", 1, 100);
  Identity collides("b");
  collides.hash = Identity("a").hash;
  EXPECT_EQ(cache.Find(collides), nullptr);
  cache.Insert(0, collides, Number(2), 100, &evicted_);
  EXPECT_EQ(*cache.Find(collides)->get_if<std::int64_t>(), 2);
  EXPECT_EQ(*cache.Find(Identity("a"))->get_if<std::int64_t>(), 1);
}

TEST_F(ResultCacheTest, StaysWithinItsBudgetAndEvictsTheLeastRecentlyUsed) {
  ResultCache cache(4000);
  Insert(&cache, "a", 1, 1000);
  Insert(&cache, "b", 2, 1000);
  Insert(&cache, "c", 3, 1000);
  EXPECT_NE(cache.Find(Identity("a")), nullptr);  // "b" is now the oldest
  Insert(&cache, "d", 4, 1000);
  EXPECT_LE(cache.bytes(), 4000U);
  EXPECT_EQ(cache.Find(Identity("b")), nullptr);
  EXPECT_NE(cache.Find(Identity("a")), nullptr);
  EXPECT_NE(cache.Find(Identity("d")), nullptr);
  ASSERT_EQ(evicted_.size(), 1U);
  EXPECT_EQ(*evicted_[0]->get_if<std::int64_t>(), 2);
  EXPECT_EQ(cache.share(0).evicted, 1U);
  EXPECT_EQ(cache.share(0).bytes, cache.bytes());
  EXPECT_EQ(cache.share(1).bytes, 0U);
}

TEST_F(ResultCacheTest, LeavesOutWhatIsOverTheWholeBudget) {
  ResultCache cache(4000);
  Insert(&cache, "a", 1, 1000);
  Insert(&cache, "b", 2, 5000);
  EXPECT_NE(cache.Find(Identity("a")), nullptr);
  EXPECT_EQ(cache.Find(Identity("b")), nullptr);
  Insert(&cache, std::string(5000, 'k'), 3, 1);
  EXPECT_EQ(cache.size(), 1U);
}

TEST_F(ResultCacheTest, CountsNothingAfterClear) {
  ResultCache cache(4000);
  Insert(&cache, "a", 1, 1000);
  cache.Clear(&evicted_);
  EXPECT_EQ(cache.bytes(), 0U);
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_EQ(cache.Find(Identity("a")), nullptr);
}

}  // namespace
}  // namespace vista::sched
