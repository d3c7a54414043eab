#include "base/tensor.h"

#include <utility>

#include "base/canonical.h"

namespace vista {
namespace {

struct DTypeInfo {
  const char* name;
  std::size_t size;
};

constexpr DTypeInfo kInfo[] = {{"bool", 1},  {"uint8", 1},   {"int8", 1},    {"uint16", 2},
                               {"int16", 2}, {"uint32", 4},  {"int32", 4},   {"uint64", 8},
                               {"int64", 8}, {"float16", 2}, {"float32", 4}, {"float64", 8}};

std::size_t ElementCount(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  return count;
}

}  // namespace

const char* DTypeName(DType dtype) { return kInfo[static_cast<std::size_t>(dtype)].name; }

std::size_t DTypeSize(DType dtype) { return kInfo[static_cast<std::size_t>(dtype)].size; }

Tensor::Tensor(DType dtype, std::vector<std::int64_t> shape, const void* data,
               std::shared_ptr<const void> owner)
    : dtype_(dtype),
      shape_(std::move(shape)),
      size_(ElementCount(shape_)),
      data_(data),
      owner_(std::move(owner)) {}

Status Tensor::AppendIdentity(std::string* out) const {
  out->append("tensor:");
  CanonicalWriter writer(out);
  writer.String(DTypeName(dtype_));
  writer.BeginList(shape_.size());
  for (const std::int64_t extent : shape_) writer.Int(extent);
  writer.Bytes({static_cast<const char*>(data_), bytes()});
  return {};
}

}  // namespace vista
