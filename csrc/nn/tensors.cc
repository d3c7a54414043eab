#include "nn/tensors.h"

#include <string>
#include <variant>

#include "base/poison.h"
#include "nn/strips.h"

namespace vista::nn {
namespace {

// Of a tensor that no core's cache holds beside what it is made of.
constexpr std::size_t kStripsFromBytes = 1 << 20;

}  // namespace

Tensors::Tensors(const Network& network, const float* in, float* out, int batch,
                 const std::vector<Extent>& extents)
    : network_(network),
      in_(in),
      out_(out),
      batch_(batch),
      extents_(extents),
      lifetimes_(extents.size()) {}

Status Tensors::Take() {
  const int count = static_cast<int>(extents_.size());
  for (int tensor = 1; tensor < count; ++tensor) {
    const bool kept = tensor == network_.output_;
    lifetimes_[tensor] = {Bytes(tensor), static_cast<std::size_t>(tensor),
                          kept ? extents_.size() : network_.last_use_[tensor]};
    if (!InStrips(tensor)) continue;
    // The step behind reads what this one would.
    lifetimes_[tensor].bytes = 0;
    for (int read = 1; read < tensor; ++read)
      if (lifetimes_[read].last_read == lifetimes_[tensor].made) ++lifetimes_[read].last_read;
  }
  plan_ = PlanMemory(lifetimes_);
  memory_ = AllocateBuffer(plan_.bytes);
  if (memory_ != nullptr) {
    Poison(memory_.get(), plan_.bytes);
    return {};
  }
  return {StatusCode::kResourceExhausted, "no memory for the " + std::to_string(plan_.bytes) +
                                              " bytes of a network's tensors; give fewer or "
                                              "smaller images at once"};
}

void Tensors::BeforeStep(int made) const { Unpoison(Memory(made), lifetimes_[made].bytes); }

void Tensors::AfterStep(int made) const {
  for (int read = 1; read <= made; ++read)
    if (lifetimes_[read].last_read == static_cast<std::size_t>(made))
      Poison(Memory(read), lifetimes_[read].bytes);
}

bool Tensors::InStrips(int tensor) const {
  const auto behind = static_cast<std::size_t>(tensor);
  if (behind >= network_.steps_.size() || network_.summed_[tensor] ||
      network_.last_use_[tensor] != behind + 1 || tensor == network_.output_)
    return false;
  const auto* const depthwise = std::get_if<Depthwise>(&network_.steps_[behind]);
  return std::holds_alternative<Convolution>(network_.steps_[behind - 1]) && depthwise != nullptr &&
         depthwise->input == tensor && depthwise->window.height <= Strips::kMostKernelRows &&
         Bytes(tensor) >= kStripsFromBytes;
}

bool Tensors::OutputIsPlane() const {
  return network_.output_ > 0 && network_.output_channels() == 1;
}

const float* Tensors::Data(int tensor) const {
  return tensor == 0 ? in_ : reinterpret_cast<const float*>(Memory(tensor));
}

const Bf16* Tensors::RoundedData(int tensor) const {
  return reinterpret_cast<const Bf16*>(Memory(tensor));
}

Output Tensors::OutputOf(int tensor) const {
  if (network_.IsRounded(tensor)) return {nullptr, reinterpret_cast<Bf16*>(Memory(tensor))};
  return {reinterpret_cast<float*>(Memory(tensor)), nullptr};
}

std::size_t Tensors::Bytes(int tensor) const {
  if (network_.is_gate_[tensor] || (tensor == network_.output_ && OutputIsPlane())) return 0;
  const Extent extent = extents_[tensor];
  return static_cast<std::size_t>(batch_) * extent.height * extent.width *
         network_.channels_[tensor] * (network_.IsRounded(tensor) ? sizeof(Bf16) : sizeof(float));
}

std::uint8_t* Tensors::Memory(int tensor) const {
  if (tensor == network_.output_ && OutputIsPlane()) return reinterpret_cast<std::uint8_t*>(out_);
  return memory_.get() + plan_.offsets[tensor];
}

}  // namespace vista::nn
