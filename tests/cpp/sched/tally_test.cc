#include "sched/tally.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>
#include <vector>

namespace vista::sched {
namespace {

TEST(Tally, GivesTheFirstOfWhatIsThere) {
  Tally<int, std::greater<>> tally;
  EXPECT_TRUE(tally.empty());
  for (const int key : {3, 5, 5, 4}) tally.Add(key);
  EXPECT_EQ(tally.first(), 5);
  tally.Remove(5);
  EXPECT_EQ(tally.first(), 5);
  tally.Remove(5);
  EXPECT_EQ(tally.first(), 4);
  tally.Remove(3);
  tally.Remove(4);
  EXPECT_TRUE(tally.empty());
}

TEST(Tally, AgreesWithASortedBag) {
  std::mt19937 random(1);
  for (const int different : {1, 3, 1000}) {
    Tally<int> tally;
    std::multiset<int> bag;
    std::vector<int> keys;
    for (int step = 0; step < 20000; ++step) {
      const bool grows = (step / 500) % 2 == 0;
      if (keys.empty() || (random() % 4 != 0) == grows) {
        keys.push_back(static_cast<int>(random() % different));
        bag.insert(keys.back());
        tally.Add(keys.back());
      } else {
        std::swap(keys[random() % keys.size()], keys.back());
        bag.erase(bag.find(keys.back()));
        tally.Remove(keys.back());
        keys.pop_back();
      }
      ASSERT_EQ(tally.empty(), bag.empty());
      if (!bag.empty()) {
        ASSERT_EQ(tally.first(), *bag.begin());
      }
    }
  }
}

struct CountingLess {
  bool operator()(int a, int b) const {
    ++compared;
    return a < b;
  }
  static inline std::size_t compared = 0;
};

// In the order they came, in the opposite one, and all alike.
TEST(Tally, TakesFewStepsHoweverManyKeysThereAre) {
  constexpr int kKeys = 20000;
  for (const int kind : {1, -1, 0}) {
    CountingLess::compared = 0;
    Tally<int, CountingLess> tally;
    for (int i = 0; i < kKeys; ++i) tally.Add(kind * i);
    for (int i = 0; i < kKeys; ++i) tally.Remove(kind * i);
    EXPECT_TRUE(tally.empty());
    EXPECT_LT(CountingLess::compared, std::size_t{100} * kKeys) << kind;
  }
}

}  // namespace
}  // namespace vista::sched
