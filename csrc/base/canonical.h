// CanonicalWriter: the canonical typed bytes of a value, written node by node. Value (value.h) and
// the binding, which writes them straight from Python objects, share this one encoding, so equal
// calls are equal bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/value.h"

namespace vista {

// Nesting that AppendCanonical and the binding accept; deeper values are refused, so that no input
// can exhaust the stack.
inline constexpr int kMaxValueDepth = 64;

// Appends to a string that outlives it. Every node is a tag and, where its extent varies, a length;
// a list is BeginList(n) and n nodes; a dict is BeginDict(n) and n times Key and a node, the keys
// in byte order.
class CanonicalWriter {
 public:
  explicit CanonicalWriter(std::string* out) : out_(out) {}

  void Null() { out_->push_back('N'); }
  void Bool(bool value) { out_->push_back(value ? 'T' : 'F'); }
  void Int(std::int64_t value);
  Status Double(double value);  // -0.0 becomes 0.0; NaN is kInvalidArgument
  void String(std::string_view text);
  void Bytes(std::string_view data);
  Status Identity(const Object& object);
  void BeginList(std::size_t count);
  void BeginDict(std::size_t count);
  void Key(std::string_view name);

 private:
  void Word(std::uint64_t value);
  void Sized(char tag, std::string_view data);

  std::string* out_;
};

}  // namespace vista
