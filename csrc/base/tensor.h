// Tensor: an immutable n-dimensional array, C-contiguous, as numpy understands it. A native Op
// returns one; Python sees it as a read-only ndarray over the same memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/value.h"

namespace vista {

enum class DType : std::uint8_t {
  kBool,
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kUint64,
  kInt64,
  kFloat16,
  kFloat32,
  kFloat64,
};

// The name numpy uses ("float32"), and the size of one element in bytes.
const char* DTypeName(DType dtype);
std::size_t DTypeSize(DType dtype);

class Tensor final : public Object {
 public:
  // Over memory that `owner` keeps alive and that nothing writes to from now on. `data` holds the
  // product of `shape` elements.
  Tensor(DType dtype, std::vector<std::int64_t> shape, const void* data,
         std::shared_ptr<const void> owner);

  // Takes over a vector of elements, without copying. T is the C++ type of dtype.
  template <typename T>
  static std::shared_ptr<const Tensor> FromVector(DType dtype, std::vector<std::int64_t> shape,
                                                  std::vector<T> elements) {
    auto owner = std::make_shared<const std::vector<T>>(std::move(elements));
    const void* data = owner->data();
    return std::make_shared<const Tensor>(dtype, std::move(shape), data, std::move(owner));
  }

  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] const std::vector<std::int64_t>& shape() const { return shape_; }
  [[nodiscard]] const void* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }  // elements

  // dtype, shape and all element bytes.
  Status AppendIdentity(std::string* out) const override;
  [[nodiscard]] std::size_t bytes() const override { return size_ * DTypeSize(dtype_); }

 private:
  DType dtype_;
  std::vector<std::int64_t> shape_;
  std::size_t size_;
  const void* data_;
  std::shared_ptr<const void> owner_;
};

}  // namespace vista
