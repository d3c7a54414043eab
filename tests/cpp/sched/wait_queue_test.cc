#include "sched/wait_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

namespace vista::sched {
namespace {

using std::chrono::milliseconds;

constexpr TimePoint kNow = TimePoint(milliseconds(1000));
constexpr Duration kService = milliseconds(10);

class WaitQueueTest : public ::testing::Test {
 protected:
  Flight* Push(Flow flow, double size = 1, Priority priority = 0,
               TimePoint soft_deadline = kNever) {
    return Push(&queue_, flow, size, priority, soft_deadline);
  }
  Flight* Push(WaitQueue* queue, Flow flow, double size = 1, Priority priority = 0,
               TimePoint soft_deadline = kNever) {
    Flight& flight = flights_.emplace_back();
    flight.flow = flow;
    flight.size = size;
    flight.priority = priority;
    flight.soft_deadline = soft_deadline;
    flight.arrived = TimePoint(milliseconds(static_cast<int>(flights_.size())));
    queue->Push(&flight);
    return &flight;
  }
  std::vector<Flight*> Pop(std::size_t count) { return Pop(&queue_, count); }
  // Serves so many Flights, each charged a millisecond for each unit of its size.
  static std::vector<Flight*> Pop(WaitQueue* queue, std::size_t count) {
    std::vector<Flight*> served;
    while (served.size() < count && !queue->empty()) {
      Flight* flight = queue->Next(kNow, kService);
      queue->Serve(flight,
                   Duration(static_cast<Duration::rep>(std::min(1e18, 1e6 * flight->size))));
      served.push_back(flight);
    }
    return served;
  }
  std::vector<Flow> PopFlows(std::size_t count) {
    std::vector<Flow> flows;
    for (const Flight* flight : Pop(count)) flows.push_back(flight->flow);
    return flows;
  }

