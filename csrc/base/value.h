// Value: the typed tree that an Op takes and gives, and its canonical bytes, which are a call's
// identity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace vista {

// An immutable, shared thing that a Value can hold without copying: an Image, a Tensor, a foreign
// object.
class Object {
 public:
  virtual ~Object() = default;
  // Appends the bytes by which two objects are equal (an Image appends its hash). Objects of
  // different classes must append different leading bytes. Fails for an object that has no
  // identity, which makes its call not cacheable.
  virtual Status AppendIdentity(std::string* out) const = 0;
  // Memory that the object keeps alive, in bytes; what a cache is charged for it.
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  // Whether a cache may keep it: nobody can change it, and bytes() is what it costs.
  [[nodiscard]] virtual bool MayBeKept() const { return true; }
};
using ObjectRef = std::shared_ptr<const Object>;

struct Bytes {
  std::string data;
  friend bool operator==(const Bytes&, const Bytes&) = default;
};

struct Value {
  using List = std::vector<Value>;
  struct Entry;
  using Dict = std::vector<Entry>;  // sorted by name, names unique

  std::variant<std::monostate, bool, std::int64_t, double, std::string, Bytes, ObjectRef, List,
               Dict>
      data;

  template <typename T>
  [[nodiscard]] const T* get_if() const {
    return std::get_if<T>(&data);
  }
  // The entry of that name of a Dict; null when this is no Dict or has none.
  [[nodiscard]] const Value* find(const std::string& name) const;
  // Memory held by the tree and by the objects in it, in bytes.
  [[nodiscard]] std::size_t bytes() const;
  // Whether a cache may keep the tree: all objects in it say so.
  [[nodiscard]] bool MayBeKept() const;
};

struct Value::Entry {
  std::string first;
  Value second;

  Entry(std::string name, Value value) : first(std::move(name)), second(std::move(value)) {}
};

// Appends the canonical typed bytes of a value: 1, 1.0 and True differ, -0.0 is 0.0, NaN is
// refused, and no two different values share an encoding (every node is tagged and every length is
// written).
Status AppendCanonical(const Value& value, std::string* out);

}  // namespace vista
