// What calls over a device take and give: pixels that a program has put there, and arrays that the
// device's own queue writes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/value.h"
#include "cuda/device.h"

namespace vista::cuda {

// uint8 [height, width, 3] without gaps, readable once `ready` (a cudaEvent_t, 0 for none) has
// come. `owner` keeps the memory and the event.
class DevicePixels final : public Object {
 public:
  struct Place {
    const std::uint8_t* data;
    int width, height;
    int device;  // its number; -1 for the host's memory
    std::uintptr_t ready;
  };

  // `hash` names the pixels, as that of an Image does.
  DevicePixels(std::string hash, const Place& place, std::shared_ptr<const void> owner)
      : hash_(std::move(hash)), place_(place), owner_(std::move(owner)) {}

  [[nodiscard]] const std::string& hash() const { return hash_; }
  [[nodiscard]] const Place& place() const { return place_; }

  Status AppendIdentity(std::string* out) const override {
    out->append("device pixels ").append(hash_);
    return {};
  }
  // Of the host.
  [[nodiscard]] std::size_t bytes() const override { return sizeof(*this) + hash_.size(); }

 private:
  const std::string hash_;
  const Place place_;
  const std::shared_ptr<const void> owner_;
};

// An immutable array without gaps, of `type`.
class DeviceArray final : public Object {
 public:
  DeviceArray(Float type, std::vector<std::int64_t> shape, int device, DeviceMemoryRef memory)
      : type_(type), shape_(std::move(shape)), device_(device), memory_(std::move(memory)) {}

  [[nodiscard]] Float type() const { return type_; }
  [[nodiscard]] const std::vector<std::int64_t>& shape() const { return shape_; }
  [[nodiscard]] int device() const { return device_; }
  [[nodiscard]] const DeviceMemoryRef& memory() const { return memory_; }

  Status AppendIdentity(std::string*) const override {
    return Status::FailedPrecondition("an array in a device's memory has no identity");
  }
  // Of the host.
  [[nodiscard]] std::size_t bytes() const override { return sizeof(*this); }
  // The engine's cache counts the host's bytes, and would hold the device's for ever.
  [[nodiscard]] bool MayBeKept() const override { return false; }

 private:
  const Float type_;
  const std::vector<std::int64_t> shape_;
  const int device_;
  const DeviceMemoryRef memory_;
};

}  // namespace vista::cuda