  FlowLedger ledger_;
  WaitQueue queue_{&ledger_};
  WaitQueue other_queue_{&ledger_};
  std::deque<Flight> flights_;
};

using Flows = std::vector<Flow>;

TEST_F(WaitQueueTest, GivesOneFlowInOrderOfArrival) {
  std::vector<Flight*> pushed;
  for (int i = 0; i < 10; ++i) pushed.push_back(Push(1));
  std::vector<Flight*> popped = Pop(4);
  const std::vector<Flight*> rest = Pop(100);
  popped.insert(popped.end(), rest.begin(), rest.end());
  EXPECT_EQ(popped, pushed);
  EXPECT_TRUE(queue_.empty());
}

TEST_F(WaitQueueTest, TakesTurnsBetweenFlows) {
  for (int i = 0; i < 6; ++i) Push(1);
  for (int i = 0; i < 3; ++i) Push(2);
  Push(3);
  EXPECT_EQ(PopFlows(10), (Flows{1, 2, 3, 1, 2, 1, 2, 1, 1, 1}));
}

TEST_F(WaitQueueTest, RemembersWhoseTurnItIsBetweenBatches) {
  for (int i = 0; i < 4; ++i) Push(1);
  for (int i = 0; i < 4; ++i) Push(2);
  Flows one_by_one;
  for (int i = 0; i < 8; ++i) one_by_one.push_back(PopFlows(1).front());
  EXPECT_EQ(one_by_one, (Flows{1, 2, 1, 2, 1, 2, 1, 2}));
}

TEST_F(WaitQueueTest, ChargesBySize) {
  for (int i = 0; i < 100; ++i) Push(1, 4);
  for (int i = 0; i < 400; ++i) Push(2, 1);
  std::map<Flow, double> served;
  for (const Flight* flight : Pop(200)) served[flight->flow] += flight->size;
  EXPECT_NEAR(served[1], served[2], 8);
}

TEST_F(WaitQueueTest, ChargesAFlowForWhatItGotFromAnotherQueue) {
  for (int i = 0; i < 10; ++i) Push(&other_queue_, 1);
  for (int i = 0; i < 10; ++i) Push(1);
  for (int i = 0; i < 10; ++i) Push(2);
  EXPECT_EQ(Pop(&other_queue_, 4).size(), 4U);
  EXPECT_EQ(PopFlows(6), (Flows{2, 2, 2, 2, 1, 2}));
  EXPECT_LT(queue_.next_round(), 7);
}

TEST_F(WaitQueueTest, GivesAFlowThatComesBackNoCreditForItsAbsence) {
  for (int i = 0; i < 20; ++i) Push(1);
  Pop(10);
  for (int i = 0; i < 10; ++i) Push(2);
  const Flows next = PopFlows(6);
  EXPECT_EQ(std::count(next.begin(), next.end(), 1), 3);
}

TEST_F(WaitQueueTest, ChargesAFlowThatMakesOneCallAtATime) {
  for (int i = 0; i < 200; ++i) Push(2);
  Push(1, 10);
  std::map<Flow, double> served;
  for (int i = 0; i < 110; ++i) {
    const Flight* flight = Pop(1).front();
    served[flight->flow] += flight->size;
    if (flight->flow == 1) Push(1, 10);
  }
  EXPECT_NEAR(served[1], served[2], 11);
}

TEST_F(WaitQueueTest, ForgetsDebtsWhenNothingWaits) {
  Push(1, 1000);
  Push(2);
  EXPECT_EQ(PopFlows(2), (Flows{1, 2}));
  Push(1);
  Push(2);
  Push(2);
  EXPECT_EQ(PopFlows(1), Flows{1});
}

TEST_F(WaitQueueTest, KeepsTheLargestDebtsOfManyFlows) {
  for (int i = 0; i < 20000; ++i) Push(0, 1e-3);
  for (Flow flow = 1; flow <= 5000; ++flow) Push(flow, static_cast<double>(flow));
  while (queue_.size() > 10000) Pop(1);  // all flows but the first have nothing left
  Push(1);
  Push(5000);
  const Flows next = PopFlows(1000);
  EXPECT_EQ(std::count(next.begin(), next.end(), 1), 1);
  EXPECT_EQ(std::count(next.begin(), next.end(), 5000), 0);
}

TEST_F(WaitQueueTest, ServesAnEnormousCallInTheEnd) {
  Push(1, 1e12);
  Push(1, 1);
  EXPECT_EQ(Pop(1).front()->size, 1e12);
  Push(2, 1e-12);
  EXPECT_EQ(Pop(2).size(), 2U);
}

TEST_F(WaitQueueTest, ObeysPriorityStrictly) {
  Push(1, 1, 0);
  Push(2, 1, 5);
  Push(3, 1, -5);
  Push(4, 1, 5, kNow);
  Push(5, 1, 0, kNow);
  EXPECT_EQ(queue_.top_priority(), 5);
  EXPECT_EQ(PopFlows(1), Flows{4});
  EXPECT_EQ(PopFlows(1), Flows{2});
  EXPECT_EQ(PopFlows(1), Flows{5});
  EXPECT_EQ(PopFlows(2), (Flows{1, 3}));
}

TEST_F(WaitQueueTest, PutsUrgentCallsFirstInOrderOfDeadline) {
  Push(1);
  Push(2, 1, 0, kNow + milliseconds(9));
  Push(3, 1, 0, kNow + milliseconds(2));
  Push(4, 1, 0, kNow + milliseconds(10));  // just enough slack
  Push(5);
  EXPECT_EQ(PopFlows(4), (Flows{3, 2, 1, 4}));
}

TEST_F(WaitQueueTest, FollowsChangedUrgency) {
  Push(1);
  Flight* second = Push(2);
  Flight* third = Push(3);
  queue_.SetSoftDeadline(third, kNow);
  EXPECT_EQ(queue_.soonest(), third);
  queue_.SetPriority(second, 1);
  EXPECT_EQ(queue_.top_soonest(), nullptr);
  EXPECT_EQ(PopFlows(1), Flows{2});
  EXPECT_EQ(PopFlows(1), Flows{3});
  EXPECT_EQ(queue_.soonest(), nullptr);
}

TEST_F(WaitQueueTest, SumsTheSizesOfWhatWaits) {
  Flight* huge = Push(1, 1e18);
  Push(2, 0.5);
  Flight* small = Push(3, 2);
  EXPECT_EQ(queue_.total_size(), 1e18);
  queue_.Remove(huge);
  EXPECT_GE(queue_.total_size(), 0);
  queue_.Remove(small);
  Pop(1);
  EXPECT_EQ(queue_.total_size(), 0);
  Push(1, 0.25);
  EXPECT_EQ(queue_.total_size(), 0.25);
}

TEST_F(WaitQueueTest, ForgetsWhatIsRemoved) {
  Flight* first = Push(1, 1, 3, kNow);
  Push(2);
  queue_.Remove(first);
  EXPECT_EQ(queue_.size(), 1U);
  EXPECT_EQ(queue_.top_priority(), 0);
  EXPECT_EQ(queue_.oldest_arrival(), flights_[1].arrived);
  EXPECT_EQ(PopFlows(5), Flows{2});
}

}  // namespace
}  // namespace vista::sched
