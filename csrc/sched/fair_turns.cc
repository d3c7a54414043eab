#include "sched/fair_turns.h"

#include <algorithm>
#include <utility>

namespace vista::sched {
namespace {

// Flows within a quantum of each other alternate call by call.
constexpr double kQuantum = 1e6;  // ns
// Far beyond any service time, and far from where the sums lose their precision.
constexpr double kLongestCharge = 1e15;  // ns

// Debts that are kept at most: of more flows than this that have nothing waiting, those that owe
// least start anew.
constexpr std::size_t kMostDebts = 4096;

Round RoundOf(const FlowAccount& account) { return static_cast<Round>(account.charged / kQuantum); }

FlowQueue* LineIn(FlowAccount* account, TurnOrder* order) {
  for (const auto& line : account->queues) {
    if (line->order == order) return line.get();
  }
  FlowQueue* line = account->queues.emplace_back(std::make_unique<FlowQueue>()).get();
  line->account = account;
  line->order = order;
  order->Add(line, RoundOf(*account));
  return line;
}

}  // namespace

void TurnOrder::Add(FlowQueue* flow, Round round) {
  flow->round = round;
  rounds_[round].PushBack(flow);
}

void TurnOrder::Remove(FlowQueue* flow) {
  const auto at = rounds_.find(flow->round);
  at->second.Erase(flow);
  if (at->second.empty()) rounds_.erase(at);
}

void TurnOrder::Move(FlowQueue* flow, Round round) {
  if (flow->round == round) {
    auto& flows = rounds_.find(round)->second;
    flows.Erase(flow);
    flows.PushBack(flow);
  } else {
    Remove(flow);
    Add(flow, round);
  }
}

double FlowLedger::Level::StartOf(Flow flow) {
  const auto owed = owed_.find(flow);
  if (owed == owed_.end()) return present;
  const double sum = owed->second;
  Forget(debts_.find({sum, flow}));
  return std::max(present, sum);
}

void FlowLedger::Level::KeepDebt(const FlowAccount& account) {
  if (account.charged <= present) return;
  owed_[account.flow] = account.charged;
  debts_.emplace(account.charged, account.flow);
  if (debts_.size() > kMostDebts) Forget(debts_.begin());
}

void FlowLedger::Level::Advance(double sum) {
  present = std::max(present, sum);
  while (!debts_.empty() && debts_.begin()->first <= present) Forget(debts_.begin());
}

void FlowLedger::Level::Forget(std::set<std::pair<double, Flow>>::iterator debt) {
  owed_.erase(debt->second);
  debts_.erase(debt);
}

void FlowLedger::Enter(Flight* flight, TurnOrder* order) {
  Level& level = levels_[flight->priority];
  const auto [at, is_new] = level.accounts.try_emplace(flight->flow);
  FlowAccount& account = at->second;
  if (is_new) {
    account.flow = flight->flow;
    account.priority = flight->priority;
    account.charged = level.StartOf(flight->flow);
  }
  flight->line = LineIn(&account, order);
  flight->line->flights.PushBack(flight);
}

void FlowLedger::Leave(Flight* flight) {
  FlowQueue* line = std::exchange(flight->line, nullptr);
  line->flights.Erase(flight);
  if (!line->flights.empty()) return;
  line->order->Remove(line);
  FlowAccount* account = line->account;
  std::erase_if(account->queues, [line](const auto& each) { return each.get() == line; });
  if (!account->queues.empty()) return;
  const auto level = levels_.find(account->priority);
  level->second.KeepDebt(*account);
  level->second.accounts.erase(account->flow);
  if (level->second.accounts.empty()) levels_.erase(level);
}

void FlowLedger::Serve(Flight* flight, Duration cost) {
  FlowAccount* account = flight->line->account;
  Level& level = levels_.find(account->priority)->second;
  level.Advance(account->charged);
  account->charged += std::min(static_cast<double>(cost.count()), kLongestCharge);
  const Round round = RoundOf(*account);
  for (const auto& line : account->queues) line->order->Move(line.get(), round);
  Leave(flight);
}

}  // namespace vista::sched
