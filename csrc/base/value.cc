#include "base/value.h"

#include <algorithm>
#include <type_traits>

#include "base/canonical.h"

namespace vista {
namespace {

template <typename>
[[maybe_unused]] constexpr bool kUnhandled = false;

Status Append(const Value& value, int depth, CanonicalWriter* writer) {
  if (depth > kMaxValueDepth) {
    return Status::InvalidArgument("arguments are nested deeper than " +
                                   std::to_string(kMaxValueDepth) + " levels; flatten them");
  }
  return std::visit(
      [&](const auto& node) -> Status {
        using T = std::decay_t<decltype(node)>;
        if constexpr (std::is_same_v<T, std::monostate>) {
          writer->Null();
        } else if constexpr (std::is_same_v<T, bool>) {
          writer->Bool(node);
        } else if constexpr (std::is_same_v<T, std::int64_t>) {
          writer->Int(node);
        } else if constexpr (std::is_same_v<T, double>) {
          return writer->Double(node);
        } else if constexpr (std::is_same_v<T, std::string>) {
          writer->String(node);
        } else if constexpr (std::is_same_v<T, Bytes>) {
          writer->Bytes(node.data);
        } else if constexpr (std::is_same_v<T, ObjectRef>) {
          return writer->Identity(*node);
        } else if constexpr (std::is_same_v<T, Value::List>) {
          writer->BeginList(node.size());
          for (const Value& item : node) {
            if (Status status = Append(item, depth + 1, writer); !status.ok()) return status;
          }
        } else if constexpr (std::is_same_v<T, Value::Dict>) {
          writer->BeginDict(node.size());
          for (const auto& [name, item] : node) {
            writer->Key(name);
            if (Status status = Append(item, depth + 1, writer); !status.ok()) return status;
          }
        } else {
          static_assert(kUnhandled<T>, "a new kind of Value needs a canonical encoding");
        }
        return {};
      },
      value.data);
}

}  // namespace

const Value* Value::find(const std::string& name) const {
  const auto* dict = get_if<Dict>();
  if (dict == nullptr) return nullptr;
  const auto at = std::lower_bound(
      dict->begin(), dict->end(), name,
      [](const auto& entry, const std::string& wanted) { return entry.first < wanted; });
  return at != dict->end() && at->first == name ? &at->second : nullptr;
}

std::size_t Value::bytes() const {
  std::size_t total = sizeof(Value);
  if (const auto* text = get_if<std::string>()) total += text->capacity();
  if (const auto* raw = get_if<Bytes>()) total += raw->data.capacity();
  if (const auto* object = get_if<ObjectRef>()) total += *object ? (*object)->bytes() : 0;
  if (const auto* list = get_if<List>()) {
    for (const Value& item : *list) total += item.bytes();
  }
  if (const auto* dict = get_if<Dict>()) {
    for (const auto& [name, item] : *dict) total += sizeof(name) + name.capacity() + item.bytes();
  }
  return total;
}

bool Value::MayBeKept() const {
  if (const auto* object = get_if<ObjectRef>()) return *object == nullptr || (*object)->MayBeKept();
  if (const auto* list = get_if<List>())
    return std::all_of(list->begin(), list->end(), [](const Value& v) { return v.MayBeKept(); });
  if (const auto* dict = get_if<Dict>())
    return std::all_of(dict->begin(), dict->end(), [](auto& e) { return e.second.MayBeKept(); });
  return true;
}

Status AppendCanonical(const Value& value, std::string* out) {
  CanonicalWriter writer(out);
  return Append(value, 0, &writer);
}

}  // namespace vista
