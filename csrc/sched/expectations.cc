#include "sched/expectations.h"

#include <algorithm>

namespace vista::sched {

ExpectationId Expectations::Open(OpId op, Flow flow) {
  const ExpectationId id = next_++;
  all_.emplace(id, std::pair(op, flow));
  PerOp& per_op = ops_[op];
  per_op.by_flow[flow].push_back(id);
  ++per_op.open;
  return id;
}

std::optional<OpId> Expectations::Release(ExpectationId id) {
  const auto at = all_.find(id);
  if (at == all_.end()) return std::nullopt;
  const auto [op, flow] = at->second;
  all_.erase(at);
  PerOp& per_op = ops_[op];
  const auto ids = per_op.by_flow.find(flow);
  ids->second.erase(std::find(ids->second.begin(), ids->second.end(), id));
  if (ids->second.empty()) per_op.by_flow.erase(ids);
  --per_op.open;
  return op;
}

bool Expectations::Arrive(OpId op, Flow flow) {
  if (all_.empty()) return false;
  const auto per_op = ops_.find(op);
  if (per_op == ops_.end()) return false;
  const auto ids = per_op->second.by_flow.find(flow);
  return ids != per_op->second.by_flow.end() && Release(ids->second.front()).has_value();
}

std::size_t Expectations::open(OpId op) const {
  const auto per_op = ops_.find(op);
  return per_op == ops_.end() ? 0 : per_op->second.open;
}

}  // namespace vista::sched
