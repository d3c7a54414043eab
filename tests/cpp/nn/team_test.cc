#include "nn/team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace vista::nn {
namespace {

Helpers::Loan Lent(Helpers& helpers, int threads) {
  return std::move(helpers.Lend(threads)).value();
}

TEST(Team, DoesEachTaskOnce) {
  for (const int members : {1, 2, 4}) {
    Helpers helpers;
    const Helpers::Loan loan = Lent(helpers, members);
    Team team(loan.helpers());
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
    Helpers helpers;
    const Helpers::Loan loan = Lent(helpers, members);
    Team team(loan.helpers());
    for (int round = 0; round < 100; ++round)
      team.ForEach(0, [](int, int) { ADD_FAILURE() << "there is no task"; });
  }
}

TEST(Team, AMemberDoesOneTaskAtATime) {
  constexpr int kMembers = 4;
  Helpers helpers;
  const Helpers::Loan loan = Lent(helpers, kMembers);
  Team team(loan.helpers());
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
  Helpers helpers;
  const Helpers::Loan loan = Lent(helpers, kMembers);
  for (int round = 0; round < 50; ++round) {
    Team team(loan.helpers());
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
  Helpers helpers;
  const Helpers::Loan loan = Lent(helpers, 2);
  Team team(loan.helpers());
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

TEST(Team, WakesMembersThatSleep) {
  Helpers helpers;
  const Helpers::Loan loan = Lent(helpers, 2);
  Team team(loan.helpers());
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> done = 0;
    team.ForEach(20, [&](int, int) { done.fetch_add(1); });
    EXPECT_EQ(done, 20);
  }
}

TEST(Team, EndsWithoutWork) {
  Helpers helpers;
  for (int round = 0; round < 50; ++round) {
    const Helpers::Loan loan = Lent(helpers, 4);
    Team team(loan.helpers());
  }
}

TEST(Team, GivesWhatTheWorkGives) {
  EXPECT_EQ(Team::With(1, [](Team&) { return Status::NotFound("nothing"); }).code(),
            StatusCode::kNotFound);
  EXPECT_TRUE(Team::With(3, [](Team& team) {
                EXPECT_LE(team.members(), 3);
                return Status();
              }).ok());
}

TEST(Team, CallsAtTheSameTimeDoTheirOwnTasks) {
  const auto call = [](int tasks) {
    for (int round = 0; round < 200; ++round) {
      const Status status = Team::With(3, [&](Team& team) {
        // Written by the tasks, read by who waits for them.
        std::vector<int> done(tasks);
        for (int step = 1; step <= 3; ++step) {
          team.ForEach(tasks, [&](int task, int) { ++done[task]; });
          for (const int count : done) EXPECT_EQ(count, step);
        }
        return Status();
      });
      ASSERT_TRUE(status.ok());
    }
  };
  std::thread second(call, 7);
  std::thread third(call, 23);
  call(11);
  second.join();
  third.join();
}

TEST(Helpers, AreSharedByCallsAtTheSameTime) {
  Helpers helpers;
  const auto lent = [](const Helpers::Loan& loan) { return loan.helpers().size(); };
  std::optional<Helpers::Loan> first = Lent(helpers, 4);
  EXPECT_EQ(lent(*first), 3);
  const Helpers::Loan second = Lent(helpers, 4);
  EXPECT_EQ(lent(second), 0);
  first.reset();
  first.emplace(Lent(helpers, 4));
  EXPECT_EQ(lent(*first), 1);
  EXPECT_EQ(lent(Lent(helpers, 1)), 0);
  const Helpers::Loan third = Lent(helpers, 4);
  EXPECT_EQ(lent(third), 0);
  // Callers count as threads of their own, also where there are more of them than threads.
  EXPECT_EQ(lent(Lent(helpers, 2)), 0);
}

// Two streams of calls with pauses between them: who begins alone leaves the other its share.
TEST(Helpers, AreLeftForTheCallsOfLately) {
  Helpers helpers;
  std::optional<Helpers::Loan> streams[2];
  for (int call = 0; call < 40; ++call) {
    streams[call % 2].reset();
    streams[call % 2].emplace(Lent(helpers, 16));
  }
  streams[0].reset();
  streams[1].reset();
  for (std::optional<Helpers::Loan>& stream : streams) {
    stream.emplace(Lent(helpers, 16));
    EXPECT_GE(stream->helpers().size(), 6);
    EXPECT_LE(stream->helpers().size(), 8);
  }
  streams[1].reset();
  for (int call = 0; call < 40; ++call) {
    streams[0].reset();
    streams[0].emplace(Lent(helpers, 16));
  }
  EXPECT_EQ(streams[0]->helpers().size(), 15);
}

TEST(Helpers, ComeBack) {
  Helpers helpers;
  for (int round = 0; round < 20; ++round) EXPECT_EQ(Lent(helpers, 3).helpers().size(), 2);
  EXPECT_EQ(Lent(helpers, 5).helpers().size(), 4);
}

}  // namespace
}  // namespace vista::nn
