// Expectations: which calls may come soon. A Batch that could still grow waits for them, up to its
// policy's max_delay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "sched/flight.h"

namespace vista::sched {

using OpId = std::uint32_t;
using ExpectationId = std::uint64_t;

class Expectations {
 public:
  ExpectationId Open(OpId op, Flow flow);
  // The Op that was expected; nothing when the Expectation is already released.
  std::optional<OpId> Release(ExpectationId id);
  // A call came: releases the oldest Expectation of this Op and flow, if there is one.
  bool Arrive(OpId op, Flow flow);

  [[nodiscard]] std::size_t open(OpId op) const;
  // Whether any was ever opened for this Op.
  [[nodiscard]] bool used(OpId op) const { return ops_.contains(op); }

 private:
  struct PerOp {
    std::unordered_map<Flow, std::deque<ExpectationId>> by_flow;
    std::size_t open = 0;
  };
  std::unordered_map<ExpectationId, std::pair<OpId, Flow>> all_;
  std::unordered_map<OpId, PerOp> ops_;
  ExpectationId next_ = 1;
};

}  // namespace vista::sched
