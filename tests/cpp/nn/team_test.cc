#include "nn/team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace vista::nn {
namespace {

TEST(Team, DoesEachTaskOnce) {
  for (const int members : {1, 2, 4}) {
    Team team(members);
    ASSERT_EQ(team.members(), members);
    for (int round = 0; round < 500; ++round) {
      const int tasks = round % 37;
      std::vector<std::atomic<int>> done(tasks);
      std::atomic<bool> known = true;
      team.ForEach(tasks, [&](int task, int member) {
        if (member < 0 || member >= members) known = false;
        done[task].fetch_add(1);
      });
      ASSERT_TRUE(known);
      for (int task = 0; task < tasks; ++task)
        ASSERT_EQ(done[task], 1) << members << " members, round " << round << ", task " << task;
    }
  }
}

TEST(Team, NoTasksAreDone) {
  for (const int members : {1, 3}) {
    Team team(members);
    for (int round = 0; round < 100; ++round)
      team.ForEach(0, [](int, int) { ADD_FAILURE() << "there is no task"; });
  }
}

TEST(Team, AMemberDoesOneTaskAtATime) {
  constexpr int kMembers = 4;
  Team team(kMembers);
  std::atomic<int> inside[kMembers] = {};
  for (int round = 0; round < 100; ++round) {
    team.ForEach(50, [&](int, int member) {
      EXPECT_EQ(inside[member].fetch_add(1), 0);
      inside[member].fetch_sub(1);
    });
  }
}

TEST(Team, MembersBeginWithSharesOfNeighbours) {
  constexpr int kMembers = 3;
  Team team(kMembers);
  for (int round = 0; round < 50; ++round) {
    int first[kMembers] = {-1, -1, -1};
    std::atomic<int> begun = 0;
    team.ForEach(10, [&](int task, int member) {
      if (first[member] >= 0) return;
      first[member] = task;
      begun.fetch_add(1);
      while (begun < kMembers) std::this_thread::yield();
    });
    EXPECT_EQ(std::vector<int>(first, first + kMembers), std::vector<int>({0, 3, 6}));
  }
}

TEST(Team, HelpsAMemberThatIsSlow) {
  Team team(2);
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> done = 0;
    team.ForEach(21, [&](int task, int) {
      // Ends only when the others, of its own share too, are done.
      while (task == 0 && done < 20) std::this_thread::yield();
      done.fetch_add(1);
    });
    EXPECT_EQ(done, 21);
  }
}

TEST(Team, CallersTakeTurns) {
  Team team(3);
  std::atomic<int> holders = 0;
  const auto call = [&](int tasks) {
    for (int round = 0; round < 300; ++round) {
      const auto taken = team.Take();
      EXPECT_EQ(holders.fetch_add(1), 0);
      // Written by the tasks, read by who waits for them.
      std::vector<int> done(tasks);
      for (int step = 1; step <= 3; ++step) {
        team.ForEach(tasks, [&](int task, int) { ++done[task]; });
        for (const int count : done) ASSERT_EQ(count, step);
      }
      holders.fetch_sub(1);
    }
  };
  std::thread other(call, 7);
  call(11);
  other.join();
}

TEST(Team, WakesMembersThatSleep) {
  Team team(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> done = 0;
    team.ForEach(20, [&](int, int) { done.fetch_add(1); });
    EXPECT_EQ(done, 20);
  }
}

TEST(Team, EndsWithoutWork) {
  for (int round = 0; round < 50; ++round) Team team(4);
}

TEST(Team, IsTheSameForTheSameNumberOfMembers) {
  const auto team_of = [](int members) {
    const Team* found = nullptr;
    EXPECT_TRUE(Team::With(members, [&](Team& team) {
                  EXPECT_EQ(team.members(), members);
                  found = &team;
                  return Status();
                }).ok());
    return found;
  };
  EXPECT_EQ(team_of(2), team_of(2));
  EXPECT_NE(team_of(2), team_of(3));
  EXPECT_EQ(Team::With(1, [](Team&) { return Status::NotFound("nothing"); }).code(),
            StatusCode::kNotFound);
}

// A caller alone waits for nobody, also not for one that is at work on a team of its size.
TEST(Team, OfOneIsItsCallersOwn) {
  const Status outer = Team::With(1, [](Team& one) {
    return Team::With(1, [&](Team& other) {
      EXPECT_NE(&one, &other);
      return Status();
    });
  });
  EXPECT_TRUE(outer.ok());
}

}  // namespace
}  // namespace vista::nn
