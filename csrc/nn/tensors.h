// The tensors of one run of a network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/status.h"
#include "nn/kernels.h"
#include "nn/memory_plan.h"
#include "nn/network.h"

namespace vista::nn {

class Tensors {
 public:
  // `in` and `out` are the caller's; `extents` are of each tensor.
  Tensors(const Network& network, const float* in, float* out, int batch,
          const std::vector<Extent>& extents);

  // Memory for all that is not the caller's. ResourceExhausted without it.
  Status Take();

  // A step touches what it makes, and what nobody has read for the last time.
  void BeforeStep(int made) const;
  void AfterStep(int made) const;

  // Whether a convolution's tensor is made by the step behind, in strips with that step's own, and
  // has no memory.
  [[nodiscard]] bool InStrips(int tensor) const;

  // Whether the output is made where the caller wants it: pixels of one channel are a plane.
  [[nodiscard]] bool OutputIsPlane() const;

  [[nodiscard]] const float* Data(int tensor) const;
  [[nodiscard]] const Bf16* RoundedData(int tensor) const;
  [[nodiscard]] Output OutputOf(int tensor) const;

 private:
  [[nodiscard]] std::size_t Bytes(int tensor) const;
  [[nodiscard]] std::uint8_t* Memory(int tensor) const;

  const Network& network_;
  const float* in_;
  float* out_;
  int batch_;
  const std::vector<Extent>& extents_;
  std::vector<Lifetime> lifetimes_;
  MemoryPlan plan_;
  Buffer memory_;
};

}  // namespace vista::nn
